"""Until when the pinned certificates will do: per CA key, not per file.

A CA key often has several certificates (it was cross-signed, or renewed).  What matters to an
operator is when the last path through that key ends, not that one of its certificates has; and
of all keys, those that sign the newest evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest.certificates import is_issued_by
from attest.clouds import Cloud
from attest.trust import TrustStore

# CAs that started so close to each other replaced their predecessors together: the Microsoft TLS
# G2 RSA CAs within 13 days, the Microsoft Azure TLS Issuing CAs within half a year.
_ONE_GENERATION = timedelta(days=200)


@dataclass(frozen=True, slots=True)
class CaLifetime:
    """One CA key of one cloud.

    Attributes:
        cloud: the cloud.
        role: ``anchor`` or ``intermediate``.
        certificates: its certificates, the one that ends last first.
        live_until: when the last path through it to an anchor ends, in UTC.
    """

    cloud: Cloud
    role: str
    certificates: tuple[x509.Certificate, ...]
    live_until: datetime

    @property
    def since(self) -> datetime:
        """When the key was first certified, in UTC, as far as its certificates tell."""
        return min(certificate.not_valid_before_utc for certificate in self.certificates)

    def expired_twins(self, at: datetime) -> tuple[x509.Certificate, ...]:
        """Return the certificates that have expired though the key still has a live path."""
        if self.live_until < at:
            return ()
        return tuple(c for c in self.certificates if c.not_valid_after_utc < at)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Until when evidence of one cloud will verify with what a store holds.

    Attributes:
        cloud: the cloud.
        newest: the newest generation of issuing CAs.
        newest_until: when the first of them ends: from then on, new evidence may not verify.
        last_until: when the last path of any issuing CA ends, and with it all of the cloud.
    """

    cloud: Cloud
    newest: tuple[CaLifetime, ...]
    newest_until: datetime
    last_until: datetime

    @property
    def since(self) -> datetime:
        """When the newest generation began, in UTC."""
        return min(item.since for item in self.newest)


def outlook(lifetimes: Iterable[CaLifetime], at: datetime) -> Outlook | None:
    """Tell until when the evidence that a cloud's newest CAs issue will verify.

    Issuing CAs are the lowest ones: those to which no other CA of the store chains.  Where the
    store holds anchors alone, those of them count.

    Args:
        lifetimes: the CA keys of one cloud.
        at: the time, aware; CAs that start later are left out.

    Returns:
        The outlook, ``None`` where no CA has started yet.
    """
    started = [item for item in lifetimes if item.since <= at]
    lowest = [item for item in started if not _issues(item, started)]
    issuing = [item for item in lowest if item.role == "intermediate"] or lowest
    if not issuing:
        return None
    begin = max(item.since for item in issuing) - _ONE_GENERATION
    newest = tuple(item for item in issuing if item.since >= begin)
    return Outlook(
        cloud=newest[0].cloud,
        newest=newest,
        newest_until=min(item.live_until for item in newest),
        last_until=max(item.live_until for item in issuing),
    )


def ca_lifetimes(store: TrustStore, cloud: Cloud) -> list[CaLifetime]:
    """Return the CA keys that are pinned for a cloud, the anchors first.

    A key that is pinned as an anchor appears as one, whatever cross-signed certificates it has.
    """
    anchors, intermediates = store.anchors_for(cloud), store.intermediates_for(cloud)
    ends = {anchor: anchor.not_valid_after_utc for anchor in anchors}
    settled = False
    while not settled:  # an issuer that has two certificates may gain by the second
        before = dict(ends)
        for certificate in intermediates:
            issuers = [end for ca, end in ends.items() if is_issued_by(certificate, ca)]
            ends[certificate] = min([certificate.not_valid_after_utc, max(issuers)])
        settled = ends == before
    groups: dict[tuple[bytes, bytes], list[x509.Certificate]] = {}
    for certificate in (*anchors, *intermediates):
        groups.setdefault(_key(certificate), []).append(certificate)
    return [_lifetime(cloud, group, anchors, ends) for group in groups.values()]


def _issues(ca: CaLifetime, others: Iterable[CaLifetime]) -> bool:
    issuer = ca.certificates[0]  # its other certificates have the same name and key
    return any(
        is_issued_by(certificate, issuer)
        for other in others
        if other is not ca
        for certificate in other.certificates
    )


def _lifetime(
    cloud: Cloud,
    group: list[x509.Certificate],
    anchors: Iterable[x509.Certificate],
    ends: dict[x509.Certificate, datetime],
) -> CaLifetime:
    certificates = sorted(group, key=lambda c: ends[c], reverse=True)
    role = "anchor" if set(group) & set(anchors) else "intermediate"
    return CaLifetime(cloud, role, tuple(certificates), ends[certificates[0]])


def _key(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.subject.public_bytes(), spki
