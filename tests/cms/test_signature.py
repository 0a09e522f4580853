"""Tests of attest.cms.signature: step 5."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from attest import Code
from attest.cms import VerificationKey, parse_signed_data, verify_signature
from tests.support import der
from tests.support.pki import (
    CONTENT_TYPE,
    DIGESTS,
    ECDSA_WITH,
    ID_DATA,
    MESSAGE_DIGEST,
    RSA_ENCRYPTION,
    RSA_WITH,
    SIGNING_TIME,
    Identity,
    SignerInfo,
    attribute,
    attributes_for,
    ec_key,
    make_content,
    make_evidence,
    make_signer,
    pki,
    rsa_key,
    sign,
)
from tests.support.refusal import refused

CURVES = ["p256", "p384", "p521"]
HASHES = ["sha256", "sha384", "sha512"]
SHA1, MD5 = "1.3.14.3.2.26", "1.2.840.113549.2.5"


def check(signer: Identity, info: SignerInfo, shown: bytes | None = None) -> None:
    """Run step 5 on evidence that this signer made."""
    signed_data = parse_signed_data(make_evidence(signer, info=info, shown=shown))
    verify_signature(signed_data, VerificationKey(signer.key.public_key()))


def ecdsa_signer(curve: str = "p256") -> Identity:
    """Return a signer with an ECDSA key."""
    return make_signer(pki().intermediate, key=ec_key("signer", curve))


@pytest.mark.parametrize("digest", HASHES)
@pytest.mark.parametrize("azure", [True, False])
@pytest.mark.parametrize("whole_name", [True, False])
@pytest.mark.parametrize("parameters", [b"\x05\0", b""])
def test_rsa_signatures(digest: str, azure: bool, whole_name: bool, parameters: bytes) -> None:
    """Each digest in each way of writing it, Azure's included, with NULL and without."""
    info = SignerInfo(
        digest=digest,
        digest_algorithm=der.algorithm((RSA_WITH if azure else DIGESTS)[digest], parameters),
        signature_algorithm=der.algorithm(
            RSA_WITH[digest] if whole_name else RSA_ENCRYPTION, parameters
        ),
    )
    check(pki().signer, info)
    with refused(Code.SIGNATURE_INVALID, 5):
        check(pki().signer, info, shown=make_content(sku="other"))


@pytest.mark.parametrize("digest", HASHES)
@pytest.mark.parametrize("curve", CURVES)
def test_ecdsa_signatures(digest: str, curve: str) -> None:
    """Each digest on each curve."""
    check(ecdsa_signer(curve), SignerInfo(digest=digest))
    with refused(Code.SIGNATURE_INVALID, 5):
        check(ecdsa_signer(curve), SignerInfo(digest=digest), shown=make_content(sku="other"))


@pytest.mark.parametrize(
    "announced",
    [
        [],
        [der.algorithm(SHA1)],
        [der.algorithm(DIGESTS["sha512"])],
        [der.algorithm("1.2.3")],
        [der.sequence()],
        [b"\x31" + der.algorithm(DIGESTS["sha256"])[1:]],
    ],
    ids=range(6),
)
def test_the_digest_must_be_announced(announced: list[bytes]) -> None:
    """RFC 5652 section 5.1: digestAlgorithms lists the digests of the signers."""
    signed_data = parse_signed_data(
        make_evidence(pki().signer, digest_algorithms=der.set_of(*announced))
    )
    with refused(Code.ALGORITHM_UNSUPPORTED, 5, "announce"):
        verify_signature(signed_data, VerificationKey(pki().signer.key.public_key()))


@pytest.mark.parametrize(
    "announced",
    [
        [der.algorithm(RSA_WITH["sha256"])],
        [der.algorithm(DIGESTS["sha256"])],
        [der.algorithm(DIGESTS["sha256"], b"")],
        [der.algorithm(SHA1), der.algorithm(DIGESTS["sha256"])],
    ],
    ids=range(4),
)
def test_a_digest_is_announced_in_any_of_its_names(announced: list[bytes]) -> None:
    """Azure's name for it or the digest's own, alone or among others."""
    signed_data = parse_signed_data(
        make_evidence(pki().signer, digest_algorithms=der.set_of(*announced))
    )
    verify_signature(signed_data, VerificationKey(pki().signer.key.public_key()))


@pytest.mark.parametrize("digest", HASHES)
def test_signed_attributes(digest: str) -> None:
    """With signed attributes the signature covers them, and they digest the content."""
    attributes = [
        *attributes_for(make_content(), digest),
        attribute(SIGNING_TIME, der.tlv(0x17, b"260701115900Z")),
    ]
    check(pki().signer, SignerInfo(digest=digest, signed_attributes=attributes))
    check(ecdsa_signer(), SignerInfo(digest=digest, signed_attributes=attributes))


@pytest.mark.parametrize(
    "oid", [SHA1, MD5, "2.16.840.1.101.3.4.2.4", "2.16.840.1.101.3.4.2.8", "1.2.3"]
)
def test_other_digests_are_unsupported(oid: str) -> None:
    """SHA-1, MD5, SHA-224, SHA-3, and what is no digest at all."""
    with refused(Code.ALGORITHM_UNSUPPORTED, 5, "digestAlgorithm"):
        check(pki().signer, SignerInfo(digest_algorithm=der.algorithm(oid)))


@pytest.mark.parametrize(
    "algorithm",
    [
        der.algorithm("1.2.840.113549.1.1.5"),
        der.algorithm("1.2.840.113549.1.1.4"),
        der.algorithm("1.2.840.113549.1.1.10", der.sequence()),
        der.algorithm("1.2.840.113549.1.1.7", der.sequence()),
        der.algorithm("1.3.101.112", b""),
        der.algorithm(DIGESTS["sha256"]),
        der.algorithm(RSA_ENCRYPTION, der.octets(b"x")),
        der.algorithm(RSA_ENCRYPTION, b"\x05\0\x05\0"),
        der.sequence(),
        b"\x05\0",
    ],
    ids=range(10),
)
def test_other_signature_algorithms_are_unsupported(algorithm: bytes) -> None:
    """SHA-1, MD5, PSS, OAEP, EdDSA, a digest, and parameters that mean nothing."""
    with refused(Code.ALGORITHM_UNSUPPORTED, 5, "signatureAlgorithm"):
        check(pki().signer, SignerInfo(signature_algorithm=algorithm))


@pytest.mark.parametrize(
    ("digest", "signature"),
    [
        (DIGESTS["sha512"], RSA_WITH["sha256"]),
        (RSA_WITH["sha384"], RSA_WITH["sha256"]),
        (DIGESTS["sha256"], ECDSA_WITH["sha256"]),
        (RSA_WITH["sha256"], ECDSA_WITH["sha256"]),
        (ECDSA_WITH["sha256"], RSA_ENCRYPTION),
    ],
)
def test_algorithms_must_agree_on_an_rsa_key(digest: str, signature: str) -> None:
    """Digest, signature algorithm and key tell one story."""
    info = SignerInfo(
        digest_algorithm=der.algorithm(digest), signature_algorithm=der.algorithm(signature)
    )
    with refused(Code.ALGORITHM_UNSUPPORTED, 5, "do not agree"):
        check(pki().signer, info)


@pytest.mark.parametrize(
    ("digest", "signature"),
    [
        (DIGESTS["sha256"], RSA_ENCRYPTION),
        (DIGESTS["sha256"], RSA_WITH["sha256"]),
        (DIGESTS["sha384"], ECDSA_WITH["sha256"]),
        (RSA_WITH["sha256"], ECDSA_WITH["sha256"]),
    ],
)
def test_algorithms_must_agree_on_an_ecdsa_key(digest: str, signature: str) -> None:
    """Azure's way of writing a digest is for RSA alone."""
    info = SignerInfo(
        digest_algorithm=der.algorithm(digest), signature_algorithm=der.algorithm(signature)
    )
    with refused(Code.ALGORITHM_UNSUPPORTED, 5, "do not agree"):
        check(ecdsa_signer(), info)


def _other_signatures() -> dict[str, bytes]:
    key = rsa_key("signer")
    numbers = key.private_numbers()
    modulus, exponent = numbers.public_numbers.n, numbers.d
    good = sign(key, make_content())

    def raw(block: bytes) -> bytes:
        return pow(int.from_bytes(block, "big"), exponent, modulus).to_bytes(256, "big")

    digest_info = der.sequence(
        der.algorithm(DIGESTS["sha256"]), der.octets(hashlib.sha256(make_content()).digest())
    )
    bare = der.octets(hashlib.sha256(make_content()).digest())
    sha1_info = der.sequence(der.algorithm(SHA1), der.octets(hashlib.sha1(make_content()).digest()))

    def padded(info: bytes, tail: int = 0, filler: bytes = b"\xff") -> bytes:
        return b"\0\1" + filler * (253 - len(info) - tail) + b"\0" + info + bytes(tail)

    assert raw(padded(digest_info)) == good
    return {
        "empty": b"",
        "zero": bytes(256),
        "one": b"\1".rjust(256, b"\0"),
        "all ones": b"\xff" * 256,
        "a bit flipped": good[:-1] + bytes([good[-1] ^ 1]),
        "a zero in front": b"\0" + good,
        "a zero behind": good + b"\0",
        "one octet less": good[:-1],
        "plus the modulus": (int.from_bytes(good, "big") + modulus).to_bytes(257, "big"),
        "garbage behind the digest": raw(padded(digest_info, tail=100)),
        "other filler": raw(padded(digest_info, filler=b"\xfe")),
        "no digest info": raw(padded(bare)),
        "SHA-1 within": raw(padded(sha1_info)),
        "another digest": sign(key, make_content(), "sha512"),
        "another key": sign(rsa_key("other"), make_content()),
        "another message": sign(key, b"other"),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "zero",
        "one",
        "all ones",
        "a bit flipped",
        "a zero in front",
        "a zero behind",
        "one octet less",
        "plus the modulus",
        "garbage behind the digest",
        "other filler",
        "no digest info",
        "SHA-1 within",
        "another digest",
        "another key",
        "another message",
    ],
)
def test_rsa_forgeries_are_invalid(kind: str) -> None:
    """Each classic PKCS#1 v1.5 forgery, made with the private key itself where it needs one."""
    with refused(Code.SIGNATURE_INVALID, 5):
        check(pki().signer, SignerInfo(signature=_other_signatures()[kind]))


_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _rs(r: int, s: int) -> bytes:
    return der.sequence(der.integer(r), der.integer(s))


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x30\0",
        _rs(0, 0),
        _rs(1, 0),
        _rs(0, 1),
        _rs(_P256_ORDER, _P256_ORDER),
        _rs(-1, 1),
        _rs(1, 1),
        bytes(64),
    ],
    ids=range(9),
)
def test_ecdsa_forgeries_are_invalid(signature: bytes) -> None:
    """Zeros, the order itself ("psychic" signatures, CVE-2022-21449), and other encodings."""
    with refused(Code.SIGNATURE_INVALID, 5):
        check(ecdsa_signer(), SignerInfo(signature=signature))


def test_ecdsa_signature_has_one_encoding() -> None:
    """Octets after the signature, or a longer form of its length, are invalid."""
    good = sign(ec_key("signer"), make_content())
    check(ecdsa_signer(), SignerInfo(signature=good))
    for other in (good + b"\0", b"\x30\x81" + good[1:], good[:-1]):
        with refused(Code.SIGNATURE_INVALID, 5):
            check(ecdsa_signer(), SignerInfo(signature=other))


def test_a_key_that_cannot_verify_gives_an_invalid_signature() -> None:
    """OpenSSL refuses some keys at the moment of use; that is a refusal, not a crash."""
    key = rsa.RSAPublicNumbers(65537, 2**2047 + 2**1024 + 1).public_key()
    signed_data = parse_signed_data(make_evidence(pki().signer))
    with refused(Code.SIGNATURE_INVALID, 5):
        verify_signature(signed_data, VerificationKey(key))


def _content_type(*values: bytes) -> bytes:
    return attribute(CONTENT_TYPE, *values)


def _bad_attributes() -> dict[str, list[bytes]]:
    content_type, digest = attributes_for(make_content())
    right = der.octets(hashlib.sha256(make_content()).digest())
    data = der.oid(ID_DATA)
    return {
        "none": [],
        "no messageDigest": [content_type],
        "no contentType": [digest],
        "contentType twice": [content_type, content_type, digest],
        "messageDigest twice": [content_type, digest, digest],
        "contentType of two values": [_content_type(data, der.oid("1.2.3")), digest],
        "contentType of no value": [_content_type(), digest],
        "other contentType": [_content_type(der.oid("1.2.840.113549.1.9.16.1.4")), digest],
        "contentType is no OID": [_content_type(der.octets(data)), digest],
        "messageDigest of two values": [
            content_type,
            attribute(MESSAGE_DIGEST, right, der.octets(bytes(32))),
        ],
        "messageDigest of no value": [content_type, attribute(MESSAGE_DIGEST)],
        "wrong messageDigest": [content_type, attribute(MESSAGE_DIGEST, der.octets(bytes(32)))],
        "empty messageDigest": [content_type, attribute(MESSAGE_DIGEST, der.octets(b""))],
        "short messageDigest": [content_type, attribute(MESSAGE_DIGEST, der.octets(right[2:18]))],
        "digest of another algorithm": attributes_for(make_content(), "sha512"),
        "digest of other content": attributes_for(b"other"),
        "not an attribute": [content_type, digest, der.sequence()],
    }


@pytest.mark.parametrize(
    "kind",
    [
        "none",
        "no messageDigest",
        "no contentType",
        "contentType twice",
        "messageDigest twice",
        "contentType of two values",
        "contentType of no value",
        "other contentType",
        "contentType is no OID",
        "messageDigest of two values",
        "messageDigest of no value",
        "wrong messageDigest",
        "empty messageDigest",
        "short messageDigest",
        "digest of another algorithm",
        "digest of other content",
        "not an attribute",
    ],
)
def test_signed_attributes_must_be_right(kind: str) -> None:
    """RFC 5652 sections 5.3 and 11: both attributes, once, with the one right value."""
    with refused(Code.SIGNED_ATTRIBUTES_INVALID, 5):
        check(pki().signer, SignerInfo(signed_attributes=_bad_attributes()[kind]))


def test_attributes_that_are_not_signed_are_invalid() -> None:
    """A signature over the content does not cover attributes put beside it."""
    info = SignerInfo(signed_attributes=attributes_for(make_content()), signed=make_content())
    with refused(Code.SIGNATURE_INVALID, 5):
        check(pki().signer, info)


def test_attributes_are_signed_as_a_set() -> None:
    """A signature over the [0] as it stands in the SignerInfo is not one over the SET OF."""
    attributes = attributes_for(make_content())
    implicit = b"\xa0" + der.set_of(*attributes)[1:]
    with refused(Code.SIGNATURE_INVALID, 5):
        check(pki().signer, SignerInfo(signed_attributes=attributes, signed=implicit))


def test_attributes_do_not_pass_for_content() -> None:
    """Signed attributes presented as the content of a SignerInfo without any (RFC 5652 note).

    The signature is good: what saves the verifier is that such content is no document.
    """
    attributes = der.set_of(*attributes_for(make_content()))
    check(pki().signer, SignerInfo(signed=attributes), shown=attributes)


def test_unsorted_attributes_are_malformed() -> None:
    """A SET OF in another order is not DER."""
    first, second = sorted(attributes_for(make_content()))
    message = der.tlv(0x31, second, first)
    info = SignerInfo(signed_attributes=[first, second], signed=message).encode(
        pki().signer, make_content()
    )
    info = info.replace(first + second, second + first)
    with refused(Code.CMS_MALFORMED, 2):
        parse_signed_data(make_evidence(pki().signer, infos=[info]))


@pytest.mark.parametrize("field", ["digest_algorithm", "signature_algorithm"])
def test_an_algorithm_is_a_sequence(field: str) -> None:
    """The right contents under another tag are no AlgorithmIdentifier."""
    right: dict[str, Any] = {
        "digest_algorithm": der.algorithm(DIGESTS["sha256"]),
        "signature_algorithm": der.algorithm(RSA_ENCRYPTION),
    }
    check(pki().signer, SignerInfo(**right))
    with refused(Code.ALGORITHM_UNSUPPORTED, 5, "is not one that is read"):
        check(pki().signer, SignerInfo(**right | {field: b"\x31" + right[field][1:]}))
