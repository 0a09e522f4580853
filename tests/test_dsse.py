"""Tests of attest.dsse, with the vectors of its specification."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from attest.dsse import (
    MAX_ENVELOPE,
    MAX_SIGNATURES,
    Envelope,
    Signature,
    key_id,
    load_private_key,
    load_public_key,
    pae,
    parse_envelope,
)

TYPE = "http://example.com/HelloWorld"
BODY = b"hello world"
# The example of protocol.md, "Test Vectors"; its key is of another kind than ours.
EXAMPLE = (
    b'{"payload": "aGVsbG8gd29ybGQ=",\n "payloadType": "http://example.com/HelloWorld",\n'
    b' "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJP'
    b'cIAriEGAHTVeCUjW2JIZA=="}]}'
)


def key() -> ed25519.Ed25519PrivateKey:
    """Return a new key."""
    return ed25519.Ed25519PrivateKey.generate()


def private_pem(
    made: Any, encryption: serialization.KeySerializationEncryption | None = None
) -> bytes:
    """Return a private key as openssl genpkey writes it."""
    pem: bytes = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return pem


def public_pem(made: Any) -> bytes:
    """Return a public key as openssl pkey -pubout writes it."""
    pem: bytes = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def test_the_specifications_vector() -> None:
    """Its PAE and its envelope."""
    assert pae(TYPE, BODY) == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    envelope = parse_envelope(EXAMPLE)
    assert (envelope.payload_type, envelope.payload) == (TYPE, BODY)
    (signature,) = envelope.signatures
    assert (len(signature.sig), signature.keyid) == (64, "")


def test_lengths_are_of_octets() -> None:
    """So that no type runs over into a payload, however it is written."""
    assert pae("\u00e9", b"\x00 1 \xff") == b"DSSEv1 2 \xc3\xa9 5 \x00 1 \xff"
    assert pae("", b"") == b"DSSEv1 0  0 "


def test_signers_are_counted_once_each() -> None:
    """However often a key signs, and whatever a keyid says."""
    one, two, other = key(), key(), key()
    keys = [one.public_key(), two.public_key(), one.public_key()]
    envelope = Envelope(TYPE, BODY)
    assert envelope.signers(keys) == frozenset()
    envelope = envelope.signed_with(one).signed_with(one)
    assert len(envelope.signatures) == 1
    both = envelope.signed_with(two).signed_with(other)
    assert both.signers(keys) == {key_id(one.public_key()), key_id(two.public_key())}
    sig = envelope.signatures[0].sig
    twice = Envelope(TYPE, BODY, (Signature(sig, "a"), Signature(sig, key_id(two.public_key()))))
    assert twice.signers(keys) == {key_id(one.public_key())}
    read = parse_envelope(both.encode())
    assert read == both
    for changed in (
        Envelope(TYPE, b"hello w0rld", read.signatures),
        Envelope(TYPE + "/", BODY, read.signatures),
        Envelope(TYPE, BODY, (Signature(sig[:-1]), Signature(sig + b"\0"), Signature(b""))),
    ):
        assert changed.signers(keys) == frozenset()


def test_latitude_of_the_specification() -> None:
    """Both alphabets of base64, no keyid or null, members that nobody knows."""
    sig = bytes(range(191, 255))
    for alter in (base64.b64encode, base64.urlsafe_b64encode):
        for keyid in ({}, {"keyid": None}, {"keyid": ""}):
            envelope = {
                "payload": alter(b"\xfb\xff").decode(),
                "payloadType": TYPE,
                "signatures": [{"sig": alter(sig).decode(), "extension": {"kind": "x"}, **keyid}],
                "more": [],
            }
            read = parse_envelope(json.dumps(envelope).encode())
            assert read == Envelope(TYPE, b"\xfb\xff", (Signature(sig),))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda e: e.pop("payload"), "payload is not a text"),
        (lambda e: e.pop("payloadType"), "payloadType is not a text"),
        (lambda e: e.pop("signatures"), "signatures is not a list"),
        (lambda e: e["signatures"][0].pop("sig"), "sig is not a text"),
        (lambda e: e.update(payload=1), "payload is not a text"),
        (lambda e: e.update(payloadType=None), "payloadType is not a text"),
        (lambda e: e.update(signatures={}), "signatures is not a list"),
        (lambda e: e.update(signatures=["x"]), "a signature is not an object"),
        (lambda e: e["signatures"][0].update(keyid=1), "keyid is not a text"),
        (lambda e: e.update(payload="aGVsbG8gd29ybGQ"), "payload is not base64"),
        (lambda e: e.update(payload="aGVsbG8gd29ybGR="), "payload is not base64"),
        (lambda e: e.update(payload="aGVsbG8gd29ybGQ=\n"), "payload is not base64"),
        (lambda e: e.update(payload="+_8="), "payload is not base64"),
        (lambda e: e.update(payload="\u0416"), "payload is not base64"),
        (
            lambda e: e.update(signatures=e["signatures"] * (MAX_SIGNATURES + 1)),
            "signatures is not a list",
        ),
        (lambda e: e.update(more=[[]] * 300), "brackets"),
    ],
)
def test_what_is_no_envelope(change: Callable[[dict[str, Any]], object], why: str) -> None:
    """One exception for all of it, that says which member it is."""
    envelope = json.loads(EXAMPLE)
    change(envelope)
    with pytest.raises(ValueError, match=why):
        parse_envelope(json.dumps(envelope).encode())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Expecting value"),
        (b"[]", "not exactly one JSON object"),
        (b"\xff", "invalid start byte"),
        (b"\xef\xbb\xbf" + EXAMPLE, "BOM|Expecting value"),
        (EXAMPLE[:-1], "Expecting"),
        (EXAMPLE + b"{}", "not exactly one JSON object"),
        (b"[" * 10**6, "brackets"),
    ],
)
def test_what_is_no_object(data: bytes, why: str) -> None:
    """Nor is this."""
    with pytest.raises(ValueError, match=why):
        parse_envelope(data)


def test_size() -> None:
    """A bound before anything is parsed."""
    parse_envelope(EXAMPLE.ljust(MAX_ENVELOPE))
    with pytest.raises(ValueError, match=f"more than {MAX_ENVELOPE} octets"):
        parse_envelope(EXAMPLE.ljust(MAX_ENVELOPE + 1))


def test_keys_are_read() -> None:
    """As OpenSSL writes them."""
    made = key()
    assert load_private_key(private_pem(made)).private_bytes_raw() == made.private_bytes_raw()
    assert load_public_key(public_pem(made)) == made.public_key()


def test_what_is_no_key() -> None:
    """Another kind, the other half, one with a password, none at all."""
    made, other = key(), ec.generate_private_key(ec.SECP256R1())
    for pem in (b"", b"x", private_pem(made), public_pem(other), b"-----BEGIN PUBLIC KEY-----\n"):
        with pytest.raises(ValueError, match="not an Ed25519 public key"):
            load_public_key(pem)
    locked = private_pem(made, BestAvailableEncryption(b"secret"))
    for pem in (b"", b"x", public_pem(made), private_pem(other), locked):
        with pytest.raises(ValueError, match="not an Ed25519 private key"):
            load_private_key(pem)


def test_a_file_of_two_keys() -> None:
    """Refused: the second one would not count, and nobody would notice."""
    one, two = key(), key()
    with pytest.raises(ValueError, match="more than one PEM block"):
        load_public_key(public_pem(one) + public_pem(two))
    with pytest.raises(ValueError, match="more than one PEM block"):
        load_private_key(private_pem(one) + private_pem(two))
