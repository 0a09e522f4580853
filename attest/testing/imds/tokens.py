"""Access tokens as Microsoft Entra ID's version 1.0 endpoint writes them, signed by the fake.

RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (RS256) and RFC 7519 (JWT).  The key is made on first
use, lives in memory and is in no way Microsoft's: no relying party of Azure accepts these tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_EXPONENT = 65537
_BITS = 2048


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class TokenIssuer:
    """Signs JWTs with a key of its own; safe to share among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: rsa.RSAPrivateKey | None = None

    def _key(self) -> rsa.RSAPrivateKey:
        with self._lock:
            if self._made is None:
                self._made = rsa.generate_private_key(_EXPONENT, _BITS)
            return self._made

    def sign(self, claims: Mapping[str, object]) -> str:
        """Return the claims as a JWT in compact serialization."""
        header = {"typ": "JWT", "alg": "RS256", "kid": self.jwk()["kid"]}
        signed = ".".join(base64url(_json(part)) for part in (header, claims))
        signature = self._key().sign(signed.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64url(signature)}"

    def jwk(self) -> dict[str, str]:
        """Return the public key; its ``kid`` is the thumbprint of RFC 7638."""
        numbers = self._key().public_key().public_numbers()
        required = {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}
        kid = base64url(hashlib.sha256(_json(required)).digest())
        return {**required, "alg": "RS256", "kid": kid, "use": "sig"}


def _integer(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("utf-8")
