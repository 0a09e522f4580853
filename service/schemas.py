"""What goes in and out, as pydantic models; the OpenAPI document is made from these.

Requests are validated by their model.  Responses are not: they are written by the code that a
test compares with these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from attest import Cloud
from service.settings import PlanSetting

MAX_PEM = 16 * 1024
MAX_INTERMEDIATES = 8

Pem = Annotated[
    str,
    Field(max_length=MAX_PEM, description="One or more certificates, PEM (RFC 7468)."),
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Texts = Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=1000)]


def _must_be_text(value: object) -> object:
    """Refuse numbers, and texts of numbers, which pydantic would take as seconds since 1970."""
    if not isinstance(value, str) or "-" not in value[1:] or ":" not in value:
        raise ValueError("not a time such as 2026-06-25T18:57:45Z (RFC 3339)")
    return value


Rfc3339 = Annotated[AwareDatetime, BeforeValidator(_must_be_text)]


class Request(BaseModel):
    """A request: unknown members are refused, since a misspelt demand would not be made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlanPattern(PlanSetting):
    """A marketplace plan; a part that is absent matches any value."""

    name: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    product: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    publisher: Annotated[str, Field(min_length=1, max_length=256)] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [part], "properties": {part: {"type": "string"}}}
                for part in ("name", "product", "publisher")
            ]
        },
    )


class Demands(Request):
    """Demands beside the server's policy: both must be met, so these can only narrow it."""

    clouds: Annotated[list[Cloud], Field(max_length=4)] | None = None
    max_age: Annotated[int, Field(ge=0, le=86400, strict=True, description="Seconds.")] | None = (
        None
    )
    subscriptions: Texts | None = None
    vms: Annotated[list[UUID], Field(max_length=1000)] | None = None
    plans: Annotated[list[PlanPattern], Field(max_length=100)] | None = None
    skus: Texts | None = None
    license_types: Texts | None = None
    regions: Texts | None = None


class VerifyRequest(Request):
    """The JSON as IMDS gave it, and what the caller adds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "encoding": "pkcs7",
                    "signature": "MIIKWQYJKoZIhvcNAQcCoIIKSjCC...",
                    "nonce": "5f2b8c0f7d1e4a3b9c6d5e4f3a2b1c0d",
                }
            ]
        },
    )

    encoding: Annotated[str, Field(max_length=64)] = "pkcs7"
    signature: str = Field(description="The attested document: CMS SignedData in base64.")
    nonce: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="The challenge that this document answers."
    )
    intermediates: Annotated[list[Pem], Field(max_length=MAX_INTERMEDIATES)] = Field(
        default_factory=list, description="CA certificates that may link the signer to an anchor."
    )
    demands: Demands | None = None


class BatchRequest(Request):
    """Documents to verify; each item is judged by itself, and may be anything."""

    items: list[VerifyRequest]


class ChainRequest(Request):
    """A certificate whose path to a pinned anchor is to be validated."""

    certificate: Pem
    untrusted: Annotated[list[Pem], Field(max_length=MAX_INTERMEDIATES)] = Field(
        default=[], description="CA certificates that may be links of the path."
    )
    at: Rfc3339 | None = Field(default=None, description="RFC 3339; by default now.")
    name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="A host name that it must cover; by default its own."
    )
    cloud: Cloud | None = Field(default=None, description="By default the one of its names.")


class Challenge(BaseModel):
    """A nonce for one attester."""

    nonce: str
    expires_at: datetime


class PlanOut(BaseModel):
    """The marketplace plan of the image."""

    name: str | None
    product: str | None
    publisher: str | None


class Document(BaseModel):
    """What Azure signed; null where a field does not apply."""

    vm_id: UUID
    subscription_id: str | None
    sku: str | None
    license_type: str | None
    plan: PlanOut | None
    nonce: str | None
    created_on: datetime | None
    expires_on: datetime | None
    extra: dict[str, object]


class Certificate(BaseModel):
    """A certificate."""

    subject: str
    issuer: str
    serial_number: str
    sha256: Sha256
    not_before: datetime
    not_after: datetime
    dns_names: list[str]


class Link(Certificate):
    """A certificate of a path, and where it came from."""

    origin: Literal["evidence", "pinned", "operator", "fetched"]


class Result(BaseModel):
    """The attestation result of a verified document."""

    verified: Literal[True]
    cloud: Cloud
    region: str | None
    document: Document
    signer: Certificate
    chain: list[Link]
    verified_at: datetime
    valid_until: datetime
    freshness: Literal["challenge", "time"]
    revocation: Literal["unchecked", "good", "unknown"]
    test_trust: Literal[True] = Field(
        default=True, description="Only present where a test authority is trusted."
    )


class Rejection(BaseModel):
    """An item of a batch that was refused."""

    verified: Literal[False]
    status: Literal[400, 422, 503]
    code: str
    step: Annotated[int, Field(ge=1, le=10)] | None = None
    detail: str


class BatchResponse(BaseModel):
    """One outcome for each item, in their order."""

    outcomes: list[Result | Rejection]


class ChainResponse(BaseModel):
    """A valid path."""

    valid: Literal[True]
    cloud: Cloud
    name: str
    chain: list[Link]
    checked_at: datetime
    valid_from: datetime
    valid_until: datetime
    revocation: Literal["unchecked", "good", "unknown"]
    test_trust: Literal[True] = Field(
        default=True, description="Only present where a test authority is trusted."
    )


class TrustMember(Certificate):
    """A certificate of the trust store."""

    role: Literal["anchor", "intermediate"]
    days_left: int


class TrustResponse(BaseModel):
    """The trust store."""

    generation: Sha256
    test_trust: bool
    clouds: dict[str, list[TrustMember]]


class Health(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class Check(BaseModel):
    """One condition of readiness."""

    ok: bool
    detail: str


class Readiness(BaseModel):
    """Whether requests should be sent here."""

    ready: bool
    checks: dict[str, Check]
    test_trust: bool


class Problem(BaseModel):
    """A problem (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str = Field(description="Stable; a client may switch on it.")
    step: Annotated[int, Field(ge=1, le=10)] | None = None
    detail: str
    request_id: str
