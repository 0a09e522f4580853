"""Why the service says no: its own codes beside the core's, and the problem types of RFC 9457."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

# Challenges and replays are about freshness, the core's step 7.
FRESHNESS_STEP = 7


class ServiceCode(enum.StrEnum):
    """Stable reasons for refusing genuine evidence; in results they stand where a Code stands."""

    CHALLENGE_UNKNOWN = "challenge_unknown"
    CHALLENGE_EXPIRED = "challenge_expired"
    CHALLENGE_USED = "challenge_used"
    EVIDENCE_REPLAYED = "evidence_replayed"

    @property
    def step(self) -> int:
        """The step of the verification algorithm that it belongs to."""
        return FRESHNESS_STEP


class ChallengeError(Exception):
    """The evidence is genuine, and does not answer an open challenge.

    Attributes:
        code: the stable reason.
        step: the step of the verification algorithm, 7.
        detail: one line for a person.
    """

    def __init__(self, code: ServiceCode, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.step = code.step
        self.detail = detail


class ProblemType(enum.Enum):
    """The kinds of problem that the service answers with: name, status, title."""

    MALFORMED_REQUEST = "malformed_request", 400, "The request is malformed"
    UNAUTHENTICATED = "unauthenticated", 401, "An API key is needed"
    FORBIDDEN = "forbidden", 403, "The API key does not allow this"
    NOT_FOUND = "not_found", 404, "There is no such resource"
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "The resource has no such method"
    BODY_TOO_LARGE = "body_too_large", 413, "The request body is too large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, "The body must be application/json"
    EVIDENCE_REJECTED = "evidence_rejected", 422, "The evidence is rejected"
    CHAIN_REJECTED = "chain_rejected", 422, "The certificate has no valid path"
    RATE_LIMITED = "rate_limited", 429, "Too many requests"
    INTERNAL_ERROR = "internal_error", 500, "The service failed"
    UNAVAILABLE = "unavailable", 503, "The service is not ready"

    def __init__(self, kind: str, status: int, title: str) -> None:
        self.kind = kind
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The ``type`` of RFC 9457: an identifier, not an address."""
        return f"urn:imds-attest:problem:{self.kind}"


@dataclass(eq=False)
class ProblemError(Exception):
    """A request ends with this problem.

    Attributes:
        problem: which kind.
        detail: one line for a person, without internals.
        code: the stable reason, where it is not the kind itself.
        step: the step of the verification algorithm that refused the evidence.
        headers: further headers of the response.
    """

    problem: ProblemType
    detail: str
    code: str | None = None
    step: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def members(self) -> dict[str, object]:
        """Return the members of the problem object."""
        values: dict[str, object] = {
            "type": self.problem.uri,
            "title": self.problem.title,
            "status": self.problem.status,
            "code": self.code or self.problem.kind,
        }
        if self.step is not None:
            values["step"] = self.step
        return {**values, "detail": self.detail}


class UnavailableError(Exception):
    """The database does not answer; nothing was decided, and a later try may succeed."""
