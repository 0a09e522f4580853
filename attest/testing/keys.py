"""Keys and signatures of the fake, weak and obsolete algorithms included: forgeries need them."""

from __future__ import annotations

import enum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from attest.testing import der

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"


class Digest(enum.StrEnum):
    """A digest algorithm; MD5 and SHA-1 are for forgeries and for Baltimore's root."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


_HASHES: dict[Digest, hashes.HashAlgorithm] = {
    Digest.MD5: hashes.MD5(),  # noqa: S303 - the verifier must refuse it
    Digest.SHA1: hashes.SHA1(),  # noqa: S303 - likewise
    Digest.SHA256: hashes.SHA256(),
    Digest.SHA384: hashes.SHA384(),
    Digest.SHA512: hashes.SHA512(),
}
# RFC 3370 section 2, RFC 5754 section 2.
_DIGEST_OIDS = {
    Digest.MD5: "1.2.840.113549.2.5",
    Digest.SHA1: "1.3.14.3.2.26",
    Digest.SHA256: "2.16.840.1.101.3.4.2.1",
    Digest.SHA384: "2.16.840.1.101.3.4.2.2",
    Digest.SHA512: "2.16.840.1.101.3.4.2.3",
}
# RFC 8017 appendix A.2.4 and RFC 5758 section 3.2; ECDSA with MD5 does not exist.
_RSA_OIDS = {
    Digest.MD5: "1.2.840.113549.1.1.4",
    Digest.SHA1: "1.2.840.113549.1.1.5",
    Digest.SHA256: "1.2.840.113549.1.1.11",
    Digest.SHA384: "1.2.840.113549.1.1.12",
    Digest.SHA512: "1.2.840.113549.1.1.13",
}
_ECDSA_OIDS = {
    Digest.SHA1: "1.2.840.10045.4.1",
    Digest.SHA256: "1.2.840.10045.4.3.2",
    Digest.SHA384: "1.2.840.10045.4.3.3",
    Digest.SHA512: "1.2.840.10045.4.3.4",
}


def new_rsa_key(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """Generate an RSA key; 2,048 bits take some 50 ms.

    Args:
        bits: the size of the modulus, at least 1,024.
        exponent: 65537, or 3.

    Raises:
        ValueError: size or exponent are not offered.
    """
    return rsa.generate_private_key(public_exponent=exponent, key_size=bits)


def new_ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Generate an ECDSA key, on P-256 unless another curve is given."""
    return ec.generate_private_key(ec.SECP256R1() if curve is None else curve)


def hash_for_builder(digest: Digest) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """Return the digest if cryptography's certificate builder takes it, else SHA-256."""
    algorithm = _HASHES[digest]
    if isinstance(algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512)):
        return algorithm
    return hashes.SHA256()


def digest_octets(digest: Digest, data: bytes) -> bytes:
    """Return the digest of the data."""
    context = hashes.Hash(_HASHES[digest])
    context.update(data)
    return context.finalize()


def sign(key: PrivateKey, data: bytes, digest: Digest) -> bytes:
    """Sign with RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) or ECDSA (RFC 3279 section 2.2.3)."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, PKCS1v15(), _HASHES[digest])
    return key.sign(data, ec.ECDSA(_HASHES[digest]))


def algorithm(dotted: str, *, null: bool = True) -> bytes:
    """Encode an AlgorithmIdentifier with the parameters NULL, or with none."""
    return der.sequence(der.oid(dotted), der.NULL if null else b"")


def digest_algorithm(digest: Digest) -> bytes:
    """Encode the AlgorithmIdentifier of a digest, as the standards have it (not as Azure)."""
    return algorithm(_DIGEST_OIDS[digest])


def signature_algorithm(key: PrivateKey | PublicKey, digest: Digest) -> bytes:
    """Encode the AlgorithmIdentifier of a signature that names its digest.

    Raises:
        KeyError: an EC key is asked for MD5.
    """
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return algorithm(_RSA_OIDS[digest])
    return algorithm(_ECDSA_OIDS[digest], null=False)
