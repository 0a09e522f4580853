"""Until when the pinned certificates will do: per CA key, not per file.

A CA key often has several certificates (it was cross-signed, or renewed).  What matters to an
operator is when the last path through that key ends, not that one of its certificates has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest.certificates import is_issued_by
from attest.clouds import Cloud
from attest.trust import TrustStore


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

    def expired_twins(self, at: datetime) -> tuple[x509.Certificate, ...]:
        """Return the certificates that have expired though the key still has a live path."""
        if self.live_until < at:
            return ()
        return tuple(c for c in self.certificates if c.not_valid_after_utc < at)


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
