"""Bundles of certificates that somebody signed, to bring a trust store up to date.

The file is a DSSE envelope (:mod:`attest.dsse`); this is its payload: version, dates, and
certificates with role and clouds.  docs/adr/0006 says why not TUF.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import pybase64
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest import strictjson
from attest.certificates import fingerprint, is_ca, is_self_signed, load_certificates
from attest.clouds import Cloud
from attest.errors import quote
from attest.manifest import Role
from attest.times import rfc3339
from attest.trust import Intermediate, TrustAnchor, TrustStore

PAYLOAD_TYPE = "application/vnd.imds-attest.trust-bundle+json"
MAX_CERTIFICATES = 512
MAX_CERTIFICATE = 8 * 1024
MAX_VERSION = 2**53 - 1  # what every JSON parser reads exactly
_MAX_BRACKETS = 2 * MAX_CERTIFICATES + 2
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class BundleCode(enum.StrEnum):
    """The stable reason for not importing a bundle."""

    MALFORMED = "bundle_malformed"
    SIGNATURES_MISSING = "bundle_signatures_missing"
    TYPE_UNSUPPORTED = "bundle_type_unsupported"
    ROLLED_BACK = "bundle_rolled_back"
    EXPIRED = "bundle_expired"
    ANCHOR_NEW = "bundle_anchor_new"
    UNCONNECTED = "bundle_unconnected"


class BundleError(Exception):
    """A bundle was refused, and nothing has changed.

    Attributes:
        code: the stable reason.
        detail: one line for a person.
    """

    def __init__(self, code: BundleCode, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


@dataclass(frozen=True, slots=True)
class BundleItem:
    """One certificate of a bundle.

    Attributes:
        role: anchor or intermediate.
        clouds: the clouds that it is for.
        certificate: the certificate.
    """

    role: Role
    clouds: frozenset[Cloud]
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle says.

    Attributes:
        version: counts up; an older one never replaces a newer one.
        created: when it was made, in UTC.
        expires: until when it may be imported, in UTC; the certificates have dates of their own.
        items: the certificates.
    """

    version: int
    created: datetime
    expires: datetime
    items: tuple[BundleItem, ...]

    def of_role(self, role: Role) -> tuple[BundleItem, ...]:
        """Return the certificates of one role."""
        return tuple(item for item in self.items if item.role is role)

    def encode(self) -> bytes:
        """Return the payload."""
        certificates = [
            {
                "role": str(item.role),
                "clouds": sorted(map(str, item.clouds)),
                "certificate": pybase64.b64encode(
                    item.certificate.public_bytes(Encoding.DER)
                ).decode(),
            }
            for item in self.items
        ]
        payload = {
            "version": self.version,
            "created": rfc3339(self.created),
            "expires": rfc3339(self.expires),
            "certificates": certificates,
        }
        return json.dumps(payload, separators=(",", ":")).encode()


def bundle_of(store: TrustStore, *, version: int, created: datetime, expires: datetime) -> Bundle:
    """Make a bundle of everything that a store holds.

    Raises:
        BundleError: ``bundle_malformed``: no importer would read such a one.
    """
    clouds: dict[tuple[Role, x509.Certificate], frozenset[Cloud]] = {}
    members: list[tuple[Role, Iterable[TrustAnchor | Intermediate]]] = [
        (Role.ANCHOR, store.anchors),
        (Role.INTERMEDIATE, store.intermediates),
    ]
    for role, items in members:
        for item in items:
            key = role, item.certificate
            clouds[key] = clouds.get(key, frozenset()) | item.clouds
    order = sorted(clouds, key=lambda key: (key[0], fingerprint(key[1])))
    found = tuple(BundleItem(role, clouds[role, found], found) for role, found in order)
    # As the importer will see it: whole seconds, and within all bounds.
    return parse_bundle(Bundle(version, created, expires, found).encode())


def parse_bundle(payload: bytes) -> Bundle:
    """Parse a payload whose signatures were verified; the caller has bounded its size.

    Raises:
        BundleError: ``bundle_malformed``.
    """
    try:
        text = strictjson.decode_utf8(payload)
        return _parse(strictjson.loads_object(text, max_brackets=_MAX_BRACKETS))
    except (ValueError, RecursionError) as error:
        raise BundleError(BundleCode.MALFORMED, quote(str(error), limit=300)) from None


def _parse(fields: dict[str, object]) -> Bundle:
    _demand(set(fields) == {"version", "created", "expires", "certificates"}, "other members")
    version, listed = fields["version"], fields["certificates"]
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise ValueError("version is not an integer from 1")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_CERTIFICATES:
        raise ValueError(f"certificates is not a list of 1 to {MAX_CERTIFICATES}")
    created, expires = _time(fields["created"]), _time(fields["expires"])
    _demand(created < expires, "it expires before it was created")
    items = tuple(_parse_item(item) for item in listed)
    _demand(len({item.certificate for item in items}) == len(items), "a certificate is repeated")
    return Bundle(version, created, expires, items)


def _parse_item(item: object) -> BundleItem:
    if not isinstance(item, dict) or set(item) != {"role", "clouds", "certificate"}:
        raise ValueError("an item of certificates has other members")
    clouds, text = item["clouds"], item["certificate"]
    if not isinstance(clouds, list) or not isinstance(text, str):
        raise ValueError("an item of certificates has members of other types")  # noqa: TRY004
    _demand(0 < len(clouds) == len(frozenset(map(str, clouds))), "clouds is empty, or repeats one")
    der = pybase64.b64decode(text, validate=True)
    _demand(len(der) <= MAX_CERTIFICATE, f"a certificate has more than {MAX_CERTIFICATE} octets")
    (certificate,) = load_certificates(der)
    _demand(certificate.public_bytes(Encoding.DER) == der, "a certificate is not DER")
    role = Role(item["role"])
    if role is Role.ANCHOR:
        _demand(is_self_signed(certificate), "an anchor is not self-signed")
    else:
        _demand(is_ca(certificate), "an intermediate is not a CA's")
    return BundleItem(role, frozenset(map(Cloud, clouds)), certificate)


def _time(value: object) -> datetime:
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        raise ValueError("a time is not of the form 2026-07-01T00:00:00Z")
    return datetime.fromisoformat(value).astimezone(UTC)


def _demand(holds: bool, what: str) -> None:  # noqa: FBT001 - what is demanded
    if not holds:
        raise ValueError(what)
