"""Writes CMS SignedData (RFC 5652) as Azure does, or wrongly on request.

Azure's own: version 1, the signature algorithm's identifier where the digest's belongs, no
signedAttrs, one certificate.  Nothing here reads anything, and nothing is shared with the
decoder of the verification core.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from attest.testing import der
from attest.testing.keys import (
    RSA_ENCRYPTION,
    Digest,
    PrivateKey,
    algorithm,
    digest_algorithm,
    digest_octets,
    sign,
    signature_algorithm,
)

ID_DATA = "1.2.840.113549.1.7.1"
ID_SIGNED_DATA = "1.2.840.113549.1.7.2"
ID_CONTENT_TYPE = "1.2.840.113549.1.9.3"
ID_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
ID_SIGNING_TIME = "1.2.840.113549.1.9.5"


def issuer_and_serial_number(certificate: x509.Certificate) -> bytes:
    """Encode the sid that Azure writes (RFC 5652 section 10.2.4)."""
    issuer = certificate.issuer.public_bytes()
    return der.sequence(issuer, der.integer(certificate.serial_number))


def key_identifier(certificate: x509.Certificate) -> bytes:
    """Encode the other kind of sid (RFC 5652 section 5.3).

    Raises:
        x509.ExtensionNotFound: the certificate has no subjectKeyIdentifier.
    """
    extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return der.implicit(0, extension.value.digest)


def attribute(kind: str, *values: bytes) -> bytes:
    """Encode an Attribute (RFC 5652 section 5.3)."""
    return der.sequence(der.oid(kind), der.set_of(values))


def standard_attributes(content: bytes, digest: Digest, at: datetime) -> list[bytes]:
    """Encode contentType, messageDigest and signingTime (RFC 5652 section 11)."""
    moment = f"{at.astimezone(UTC):%y%m%d%H%M%SZ}".encode()
    return [
        attribute(ID_CONTENT_TYPE, der.oid(ID_DATA)),
        attribute(ID_MESSAGE_DIGEST, der.octet_string(digest_octets(digest, content))),
        attribute(ID_SIGNING_TIME, der.tlv(der.UTC_TIME, moment)),
    ]


def algorithms(key: PrivateKey, digest: Digest, *, quirk: bool = True) -> tuple[bytes, bytes]:
    """Return digestAlgorithm and signatureAlgorithm.

    Args:
        key: the signer's key.
        digest: the digest that is signed.
        quirk: for RSA, shaNNNWithRSAEncryption as the digestAlgorithm, as Azure writes it; the
            digest's own identifier otherwise.  For ECDSA nobody has seen Azure sign, so the
            standard's identifiers (RFC 5753 section 2.1) are written.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        named = signature_algorithm(key, digest) if quirk else digest_algorithm(digest)
        return named, algorithm(RSA_ENCRYPTION)
    return digest_algorithm(digest), signature_algorithm(key, digest)


def signer_info(
    content: bytes,
    sid: bytes,
    key: PrivateKey,
    digest: Digest = Digest.SHA256,
    *,
    attributes: Sequence[bytes] | None = None,
    named: tuple[bytes, bytes] | None = None,
    signature: bytes | None = None,
    version: int | None = None,
) -> bytes:
    """Encode a SignerInfo.

    Args:
        content: the octets to sign.
        sid: the encoded SignerIdentifier.
        key: the signer's key.
        digest: the digest that is signed.
        attributes: the encoded signed attributes; they are put in DER's order.
        named: the digestAlgorithm and signatureAlgorithm to write, encoded; by default
            :func:`algorithms`.
        signature: the signature to write instead of making one.
        version: by default the one that follows from the kind of sid.
    """
    digest_identifier, signature_identifier = algorithms(key, digest) if named is None else named
    signed = b"" if attributes is None else der.explicit(0, *sorted(attributes))
    if signature is None:
        message = content if attributes is None else der.set_of(attributes)
        signature = sign(key, message, digest)
    if version is None:
        version = 1 if sid[0] == der.SEQUENCE else 3
    return der.sequence(
        der.integer(version),
        sid,
        digest_identifier,
        signed,
        signature_identifier,
        der.octet_string(signature),
    )


def signed_data(
    content: bytes | None,
    certificates: Sequence[bytes],
    signer_infos: Sequence[bytes],
    *,
    digest_algorithms: Sequence[bytes] | None = None,
    version: int | None = None,
    content_type: str = ID_DATA,
    outer_type: str = ID_SIGNED_DATA,
) -> bytes:
    """Encode a ContentInfo that holds a SignedData.

    Args:
        content: the eContent octets; ``None`` leaves them out (detached).
        certificates: the bag, each as DER, in the order given: no signer sorts them.
        signer_infos: the encoded SignerInfos.
        digest_algorithms: encoded; by default those of the SignerInfos.
        version: by default 3 where a SignerInfo is of version 3, else 1.
        content_type: the eContentType.
        outer_type: the contentType.
    """
    parts = [der.children(info) for info in signer_infos]
    if digest_algorithms is None:
        digest_algorithms = list({part[2] for part in parts})
    if version is None:
        version = 3 if any(part[0] == der.integer(3) for part in parts) else 1
    attached = b"" if content is None else der.explicit(0, der.octet_string(content))
    bag = der.explicit(0, *certificates) if certificates else b""
    inner = der.sequence(
        der.integer(version),
        der.set_of(digest_algorithms),
        der.sequence(der.oid(content_type), attached),
        bag,
        der.set_of(signer_infos),
    )
    return der.sequence(der.oid(outer_type), der.explicit(0, inner))
