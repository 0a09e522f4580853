"""What is kept of an unknown issuer: bounded, and clean whoever wrote it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import RowMapping

from attest.certificates import describe
from attest.evidence import decode_evidence
from attest.extensions import ca_issuers
from service.database import from_milliseconds, to_milliseconds

PENDING = "pending"
DISMISSED = "dismissed"

_MAX_NAME = 512
_MAX_URLS = 4
_MAX_URL = 512
_MAX_DNS_NAMES = 8


@dataclass(frozen=True, slots=True)
class UnknownIssuer:
    """An issuer without a path.  Whoever made the evidence wrote the names; they are cleaned.

    Attributes:
        id: names the record: a hash of the issuer's name and key identifier.
        issuer: the issuer's name (RFC 4514).
        aia_urls: where its certificate is said to be.
        signer_sha256: fingerprint of the signer certificate that was seen first.
        signer_subject: its subject (RFC 4514).
        signer_names: its dNSNames.
        newest_sha256: fingerprint of another signer in this issuer's name, the one noted last.
        count: how often evidence of this issuer came.
        first_seen: when for the first time, in UTC.
        last_seen: when for the last time, in UTC.
    """

    id: str
    issuer: str
    aia_urls: tuple[str, ...]
    signer_sha256: str
    signer_subject: str
    signer_names: tuple[str, ...]
    newest_sha256: str | None
    count: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Specimen:
    """What was refused.

    Attributes:
        signer_certificate: the signer certificate, DER.
        evidence: one piece of its evidence, base64.
    """

    signer_certificate: bytes
    evidence: str


def new_row(
    key: str, certificate: x509.Certificate, evidence: str, at: datetime
) -> dict[str, object]:
    """Return the row of an issuer's first sighting.

    Args:
        key: the digest of its :class:`attest.issuer_cache.IssuerKey`.
        certificate: the signer certificate.
        evidence: the evidence that it signed.
        at: the time, aware.
    """
    info, moment = describe(certificate), to_milliseconds(at)
    urls = [url for url in ca_issuers(certificate) if _is_plain(url) and len(url) <= _MAX_URL]
    names = [_clean(name) for name in info.dns_names[:_MAX_DNS_NAMES]]
    return {
        "id": key,
        "status": PENDING,
        "count": 1,
        "first_seen": moment,
        "last_seen": moment,
        "signer_sha256": info.sha256,
        "issuer": _clean(info.issuer),
        "signer_subject": _clean(info.subject),
        "signer_names": json.dumps(names),
        "aia_urls": json.dumps(urls[:_MAX_URLS]),
        "signer_certificate": _base64(certificate.public_bytes(Encoding.DER)),
        "specimen": _base64(decode_evidence(evidence)),
    }


def read_row(row: RowMapping) -> UnknownIssuer:
    """Return a row of the table as a record."""
    return UnknownIssuer(
        id=row["id"],
        issuer=row["issuer"],
        aia_urls=tuple(json.loads(row["aia_urls"])),
        signer_sha256=row["signer_sha256"],
        signer_subject=row["signer_subject"],
        signer_names=tuple(json.loads(row["signer_names"])),
        newest_sha256=row["newest_sha256"],
        count=row["count"],
        first_seen=from_milliseconds(row["first_seen"]),
        last_seen=from_milliseconds(row["last_seen"]),
    )


def read_specimens(row: RowMapping) -> list[Specimen]:
    """Return what a row keeps as evidence: of the first signer, and of the newest if another."""
    pairs = (("signer_certificate", "specimen"), ("newest_certificate", "newest_specimen"))
    return [
        Specimen(base64.b64decode(row[certificate]), row[evidence])
        for certificate, evidence in pairs
        if row[certificate] is not None
    ]


def log_fields(row: Mapping[str, Any]) -> dict[str, object]:
    """Return what the log says of a new issuer; no evidence is in it."""
    return {
        "issuer": row["issuer"],
        "aia_urls": json.loads(row["aia_urls"]),
        "signer_sha256": row["signer_sha256"],
        "signer_subject": row["signer_subject"],
        "signer_names": json.loads(row["signer_names"]),
    }


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _clean(text: str) -> str:
    """Return a text of bounded length that forges neither log lines nor terminal sequences."""
    return (text if _is_plain(text) else ascii(text)[1:-1])[:_MAX_NAME]


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
