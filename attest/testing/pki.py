"""Certification authorities of the fake: keys in memory, certificates, CRLs, revocation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
    ObjectIdentifier,
)

from attest.testing import der
from attest.testing.keys import (
    Digest,
    PrivateKey,
    PublicKey,
    hash_for_builder,
    sign,
    signature_algorithm,
)

Extensions = Iterable[tuple[x509.ExtensionType, bool]]

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
# CA/Browser Forum baseline requirements, section 7.1.6.1.
DOMAIN_VALIDATED = "2.23.140.1.2.1"
ORGANIZATION_VALIDATED = "2.23.140.1.2.2"
_REFUSED_BY_BUILDER = (Digest.MD5, Digest.SHA1)
_CRL_LIFETIME = timedelta(days=7)
_CRL_AGE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate is valid, both aware, both included."""

    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """The addresses that a CA writes into the certificates it issues.

    Attributes:
        issuers: AIA caIssuers: where the CA's own certificate is found.
        crls: the CRL distribution point's addresses.
        ocsp: AIA OCSP; nothing answers there.
    """

    issuers: tuple[str, ...] = ()
    crls: tuple[str, ...] = ()
    ocsp: str | None = None

    def extensions(self) -> list[tuple[x509.ExtensionType, bool]]:
        """Return cRLDistributionPoints and authorityInfoAccess (RFC 5280 section 4.2)."""
        access = [(AuthorityInformationAccessOID.CA_ISSUERS, url) for url in self.issuers]
        if self.ocsp is not None:
            access.append((AuthorityInformationAccessOID.OCSP, self.ocsp))
        found: list[tuple[x509.ExtensionType, bool]] = []
        if access:
            found.append(
                (
                    x509.AuthorityInformationAccess(
                        [
                            x509.AccessDescription(kind, x509.UniformResourceIdentifier(url))
                            for kind, url in access
                        ]
                    ),
                    False,
                )
            )
        if self.crls:
            names = [x509.UniformResourceIdentifier(url) for url in self.crls]
            point = x509.DistributionPoint(names, None, None, None)
            found.append((x509.CRLDistributionPoints([point]), False))
        return found


class CertificationAuthority:
    """One CA: a name, a key, and what it has issued and revoked.

    Attributes:
        name: its subject name.
        key: its private key.
        digest: the digest that it signs with.
        urls: what it writes into the certificates that it issues.
        issued: the certificates that it has issued, its own self-signed one included.
    """

    def __init__(self, name: x509.Name, key: PrivateKey, digest: Digest, urls: Urls) -> None:
        self.name = name
        self.key = key
        self.digest = digest
        self.urls = urls
        self.issued: list[x509.Certificate] = []
        self._revoked: dict[int, datetime] = {}

    @property
    def common_name(self) -> str:
        """The common name of its subject."""
        return str(self.name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    def issue(
        self,
        subject: x509.Name,
        public_key: PublicKey,
        validity: Validity,
        extensions: Extensions,
        *,
        digest: Digest | None = None,
        serial_number: int | None = None,
    ) -> x509.Certificate:
        """Issue a certificate with the extensions given, the two key identifiers, and no other.

        Args:
            subject: the subject name.
            public_key: the subject's key.
            validity: its dates.
            extensions: each with whether it is critical.
            digest: by default the CA's own.
            serial_number: by default a random one of 20 octets.
        """
        digest = self.digest if digest is None else digest
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(serial_number or x509.random_serial_number())
            .not_valid_before(validity.not_before)
            .not_valid_after(validity.not_after)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )
        if public_key != self.key.public_key():
            builder = builder.add_extension(self._authority_key_identifier(), critical=False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self.key, hash_for_builder(digest))
        if digest in _REFUSED_BY_BUILDER:
            # The builder signs with nothing broken; a certificate can be signed again by hand.
            certificate = resign(certificate, self.key, digest=digest)
        self.issued.append(certificate)
        return certificate

    def issue_ca(
        self,
        subject: CertificationAuthority,
        validity: Validity,
        *,
        path_length: int | None = 0,
        usages: Sequence[ObjectIdentifier] = (SERVER_AUTH,),
        extensions: Extensions = (),
        digest: Digest | None = None,
    ) -> x509.Certificate:
        """Issue a CA certificate to another CA, or to this one (a self-signed root).

        Args:
            subject: the CA that the certificate is for.
            validity: its dates.
            path_length: pathLenConstraint; ``None`` writes none.
            usages: extendedKeyUsage; where it is empty the extension is left out.
            extensions: further extensions, each with whether it is critical.
            digest: by default the CA's own.
        """
        is_root = subject is self
        own: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=True, path_length=path_length), True),
            (key_usage(ca=True, digital_signature=not is_root), True),
        ]
        if not is_root:
            own += self.urls.extensions()
            own.append((certificate_policies(ORGANIZATION_VALIDATED), False))
        if usages:
            own.append((x509.ExtendedKeyUsage(usages), False))
        own += extensions
        return self.issue(subject.name, subject.key.public_key(), validity, own, digest=digest)

    def revoke(self, certificate: x509.Certificate, at: datetime) -> None:
        """Put a certificate on every CRL from now on; ``at`` is the revocation date, aware."""
        self._revoked[certificate.serial_number] = at

    def crl(
        self, at: datetime, revoked: Iterable[x509.Certificate] = ()
    ) -> x509.CertificateRevocationList:
        """Issue a complete CRL (RFC 5280 section 5), signed with SHA-256.

        Args:
            at: the CRL is current from an hour before to seven days after this time, aware.
            revoked: certificates that only this CRL revokes; those of other CAs are left out.
        """
        serials = dict(self._revoked)
        serials.update((c.serial_number, at) for c in revoked if c in self.issued)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(at - _CRL_AGE)
            .next_update(at + _CRL_LIFETIME)
            .add_extension(self._authority_key_identifier(), critical=False)
            .add_extension(x509.CRLNumber(len(serials) + 1), critical=False)
        )
        for serial_number, moment in serials.items():
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial_number)
                .revocation_date(moment)
                .build()
            )
        return builder.sign(self.key, hash_for_builder(Digest.SHA256))

    def _authority_key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def key_usage(
    *,
    ca: bool = False,
    digital_signature: bool = True,
    key_encipherment: bool = False,
    data_encipherment: bool = False,
) -> x509.KeyUsage:
    """Make a keyUsage; a CA's signs certificates and CRLs."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=data_encipherment,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def certificate_policies(*dotted: str) -> x509.CertificatePolicies:
    """Make certificatePolicies without qualifiers."""
    return x509.CertificatePolicies(
        [x509.PolicyInformation(ObjectIdentifier(policy), None) for policy in dotted]
    )


def name(**attributes: str) -> x509.Name:
    """Make a name of C, ST, L, O, OU and CN, in the order given."""
    kinds = {
        "C": NameOID.COUNTRY_NAME,
        "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "L": NameOID.LOCALITY_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "CN": NameOID.COMMON_NAME,
    }
    return x509.Name([x509.NameAttribute(kinds[kind], value) for kind, value in attributes.items()])


def resign(
    certificate: x509.Certificate,
    key: PrivateKey,
    *,
    digest: Digest,
    outer_digest: Digest | None = None,
) -> x509.Certificate:
    """Sign a certificate again, with a digest that the builder of cryptography refuses.

    Args:
        certificate: what to sign; only its signature and its algorithm change.
        key: the issuer's key.
        digest: the digest to sign with, MD5 and SHA-1 included.
        outer_digest: what the unsigned AlgorithmIdentifier says instead (RFC 5280 section
            4.1.1.2 forbids a difference).
    """
    to_be_signed, _, _ = der.children(certificate.public_bytes(serialization.Encoding.DER))
    parts = der.children(to_be_signed)
    # version, serialNumber, signature, issuer, ...: RFC 5280 section 4.1.
    parts[2] = signature_algorithm(key, digest)
    to_be_signed = der.sequence(*parts)
    outer = signature_algorithm(key, outer_digest or digest)
    signature = der.bit_string(sign(key, to_be_signed, digest))
    return x509.load_der_x509_certificate(der.sequence(to_be_signed, outer, signature))
