"""A private PKI in Azure's shape, and evidence signed under it.

Certificates come from cryptography's builder, the CMS around them from :mod:`tests.support.der`.
Keys are made anew in every process, once per purpose: the repository holds no private key of
this PKI.  Every option that a forgery needs is a parameter; the defaults give good evidence.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, ObjectIdentifier

from attest import AppraisalPolicy, Cloud, TrustStore, Verifier
from tests.support import der

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

# The moment at which everything here is valid, and the documents are a minute old.
AT = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
CREATED = AT - timedelta(minutes=1)
EXPIRES = CREATED + timedelta(hours=6)
CA_VALID = (AT - timedelta(days=1000), AT + timedelta(days=1000))
SIGNER_VALID = (AT - timedelta(days=30), AT + timedelta(days=60))

NONCE = "0123456789abcdef"
VM_ID = "b1310a36-d400-46f6-82cb-6217df846586"
SUBSCRIPTION = "8a205152-b25a-417f-a676-80465535a6c9"
NAMES = ("eastus.metadata.azure.com", "metadata.azure.com")

ID_DATA = "1.2.840.113549.1.7.1"
ID_SIGNED_DATA = "1.2.840.113549.1.7.2"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
DIGESTS = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
RSA_WITH = {
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
ECDSA_WITH = {
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "p256": ec.SECP256R1,
    "p384": ec.SECP384R1,
    "p521": ec.SECP521R1,
    "k256": ec.SECP256K1,
}


def rsa_key(purpose: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return this process's RSA key for a purpose."""
    return _rsa_key(purpose, bits)


def ec_key(purpose: str, curve: str = "p256") -> ec.EllipticCurvePrivateKey:
    """Return this process's ECDSA key for a purpose."""
    return _ec_key(purpose, curve)


# Apart, since a cache takes f(x) and f(x, default) for two calls.
@functools.lru_cache(maxsize=64)
def _rsa_key(_purpose: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.lru_cache(maxsize=64)
def _ec_key(_purpose: str, curve: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(_CURVES[curve]())


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        """The certificate."""
        return der_of(self.certificate)


def der_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate as DER."""
    return certificate.public_bytes(Encoding.DER)


def pem_of(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM, one after the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def x509_name(common_name: str | None) -> x509.Name:
    """Return a distinguished name as Azure's CAs have them."""
    attributes = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test Corporation"),
    ]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def make_ca(
    common_name: str,
    issuer: Identity | None = None,
    *,
    key: PrivateKey | None = None,
    valid: tuple[datetime, datetime] = CA_VALID,
    basic_constraints: bool = True,
    path_length: int | None = None,
    name_constraints: x509.NameConstraints | None = None,
    extended_key_usage: Sequence[ObjectIdentifier] | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    signed_by: PrivateKey | None = None,
    digest: str = "sha256",
) -> Identity:
    """Make a CA certificate, self-signed where no issuer is given.

    Args:
        common_name: its subject's common name.
        issuer: whose name it bears as issuer, and whose key signs.
        key: its own key; by default the process's key for its name.
        valid: notBefore and notAfter.
        basic_constraints: whether it says that it is a CA.
        path_length: pathLenConstraint.
        name_constraints: the nameConstraints extension.
        extended_key_usage: the extendedKeyUsage extension.
        extensions: further ones, each with its criticality.
        signed_by: another key than the issuer's, for a signature that is not the issuer's.
        digest: of its signature.
    """
    key = key or rsa_key(common_name)
    extras: list[tuple[x509.ExtensionType, bool]] = [
        (
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            True,
        )
    ]
    if basic_constraints:
        extras.append((x509.BasicConstraints(ca=True, path_length=path_length), True))
    if name_constraints is not None:
        extras.append((name_constraints, True))
    if extended_key_usage is not None:
        extras.append((x509.ExtendedKeyUsage(extended_key_usage), False))
    return _issue(
        x509_name(common_name), key, issuer, valid, [*extras, *extensions], signed_by, digest
    )


def make_signer(
    issuer: Identity,
    *,
    key: PrivateKey | None = None,
    names: Sequence[str] | None = NAMES,
    raw_names: Sequence[bytes] = (),
    common_name: str | None = "metadata.azure.com",
    valid: tuple[datetime, datetime] = SIGNER_VALID,
    extended_key_usage: Sequence[ObjectIdentifier] | None = (ExtendedKeyUsageOID.SERVER_AUTH,),
    digital_signature: bool | None = True,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    signed_by: PrivateKey | None = None,
    serial: int | None = None,
    digest: str = "sha256",
) -> Identity:
    """Make a metadata signer's certificate.

    Args:
        issuer: the CA.
        key: its key; by default the process's key for signers.
        names: the dNSNames of the subjectAltName; ``None`` for no subjectAltName at all.
        raw_names: GeneralNames already encoded, added after the names.
        common_name: of the subject; ``None`` for none.
        valid: notBefore and notAfter.
        extended_key_usage: ``None`` for no extension.
        digital_signature: that bit of keyUsage; ``None`` for no extension.
        extensions: further ones, each with its criticality.
        signed_by: another key than the issuer's.
        serial: the serial number, random by default.
        digest: of the CA's signature.
    """
    extras: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True)
    ]
    if names is not None:
        encoded = [der.tlv(0x82, name.encode("latin-1")) for name in names]
        extras.append(
            (raw_extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, *encoded, *raw_names), False)
        )
    if extended_key_usage is not None:
        extras.append((x509.ExtendedKeyUsage(extended_key_usage), False))
    if digital_signature is not None:
        extras.append((_signer_key_usage(digital_signature=digital_signature), True))
    return _issue(
        x509_name(common_name),
        key or rsa_key("signer"),
        issuer,
        valid,
        [*extras, *extensions],
        signed_by,
        digest,
        serial,
    )


def raw_extension(oid: ObjectIdentifier, *members: bytes) -> x509.UnrecognizedExtension:
    """Return an extension whose value is a SEQUENCE of members that nobody has checked."""
    return x509.UnrecognizedExtension(oid, der.sequence(*members))


def _signer_key_usage(*, digital_signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issue(
    subject: x509.Name,
    key: PrivateKey,
    issuer: Identity | None,
    valid: tuple[datetime, datetime],
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    signed_by: PrivateKey | None,
    digest: str,
    serial: int | None = None,
) -> Identity:
    issuer_key = issuer.key if issuer else key
    public_key = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(public_key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    hash_algorithm = _HASHES[digest]
    assert isinstance(hash_algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512))
    return Identity(builder.sign(signed_by or issuer_key, hash_algorithm), key)


def make_crl(
    issuer: Identity,
    *revoked: Identity,
    updated: tuple[datetime, datetime] = (AT - timedelta(days=1), AT + timedelta(days=6)),
    revoked_on: datetime = AT - timedelta(days=2),
    signed_by: PrivateKey | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
) -> x509.CertificateRevocationList:
    """Make a CRL: who is revoked, and thisUpdate and nextUpdate."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(updated[0])
        .next_update(updated[1])
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    for identity in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(identity.certificate.serial_number)
            .revocation_date(revoked_on)
            .build()
        )
    return builder.sign(signed_by or issuer.key, hashes.SHA256())


def crl_points(*urls: str) -> tuple[x509.ExtensionType, bool]:
    """Return cRLDistributionPoints with one point of these addresses, for a certificate."""
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    return x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]), False


def crl_partition(*urls: str) -> tuple[x509.ExtensionType, bool]:
    """Return issuingDistributionPoint with these addresses, for a CRL that is a part."""
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    point = x509.IssuingDistributionPoint(
        full_name=names,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    return point, True


def sha1_crl(
    crl: x509.CertificateRevocationList, key: PrivateKey
) -> x509.CertificateRevocationList:
    """Sign a CRL anew with SHA-1, which the builder refuses to do."""
    algorithm = der.algorithm("1.2.840.113549.1.1.5")
    version, _, *rest = der.parts(crl.tbs_certlist_bytes)
    tbs = der.sequence(version, algorithm, *rest)
    signature = sign(key, tbs, "sha1")
    return x509.load_der_x509_crl(der.sequence(tbs, algorithm, der.tlv(0x03, b"\0", signature)))


def sign(key: PrivateKey, message: bytes, digest: str = "sha256") -> bytes:
    """Sign a message: PKCS#1 v1.5 or ECDSA."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), _HASHES[digest])
    return key.sign(message, ec.ECDSA(_HASHES[digest]))


def timestamp(moment: datetime) -> str:
    """Format a time as Azure does."""
    return moment.strftime("%m/%d/%y %H:%M:%S -0000")


def make_fields(**changes: object) -> dict[str, object]:
    """Return the fields of a document as Azure writes them; ``key=None`` leaves one out."""
    fields: dict[str, object] = {
        "licenseType": "",
        "nonce": NONCE,
        "plan": {"name": "gold", "product": "suite", "publisher": "acme"},
        "sku": "20_04-lts-gen2",
        "subscriptionId": SUBSCRIPTION,
        "timeStamp": {"createdOn": timestamp(CREATED), "expiresOn": timestamp(EXPIRES)},
        "vmId": VM_ID,
    }
    return {key: value for key, value in {**fields, **changes}.items() if value is not None}


def make_content(**changes: object) -> bytes:
    """Return the fields as compact JSON."""
    return json.dumps(make_fields(**changes), separators=(",", ":"), ensure_ascii=False).encode()


def attribute(dotted: str, *values: bytes) -> bytes:
    """Encode an Attribute."""
    return der.sequence(der.oid(dotted), der.set_of(*values))


def attributes_for(
    content: bytes, digest: str = "sha256", content_type: str = ID_DATA
) -> list[bytes]:
    """Return the two signed attributes that RFC 5652 section 5.3 demands."""
    return [
        attribute(CONTENT_TYPE, der.oid(content_type)),
        attribute(MESSAGE_DIGEST, der.octets(hashlib.new(digest, content).digest())),
    ]


def issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Encode a sid of that kind."""
    return der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))


def key_identifier(certificate: x509.Certificate) -> bytes:
    """Encode a sid that is a subjectKeyIdentifier."""
    extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return der.tlv(0x80, extension.value.digest)


@dataclass(frozen=True, kw_only=True)
class SignerInfo:
    """The options of a SignerInfo; ``None`` stands for the right value."""

    version: int = 1
    sid: bytes | None = None
    digest: str = "sha256"
    digest_algorithm: bytes | None = None
    signed_attributes: Sequence[bytes] | None = None
    signature_algorithm: bytes | None = None
    signed: bytes | None = None
    signature: bytes | None = None
    unsigned_attributes: bytes = b""

    def algorithms(self, key: PrivateKey) -> tuple[bytes, bytes]:
        """Return digestAlgorithm and signatureAlgorithm: Azure's, ECDSA's of RFC 5754."""
        if isinstance(key, rsa.RSAPrivateKey):
            usual = der.algorithm(RSA_WITH[self.digest]), der.algorithm(RSA_ENCRYPTION)
        else:
            usual = (
                der.algorithm(DIGESTS[self.digest], b""),
                der.algorithm(ECDSA_WITH[self.digest], b""),
            )
        return self.digest_algorithm or usual[0], self.signature_algorithm or usual[1]

    def encode(self, signer: Identity, content: bytes) -> bytes:
        """Sign and encode."""
        digest_algorithm, signature_algorithm = self.algorithms(signer.key)
        attributes, message = b"", content
        if self.signed_attributes is not None:
            attributes = b"\xa0" + der.set_of(*self.signed_attributes)[1:]
            message = der.set_of(*self.signed_attributes)
        signature = self.signature
        if signature is None:
            signature = sign(signer.key, self.signed or message, self.digest)
        return der.sequence(
            der.integer(self.version),
            self.sid or issuer_and_serial(signer.certificate),
            digest_algorithm,
            attributes,
            signature_algorithm,
            der.octets(signature),
            self.unsigned_attributes,
        )


_DEFAULT_SIGNER_INFO = SignerInfo()


def make_evidence(
    signer: Identity,
    content: bytes | None = None,
    *,
    info: SignerInfo = _DEFAULT_SIGNER_INFO,
    infos: Sequence[bytes] | None = None,
    certificates: Sequence[bytes] | None = None,
    crls: bytes = b"",
    version: int = 1,
    digest_algorithms: bytes | None = None,
    content_type: str = ID_DATA,
    detached: bool = False,
    shown: bytes | None = None,
    outer_type: str = ID_SIGNED_DATA,
) -> bytes:
    """Make a ContentInfo with a SignedData.

    Args:
        signer: who signs, and whose certificate is in the bag.
        content: what is signed, a good document by default.
        info: the options of the SignerInfo.
        infos: SignerInfos already encoded, in place of that one.
        certificates: the bag in place of the signer's certificate alone; empty for no bag.
        crls: the element after the bag.
        version: of the SignedData.
        digest_algorithms: the outer digestAlgorithms, by default what the SignerInfo says.
        content_type: eContentType.
        detached: leave the content out.
        shown: content octets other than those signed.
        outer_type: the contentType of the ContentInfo.
    """
    content = make_content() if content is None else content
    shown = content if shown is None else shown
    bag = [signer.der] if certificates is None else certificates
    signer_infos = [info.encode(signer, content)] if infos is None else infos
    return der.sequence(
        der.oid(outer_type),
        der.context(
            0,
            der.sequence(
                der.integer(version),
                digest_algorithms or der.set_of(info.algorithms(signer.key)[0]),
                der.sequence(
                    der.oid(content_type), b"" if detached else der.context(0, der.octets(shown))
                ),
                der.context(0, *bag) if bag else b"",
                crls,
                der.set_of(*signer_infos),
            ),
        ),
    )


def base64_text(evidence: bytes) -> str:
    """Return evidence as base64."""
    return base64.b64encode(evidence).decode("ascii")


def imds_json(evidence: bytes) -> str:
    """Return evidence as IMDS answers."""
    return json.dumps({"encoding": "pkcs7", "signature": base64_text(evidence)})


@dataclass(frozen=True)
class Pki:
    """A root, an intermediate, a signer, and who trusts them."""

    root: Identity
    intermediate: Identity
    signer: Identity

    def store(
        self,
        *,
        intermediates: Sequence[x509.Certificate] | None = None,
        clouds: Iterable[Cloud] = tuple(Cloud),
    ) -> TrustStore:
        """Return a store that pins root and intermediate."""
        links = [self.intermediate.certificate] if intermediates is None else intermediates
        return TrustStore.from_certificates(
            anchors=[self.root.certificate], intermediates=links, clouds=set(clouds)
        )

    def verifier(self, **demands: object) -> Verifier:
        """Return a new verifier with that store and a policy of these demands."""
        return Verifier(self.store(), AppraisalPolicy(**demands))  # type: ignore[arg-type]


@functools.lru_cache(maxsize=1)
def pki() -> Pki:
    """Return this process's PKI."""
    root = make_ca("Test Root G1")
    intermediate = make_ca("Test Issuing CA 01", root, path_length=0)
    return Pki(root, intermediate, make_signer(intermediate))


@functools.lru_cache(maxsize=1)
def good_evidence() -> bytes:
    """Return this process's good evidence."""
    return make_evidence(pki().signer)


# The places of the fields of a TBSCertificate (RFC 5280 section 4.1).
VERSION, SERIAL, ALGORITHM, ISSUER, VALIDITY, SUBJECT, PUBLIC_KEY, EXTENSIONS = range(8)


def resign(certificate: bytes, key: PrivateKey, changes: Mapping[int, bytes]) -> bytes:
    """Put other octets in a certificate's fields, and sign the outcome."""
    tbs, algorithm, _ = der.parts(certificate)
    fields = [changes.get(place, value) for place, value in enumerate(der.parts(tbs))]
    tbs = der.sequence(*fields)
    return der.sequence(tbs, algorithm, der.tlv(0x03, b"\0", sign(key, tbs)))


def raw_name(tag: int, value: bytes, attribute_type: str = "2.5.4.3") -> bytes:
    """Encode a distinguished name of one attribute whose value nobody has checked."""
    return der.sequence(der.tlv(0x31, der.sequence(der.oid(attribute_type), der.tlv(tag, value))))


def raw_sid(certificate: bytes) -> bytes:
    """Return the issuerAndSerialNumber that a certificate's octets give."""
    fields = der.parts(der.parts(certificate)[0])
    return der.sequence(fields[ISSUER], fields[SERIAL])


# Fields that parse as ASN.1 and not as what they should hold: some readers find out when the
# field is first used, and only then.
UNREADABLE_FIELDS = [
    pytest.param(ISSUER, raw_name(0x0C, b"\xff"), id="issuer is not UTF-8"),
    pytest.param(ISSUER, raw_name(0x05, b""), id="issuer is NULL"),
    pytest.param(ISSUER, raw_name(0x03, b"\0a"), id="issuer is a BIT STRING"),
    pytest.param(ISSUER, raw_name(0x13, b"USA", "2.5.4.6"), id="country of the issuer is long"),
    pytest.param(SUBJECT, raw_name(0x0C, b"\xff"), id="subject is not UTF-8"),
    pytest.param(SUBJECT, raw_name(0x03, b"\0a"), id="subject is a BIT STRING"),
    pytest.param(
        VALIDITY,
        der.sequence(der.tlv(0x18, b"00000101000000Z"), der.tlv(0x18, b"99991231235959Z")),
        id="year 0",
    ),
    pytest.param(
        EXTENSIONS,
        der.context(
            3,
            der.sequence(
                der.sequence(
                    der.oid("2.5.29.17"),
                    der.octets(der.sequence(der.tlv(0xA3, b"\x02\x05\0"))),
                )
            ),
        ),
        id="x400Address",
    ),
]
