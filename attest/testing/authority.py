"""FakeAuthority: a whole test PKI of one cloud, and the signer of its attested documents."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Unpack

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from attest.clouds import Cloud
from attest.testing import encoder
from attest.testing.document import DocumentFields, FakeDocument
from attest.testing.evidence import FakeSigner, SignedEvidence
from attest.testing.keys import Digest, PrivateKey, new_ec_key, new_rsa_key
from attest.testing.pki import CertificationAuthority, Validity
from attest.testing.shapes import BUILDERS, Settings, Shape
from attest.testing.signers import SignerOptions
from attest.trust import TrustStore

DEFAULT_BASE_URL = "http://127.0.0.1:8169"
SIGNER_AGE = timedelta(days=30)
SIGNER_LIFETIME = timedelta(days=180)

_REGIONS = {
    Cloud.PUBLIC: "eastus",
    Cloud.USGOV: "usgovvirginia",
    Cloud.CHINA: "chinaeast2",
    Cloud.GERMANY: "germanycentral",
}


class FakeAuthority:
    """A test PKI that signs attested documents exactly as Azure does.  Trust it in tests alone.

    All keys are made afresh, stay in memory and end with the object; two authorities never
    trust each other.  Making one takes a fifth of a second, signing a document less than a
    millisecond.  Signing is safe among threads.

    Attributes:
        cloud: whose signer names it uses.
        shape: the hierarchy, copied from reality.
        base_url: what every AIA and CRL address starts with.
        region: the region in its signers' names.
        real_names: its CAs have the names of the real ones.
        anchors: the self-signed root certificates.
        intermediates: the other CA certificates, an expired one included.
        authorities: the CAs with their keys, the one that issues signers first.
        default_signer: the signer that :meth:`sign` uses.
    """

    def __init__(
        self,
        cloud: Cloud = Cloud.PUBLIC,
        shape: Shape | str = Shape.G2,
        *,
        now: datetime | Callable[[], datetime] | None = None,
        region: str | None = None,
        ca_bits: int = 2048,
        signer_bits: int = 2048,
        base_url: str = DEFAULT_BASE_URL,
        real_names: bool = False,
    ) -> None:
        """Make keys and certificates.

        Args:
            cloud: the cloud to imitate.
            shape: ``baltimore``, ``rsa_xsign``, ``g2`` or ``ecdsa``.
            now: the time, aware, or what tells it; by default the system's clock.  The dates of
                the certificates follow the time at which the authority is made.
            region: the region in the signer's names; by default one of the cloud's.
            ca_bits: the size of the CAs' RSA keys; Azure's have 4,096 bits.
            signer_bits: the size of the signer's RSA key.
            base_url: what the AIA and CRL addresses start with, such as an emulator's address.
            real_names: give the CAs the names of the real ones, without the word "Fake".

        Raises:
            ValueError: the shape is unknown, the time is not aware, or a key size is not
                offered.
        """
        self.cloud = Cloud(cloud)
        self.shape = Shape(shape)
        self.base_url = base_url.rstrip("/")
        self.region = _REGIONS[self.cloud] if region is None else region
        self.real_names = real_names
        self._clock = _clock(now)
        self._settings = Settings(
            cloud=self.cloud,
            now=self.now(),
            base_url=self.base_url,
            ca_bits=ca_bits,
            real_names=real_names,
        )
        hierarchy = BUILDERS[self.shape](self._settings)
        self.anchors = tuple(hierarchy.anchors)
        self.intermediates = tuple(hierarchy.intermediates)
        self.authorities = tuple(hierarchy.authorities)
        self._published = dict(hierarchy.published)
        self._style = hierarchy.style
        signer_key = new_ec_key() if self.shape is Shape.ECDSA else new_rsa_key(signer_bits)
        self.default_signer = self.issue_signer(key=signer_key)

    def now(self) -> datetime:
        """Return the authority's time, in UTC, in whole seconds.

        Raises:
            ValueError: the clock gives a time that is not aware.
        """
        moment = self._clock()
        if moment.tzinfo is None:
            raise ValueError("now must be aware, such as datetime.now(UTC)")
        return moment.astimezone(UTC).replace(microsecond=0)

    def in_region(self, region: str) -> FakeAuthority:
        """Return this authority, CAs and revocations shared, with a signer of another region."""
        other = copy.copy(self)
        other.region = region
        other.default_signer = other.issue_signer()
        return other

    @property
    def signer(self) -> x509.Certificate:
        """The certificate of the default signer."""
        return self.default_signer.certificate

    @property
    def issuer(self) -> CertificationAuthority:
        """The CA that issues signer certificates."""
        return self.authorities[0]

    def trust_store(self) -> TrustStore:
        """Return a trust store that trusts this authority for its cloud, and nothing else."""
        return TrustStore.from_certificates(
            anchors=self.anchors, intermediates=self.intermediates, clouds={self.cloud}
        )

    def trust_pem(self) -> bytes:
        """Return the roots and intermediates as PEM, for ``attest verify --trust``."""
        certificates = (*self.anchors, *self.intermediates)
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)

    def certificates_by_url(self) -> dict[str, x509.Certificate]:
        """Return the certificate behind each AIA caIssuers address that a certificate names."""
        return dict(self._published)

    def crls_by_url(
        self, *, at: datetime | None = None
    ) -> dict[str, x509.CertificateRevocationList]:
        """Return the CRL, as of now, behind each CRL address that a certificate names."""
        found: dict[str, x509.CertificateRevocationList] = {}
        for authority in self.authorities:
            if authority.urls.crls:
                crl = authority.crl(self.now() if at is None else at)
                found.update(dict.fromkeys(authority.urls.crls, crl))
        return found

    def crls(
        self, *, at: datetime | None = None, revoked: Iterable[x509.Certificate] = ()
    ) -> list[x509.CertificateRevocationList]:
        """Return a CRL of each CA, the one that issues signers first.

        Args:
            at: when the CRLs are current, aware; by default now.
            revoked: certificates that these CRLs revoke, and later ones need not.
        """
        moment = self.now() if at is None else at
        revoked = tuple(revoked)
        return [authority.crl(moment, revoked) for authority in self.authorities]

    def revoke(self, certificate: x509.Certificate) -> None:
        """Put a certificate on every later CRL of its issuer.

        Raises:
            ValueError: no CA of this authority has issued it.
        """
        for authority in self.authorities:
            if certificate in authority.issued:
                authority.revoke(certificate, self.now())
                return
        raise ValueError("no CA of this authority has issued this certificate")

    def issue_signer(
        self,
        *,
        region: str | None = None,
        names: Sequence[str] | None = None,
        key: PrivateKey | None = None,
        issuer: CertificationAuthority | None = None,
        options: SignerOptions | None = None,
    ) -> FakeSigner:
        """Issue a signer certificate with the profile of the shape's real ones.

        Args:
            region: the region in its names; by default the authority's.
            names: the dNSNames of its subjectAltName, instead of region and base name, in that
                order; empty leaves the extension out.
            key: its key; by default that of the default signer.
            issuer: the CA that issues it; by default the authority's issuing CA.
            options: how it differs from a real one.
        """
        options = SignerOptions() if options is None else options
        issuer = self.issuer if issuer is None else issuer
        key = self.default_signer.key if key is None else key
        domain = self.cloud.signer_domain
        if names is None:
            names = (f"{region or self.region}.{domain}", domain)
        usual = self._settings.validity(SIGNER_AGE, SIGNER_LIFETIME - SIGNER_AGE)
        certificate = issuer.issue(
            self._style.subject(domain),
            options.public_key or key.public_key(),
            options.validity or usual,
            self._style.extensions(names, issuer.urls, options),
            digest=options.digest,
            serial_number=options.serial_number,
        )
        return FakeSigner(certificate, key)

    def new_authority(self, common_name: str, *, urls_of: int = 0) -> CertificationAuthority:
        """Make a further CA that holds a key and no certificate yet.

        Args:
            common_name: its name.
            urls_of: the index in ``authorities`` of the CA whose addresses it writes.
        """
        subject = self._settings.name(C="US", O="Microsoft Corporation", CN=common_name)
        urls = self.authorities[urls_of].urls
        return CertificationAuthority(subject, new_ec_key(), Digest.SHA256, urls)

    def ca_validity(self) -> Validity:
        """Return the dates that the authority's intermediates have."""
        return self._settings.ca_validity()

    def sign(
        self,
        document: FakeDocument | None = None,
        *,
        signer: FakeSigner | None = None,
        content: bytes | None = None,
        digest: Digest | str = Digest.SHA256,
        signed_attrs: bool = False,
        sid: Literal["issuer", "key"] = "issuer",
        extra_certificates: Iterable[x509.Certificate] = (),
        quirk: bool = True,
        **fields: Unpack[DocumentFields],
    ) -> SignedEvidence:
        """Sign a document as Azure does.

        Args:
            document: the document; its default is a made-up VM's, created now.
            signer: who signs; by default the default signer.
            content: octets to sign in place of the document's JSON.
            digest: ``sha256``, ``sha384`` or ``sha512``.
            signed_attrs: write contentType, messageDigest and signingTime, and sign those.
            sid: name the certificate by issuer and serial number, or by key identifier.
            extra_certificates: put these behind the signer's in the bag.
            quirk: write shaNNNWithRSAEncryption as the digestAlgorithm, as Azure does.
            fields: fields of the document, replacing those of ``document``.

        Raises:
            ValueError: ``created_on`` is not aware, or the digest is unknown.
        """
        document = FakeDocument() if document is None else document
        document = replace(document, **fields).at(self.now())
        content = document.to_json() if content is None else content
        signer = self.default_signer if signer is None else signer
        digest = Digest(digest)
        named = encoder.algorithms(signer.key, digest, quirk=quirk)
        attributes = None
        if signed_attrs:
            at = document.created_on or self.now()
            attributes = encoder.standard_attributes(content, digest, at)
        info = encoder.signer_info(
            content, sid_of(signer, sid), signer.key, digest, attributes=attributes, named=named
        )
        extra = [c.public_bytes(serialization.Encoding.DER) for c in extra_certificates]
        der = encoder.signed_data(content, [signer.der, *extra], [info])
        return SignedEvidence(der, content, document, signer)


def sid_of(signer: FakeSigner, kind: Literal["issuer", "key"] = "issuer") -> bytes:
    """Encode the sid that names a signer."""
    if kind == "issuer":
        return encoder.issuer_and_serial_number(signer.certificate)
    return encoder.key_identifier(signer.certificate)


def _clock(now: datetime | Callable[[], datetime] | None) -> Callable[[], datetime]:
    if now is None:
        return lambda: datetime.now(UTC)
    if isinstance(now, datetime):
        fixed = now
        return lambda: fixed
    return now
