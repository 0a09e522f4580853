"""The certificate hierarchies that signed attested documents so far, rebuilt with fresh keys.

Names, depths, digests, key usages and the number of addresses are those of the real documents
and CA certificates; the keys are shorter (RSA of 2,048 bits in place of 4,096), the dates follow
the authority's clock, and the organisations are called "Fake ..." unless real names are asked
for.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from attest.clouds import Cloud
from attest.testing.keys import Digest, PrivateKey, new_ec_key, new_rsa_key
from attest.testing.pki import (
    CLIENT_AUTH,
    DOMAIN_VALIDATED,
    SERVER_AUTH,
    CertificationAuthority,
    Urls,
    Validity,
    name,
)
from attest.testing.signers import SignerStyle

_YEAR = timedelta(days=365)
CROSS_CERTIFICATE_EXPIRED = timedelta(days=7)


class Shape(enum.StrEnum):
    """A hierarchy, named for what was special about it.

    ``BALTIMORE``: to 2022; a root that signed itself with SHA-1, one issuing CA.
    ``RSA_XSIGN``: 2024; one issuing CA with a certificate from each of two roots, of which the
    older root's has expired.
    ``G2``: 2026; the old root, a bridge (the new root, cross-signed by the old), an issuing CA,
    and two addresses for everything.
    ``ECDSA``: CAs on P-384, the signer on P-256; such CAs are pinned, no document is known.
    """

    BALTIMORE = "baltimore"
    RSA_XSIGN = "rsa_xsign"
    G2 = "g2"
    ECDSA = "ecdsa"


@dataclass(slots=True, kw_only=True)
class Hierarchy:
    """The CAs of an authority.

    Attributes:
        anchors: self-signed certificates.
        intermediates: the other CA certificates, the expired ones included.
        authorities: every CA, the one that issues signer certificates first.
        published: the certificate behind each caIssuers address.
        style: how its signer certificates look.
    """

    anchors: list[x509.Certificate] = field(default_factory=list)
    intermediates: list[x509.Certificate] = field(default_factory=list)
    authorities: list[CertificationAuthority] = field(default_factory=list)
    published: dict[str, x509.Certificate] = field(default_factory=dict)
    style: SignerStyle = field(default_factory=SignerStyle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every hierarchy is built from.

    Attributes:
        cloud: the cloud; China's documents hang from another DigiCert root.
        now: the time that all dates follow, aware.
        base_url: what every AIA and CRL address starts with, without a slash at its end.
        ca_bits: the size of the CAs' RSA keys.
        real_names: leave out the word "Fake".
    """

    cloud: Cloud
    now: datetime
    base_url: str
    ca_bits: int
    real_names: bool

    def validity(self, before: timedelta, after: timedelta) -> Validity:
        """Return the dates from so long ago to so long from now."""
        return Validity(self.now - before, self.now + after)

    def name(self, **attributes: str) -> x509.Name:
        """Make a CA's name, its organisation marked as fake."""
        if not self.real_names:
            attributes["O"] = f"Fake {attributes['O']}"
        return name(**attributes)

    def authority(
        self,
        subject: x509.Name,
        key: PrivateKey,
        digest: Digest,
        *,
        certificates: tuple[str, ...] = ("pkiops/certs",),
        crls: tuple[str, ...] = ("pkiops/crl",),
        suffix: str = "",
    ) -> CertificationAuthority:
        """Make a CA that publishes its certificate and CRL in the folders given."""
        authority = CertificationAuthority(subject, key, digest, Urls())
        file = quote(authority.common_name + suffix)
        crl = quote(authority.common_name)
        authority.urls = Urls(
            issuers=tuple(f"{self.base_url}/{folder}/{file}.crt" for folder in certificates),
            crls=tuple(f"{self.base_url}/{folder}/{crl}.crl" for folder in crls),
            ocsp=f"{self.base_url}/ocsp",
        )
        return authority

    def rsa_key(self) -> PrivateKey:
        """Generate a CA key."""
        return new_rsa_key(self.ca_bits)

    def root_validity(self) -> Validity:
        """Return the dates of a root: 25 years, of which 10 have passed."""
        return self.validity(10 * _YEAR, 15 * _YEAR)

    def ca_validity(self) -> Validity:
        """Return the dates of another CA: 5 years, of which 2 have passed."""
        return self.validity(2 * _YEAR, 3 * _YEAR)


def _baltimore(settings: Settings) -> Hierarchy:
    root = settings.authority(
        settings.name(C="IE", O="Baltimore", OU="CyberTrust", CN="Baltimore CyberTrust Root"),
        settings.rsa_key(),
        Digest.SHA256,
        certificates=(),
        crls=("crl3",),
    )
    issuing = settings.authority(
        settings.name(C="US", O="Microsoft Corporation", CN="Microsoft RSA TLS CA 01"),
        settings.rsa_key(),
        Digest.SHA256,
        certificates=("pki/mscorp",),
        crls=("mscrl/pki/mscorp/crl", "pki/mscorp/crl"),
    )
    found = Hierarchy(
        authorities=[issuing, root],
        style=SignerStyle(
            organization=False,
            usages=(SERVER_AUTH, CLIENT_AUTH),
            data_encipherment=True,
            basic_constraints=False,
            policies=("1.3.6.1.4.1.311.42.1", DOMAIN_VALIDATED),
        ),
    )
    validity = settings.root_validity()
    anchor = root.issue_ca(root, validity, path_length=3, usages=(), digest=Digest.SHA1)
    link = root.issue_ca(issuing, settings.ca_validity(), usages=(SERVER_AUTH, CLIENT_AUTH))
    found.anchors.append(anchor)
    _publish(found, issuing, link)
    return found


def _rsa_xsign(settings: Settings) -> Hierarchy:
    old = _digicert_root(settings, "Global Root G2", settings.rsa_key())
    new = settings.authority(
        settings.name(
            C="US",
            O="Microsoft Corporation",
            CN="Microsoft RSA Root Certificate Authority 2017",
        ),
        settings.rsa_key(),
        Digest.SHA384,
    )
    issuing = settings.authority(
        settings.name(
            C="US", O="Microsoft Corporation", CN="Microsoft Azure RSA TLS Issuing CA 08"
        ),
        settings.rsa_key(),
        Digest.SHA384,
    )
    both = (SERVER_AUTH, CLIENT_AUTH)
    found = Hierarchy(authorities=[issuing, new, old], style=SignerStyle(usages=both[::-1]))
    expired = settings.validity(2 * _YEAR, -CROSS_CERTIFICATE_EXPIRED)
    for root in (old, new):
        anchor = root.issue_ca(root, settings.root_validity(), path_length=None, usages=())
        found.anchors.append(anchor)
        _publish_root(found, root, anchor)
    found.intermediates.append(old.issue_ca(issuing, expired, usages=both))
    _publish(found, issuing, new.issue_ca(issuing, settings.ca_validity(), usages=both))
    return found


def _g2(settings: Settings) -> Hierarchy:
    root = _digicert_root(settings, "Global Root G2", settings.rsa_key())
    certificates = ("pkiops/certs", "caissuers/pkiops/certs")
    crls = ("pkiops/crl", "crl2/pkiops/crl")
    bridge = settings.authority(
        settings.name(C="US", O="Microsoft Corporation", CN="Microsoft TLS RSA Root G2"),
        settings.rsa_key(),
        Digest.SHA384,
        certificates=certificates,
        crls=crls,
        suffix=" - xsign",
    )
    issuing = settings.authority(
        settings.name(C="US", O="Microsoft Corporation", CN="Microsoft TLS G2 RSA CA OCSP 02"),
        settings.rsa_key(),
        Digest.SHA384,
        certificates=certificates,
        crls=crls,
    )
    found = Hierarchy(authorities=[issuing, bridge, root])
    anchor = root.issue_ca(root, settings.root_validity(), path_length=None, usages=())
    found.anchors.append(anchor)
    _publish_root(found, root, anchor)
    cross = root.issue_ca(bridge, settings.ca_validity(), path_length=None)
    _publish(found, bridge, cross)
    _publish(found, issuing, bridge.issue_ca(issuing, settings.ca_validity()))
    return found


def _ecdsa(settings: Settings) -> Hierarchy:
    root = _digicert_root(settings, "Global Root G3", new_ec_key(ec.SECP384R1()))
    issuing = settings.authority(
        settings.name(
            C="US", O="Microsoft Corporation", CN="Microsoft Azure ECC TLS Issuing CA 03"
        ),
        new_ec_key(ec.SECP384R1()),
        Digest.SHA384,
    )
    both = (SERVER_AUTH, CLIENT_AUTH)
    found = Hierarchy(
        authorities=[issuing, root], style=SignerStyle(usages=both, key_encipherment=False)
    )
    anchor = root.issue_ca(root, settings.root_validity(), path_length=None, usages=())
    found.anchors.append(anchor)
    _publish_root(found, root, anchor)
    _publish(found, issuing, root.issue_ca(issuing, settings.ca_validity(), usages=both))
    return found


def _digicert_root(settings: Settings, title: str, key: PrivateKey) -> CertificationAuthority:
    # "For Azure China 21Vianet [...] from DigiCert Global Root CA": Microsoft's IMDS page.
    if settings.cloud is Cloud.CHINA and title == "Global Root G2":
        title = "Global Root CA"
    return settings.authority(
        settings.name(C="US", O="DigiCert Inc", OU="www.digicert.com", CN=f"DigiCert {title}"),
        key,
        Digest.SHA384,
        certificates=("cacerts",),
        crls=("crl3",),
    )


def _publish(
    found: Hierarchy, authority: CertificationAuthority, certificate: x509.Certificate
) -> None:
    found.intermediates.append(certificate)
    _publish_root(found, authority, certificate)


def _publish_root(
    found: Hierarchy, authority: CertificationAuthority, certificate: x509.Certificate
) -> None:
    found.published.update(dict.fromkeys(authority.urls.issuers, certificate))


BUILDERS: dict[Shape, Callable[[Settings], Hierarchy]] = {
    Shape.BALTIMORE: _baltimore,
    Shape.RSA_XSIGN: _rsa_xsign,
    Shape.G2: _g2,
    Shape.ECDSA: _ecdsa,
}
