"""What the fake hands out: a signer, and evidence that it has signed."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from attest.testing.document import FakeDocument
from attest.testing.keys import PrivateKey


@dataclass(frozen=True, slots=True)
class FakeSigner:
    """A signer certificate and its key.

    Attributes:
        certificate: the certificate.
        key: its private key.
        der: the certificate as DER.
    """

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    der: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Encode the certificate once, since every document holds it."""
        encoded = self.certificate.public_bytes(serialization.Encoding.DER)
        object.__setattr__(self, "der", encoded)


@dataclass(frozen=True, slots=True)
class SignedEvidence:
    """Evidence, in every form that IMDS and its users hand it about.

    Attributes:
        der: the CMS ContentInfo.
        content: the octets that are signed.
        document: the document that they were made from, times set.
        signer: who signed.
    """

    der: bytes
    content: bytes = field(repr=False)
    document: FakeDocument
    signer: FakeSigner = field(repr=False)

    @property
    def base64(self) -> str:
        """The DER in base64, on one line."""
        return base64.b64encode(self.der).decode("ascii")

    @property
    def json(self) -> str:
        """The text that IMDS answers with."""
        return imds_json(self.der)


def imds_json(der: bytes) -> str:
    """Return the text that IMDS answers with, around any octets."""
    text = base64.b64encode(der).decode("ascii")
    return json.dumps({"encoding": "pkcs7", "signature": text}, separators=(",", ":"))
