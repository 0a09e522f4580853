"""The signature of a SignerInfo (RFC 5652 section 5.4) and the algorithms that may make one.

The evidence never chooses an algorithm: its AlgorithmIdentifiers are looked up, whole, in two
closed tables, and what they say must agree with the key of the signer certificate.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import ObjectIdentifier

from attest.cms.signed_data import SignedData, one_line
from attest.cms.structures import (
    ID_CONTENT_TYPE,
    ID_DATA,
    ID_MESSAGE_DIGEST,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Attribute,
    tlv,
    whole,
)
from attest.errors import CmsError, Code

_T = TypeVar("_T")

_RSA, _ECDSA = "RSA", "ECDSA"


@dataclass(frozen=True, slots=True)
class _Digest:
    name: str
    family: str | None = None  # a signature algorithm stands here: the key must be of its kind


@dataclass(frozen=True, slots=True)
class _Scheme:
    family: str
    digest: str | None  # None: the digestAlgorithm tells (rsaEncryption, RFC 3370 section 3.2)


_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_PKCS1_V15 = PKCS1v15()
_ECDSA_WITH = {name: ECDSA(algorithm) for name, algorithm in _HASHES.items()}


def _encodings(oid: str) -> tuple[bytes, bytes]:
    # AlgorithmIdentifier with the parameters NULL, and absent (RFC 5754 section 2).
    algorithm = asn1.encode_der(ObjectIdentifier(oid))
    return tlv(SEQUENCE, algorithm + b"\x05\x00"), tlv(SEQUENCE, algorithm)


def _table(rows: dict[str, _T]) -> dict[bytes, _T]:
    return {encoding: value for oid, value in rows.items() for encoding in _encodings(oid)}


_DIGEST_ALGORITHMS = _table(
    {
        "2.16.840.1.101.3.4.2.1": _Digest("sha256"),
        "2.16.840.1.101.3.4.2.2": _Digest("sha384"),
        "2.16.840.1.101.3.4.2.3": _Digest("sha512"),
        # Azure writes the signature algorithm where the digest algorithm belongs; so far RSA's.
        "1.2.840.113549.1.1.11": _Digest("sha256", _RSA),
        "1.2.840.113549.1.1.12": _Digest("sha384", _RSA),
        "1.2.840.113549.1.1.13": _Digest("sha512", _RSA),
        "1.2.840.10045.4.3.2": _Digest("sha256", _ECDSA),
        "1.2.840.10045.4.3.3": _Digest("sha384", _ECDSA),
        "1.2.840.10045.4.3.4": _Digest("sha512", _ECDSA),
    }
)
_SIGNATURE_ALGORITHMS = _table(
    {
        "1.2.840.113549.1.1.1": _Scheme(_RSA, None),
        "1.2.840.113549.1.1.11": _Scheme(_RSA, "sha256"),
        "1.2.840.113549.1.1.12": _Scheme(_RSA, "sha384"),
        "1.2.840.113549.1.1.13": _Scheme(_RSA, "sha512"),
        "1.2.840.10045.4.3.2": _Scheme(_ECDSA, "sha256"),
        "1.2.840.10045.4.3.3": _Scheme(_ECDSA, "sha384"),
        "1.2.840.10045.4.3.4": _Scheme(_ECDSA, "sha512"),
    }
)

# Which digest each pair of AlgorithmIdentifiers means, by the kind of key; all other pairs are
# refused.
_AGREED: dict[str, dict[tuple[bytes, bytes], str]] = {
    family: {
        (digest_algorithm, signature_algorithm): digest.name
        for digest_algorithm, digest in _DIGEST_ALGORITHMS.items()
        for signature_algorithm, scheme in _SIGNATURE_ALGORITHMS.items()
        if scheme.family == family
        and scheme.digest in {None, digest.name}
        and digest.family in {None, family}
    }
    for family in (_RSA, _ECDSA)
}


class VerificationKey:
    """The signer certificate's key, with all that its kind decides decided once."""

    __slots__ = ("_ec", "_rsa", "family")

    def __init__(self, public_key: RSAPublicKey | EllipticCurvePublicKey) -> None:
        """Wrap a key; whether it is long enough is not asked here."""
        self._rsa = public_key if isinstance(public_key, RSAPublicKey) else None
        self._ec = None if isinstance(public_key, RSAPublicKey) else public_key
        self.family = _ECDSA if self._rsa is None else _RSA

    def verify(self, signature: bytes, message: bytes, digest: str) -> bool:
        """Verify RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2.2) or ECDSA (RFC 5753 section 2.1.3)."""
        try:
            if self._rsa is not None:
                self._rsa.verify(signature, message, _PKCS1_V15, _HASHES[digest])
            elif self._ec is not None:
                self._ec.verify(signature, message, _ECDSA_WITH[digest])
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


def verify_signature(signed_data: SignedData, key: VerificationKey) -> None:
    """Verify the SignerInfo's signature with the signer certificate's key (RFC 5652 section 5.4).

    RSASSA-PKCS1-v1_5 and ECDSA, each with SHA-256, SHA-384 or SHA-512.  The digest algorithm,
    the signature algorithm and the key must agree.

    Raises:
        CmsError: ``algorithm_unsupported``, ``signed_attributes_invalid`` or
            ``signature_invalid``.
    """
    signer_info = signed_data.signer_info
    digest = _agreed_digest(signed_data, key)
    if signer_info.signed_attrs is None:
        message = signed_data.content
    else:
        attributes = [whole(element) for element in signer_info.signed_attrs.as_list()]
        _check_signed_attributes(attributes, signed_data.content, digest)
        # Signed with the tag of a SET OF, not the [0] that stands in the SignerInfo.
        message = tlv(SET, b"".join(attributes))
    if not key.verify(signer_info.signature, message, digest):
        msg = "the signature over the content is not the signer certificate's"
        raise CmsError(Code.SIGNATURE_INVALID, msg)


def _agreed_digest(signed_data: SignedData, key: VerificationKey) -> str:
    signer_info = signed_data.signer_info
    digest_algorithm = whole(signer_info.digest_algorithm)
    signature_algorithm = whole(signer_info.signature_algorithm)
    digest = _AGREED[key.family].get((digest_algorithm, signature_algorithm))
    if digest is None:
        if digest_algorithm not in _DIGEST_ALGORITHMS:
            msg = "the digestAlgorithm is not one that is read"
        elif signature_algorithm not in _SIGNATURE_ALGORITHMS:
            msg = "the signatureAlgorithm is not one that is read"
        else:
            msg = "the digest algorithm, the signature algorithm and the key do not agree"
        raise CmsError(Code.ALGORITHM_UNSUPPORTED, msg)
    announced = signed_data.digest_algorithms
    if digest_algorithm not in announced and digest not in _digest_names(announced):
        # RFC 5652 section 5.1 lets a verifier insist, and no signer we know differs.
        msg = "digestAlgorithms does not announce the digest of the SignerInfo"
        raise CmsError(Code.ALGORITHM_UNSUPPORTED, msg)
    return digest


def _digest_names(algorithms: Iterable[bytes]) -> set[str]:
    return {_DIGEST_ALGORITHMS[item].name for item in algorithms if item in _DIGEST_ALGORITHMS}


def _check_signed_attributes(attributes: list[bytes], content: bytes, digest: str) -> None:
    # RFC 5652 sections 5.3, 5.4, 11.1 and 11.2: both attributes once, with one value each.
    values: dict[ObjectIdentifier, list[asn1.TLV]] = {}
    for encoded in attributes:
        try:
            attribute = asn1.decode_der(Attribute, encoded)
        except ValueError as error:
            _refuse_attributes(f"an attribute is not DER: {one_line(error)}")
        if attribute.type in values:
            _refuse_attributes(f"attribute {attribute.type.dotted_string} is repeated")
        values[attribute.type] = attribute.values.as_list()
    content_type = [whole(value) for value in values.get(ID_CONTENT_TYPE, [])]
    if content_type != [asn1.encode_der(ID_DATA)]:
        _refuse_attributes("contentType is not exactly id-data")
    message_digest = b"".join(whole(value) for value in values.get(ID_MESSAGE_DIGEST, []))
    expected = tlv(OCTET_STRING, hashlib.new(digest, content).digest())
    if not hmac.compare_digest(message_digest, expected):
        _refuse_attributes("messageDigest is not the digest of the content")


def _refuse_attributes(detail: str) -> NoReturn:
    raise CmsError(Code.SIGNED_ATTRIBUTES_INVALID, detail)
