"""Tests of attest.bundle: what a bundle says, and what is none."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from attest import Cloud, TrustStore
from attest.bundle import (
    MAX_CERTIFICATE,
    MAX_CERTIFICATES,
    MAX_VERSION,
    Bundle,
    BundleCode,
    BundleError,
    BundleItem,
    bundle_of,
    parse_bundle,
)
from attest.manifest import Role
from tests.support.pki import AT, der_of, make_signer, pem_of, pki

DAY = timedelta(days=1)


def small(version: int = 1, *, expires: datetime = AT + DAY) -> Bundle:
    """Return a bundle of a root and an intermediate."""
    clouds = frozenset({Cloud.PUBLIC, Cloud.CHINA})
    root = BundleItem(Role.ANCHOR, clouds, pki().root.certificate)
    link = BundleItem(Role.INTERMEDIATE, frozenset({Cloud.CHINA}), pki().intermediate.certificate)
    return Bundle(version, AT - DAY, expires, (root, link))


def test_a_bundle_says_what_the_store_holds() -> None:
    """Every pinned certificate, once, with its role and clouds."""
    store = TrustStore.bundled()
    bundle = bundle_of(store, version=7, created=AT, expires=AT + DAY)
    assert parse_bundle(bundle.encode()) == bundle
    assert (bundle.version, bundle.created, bundle.expires) == (7, AT, AT + DAY)
    for role, items in ((Role.ANCHOR, store.anchors), (Role.INTERMEDIATE, store.intermediates)):
        assert {(item.certificate, item.clouds) for item in bundle.of_role(role)} == {
            (item.certificate, item.clouds) for item in items
        }


def test_what_is_there_twice_is_said_once() -> None:
    """With the clouds of both."""
    one, two = pki().store(clouds={Cloud.PUBLIC}), pki().store(clouds={Cloud.CHINA})
    both = one.extended(anchors=two.anchors, intermediates=two.intermediates)
    bundle = bundle_of(both, version=1, created=AT, expires=AT + DAY)
    assert [item.role for item in bundle.items] == [Role.ANCHOR, Role.INTERMEDIATE]
    assert {item.clouds for item in bundle.items} == {frozenset({Cloud.PUBLIC, Cloud.CHINA})}


def test_a_bundle_that_nobody_would_read_is_not_made() -> None:
    """One that expires before it was created."""
    with pytest.raises(BundleError) as caught:
        bundle_of(pki().store(), version=1, created=AT, expires=AT)
    assert caught.value.code is BundleCode.MALFORMED


SIGNER = base64.b64encode(der_of(make_signer(pki().root).certificate)).decode()
LINK = base64.b64encode(der_of(pki().intermediate.certificate)).decode()
LINK_PEM = base64.b64encode(pem_of(pki().intermediate.certificate)).decode()
WRONG: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda b: b.pop("created"), "other members"),
    (lambda b: b.update(more=1), "other members"),
    (lambda b: b.update(version=0), "version is not"),
    (lambda b: b.update(version=True), "version is not"),
    (lambda b: b.update(version=1.0), "version is not"),
    (lambda b: b.update(version="1"), "version is not"),
    (lambda b: b.update(version=MAX_VERSION + 1), "version is not"),
    (lambda b: b.update(created="2026-07-01T00:00:00+00:00"), "a time is not"),
    (lambda b: b.update(expires="2026-02-30T00:00:00Z"), "day is out of range"),
    (lambda b: b.update(expires=1), "a time is not"),
    (lambda b: b.update(expires="2026-01-01T00:00:00Z"), "expires before"),
    (lambda b: b.update(certificates=[]), "certificates is not"),
    (lambda b: b.update(certificates={}), "certificates is not"),
    (lambda b: b.update(certificates=["x"]), "other members"),
    (lambda b: b.update(certificates=b["certificates"][:1] * 2), "is repeated"),
    (lambda b: b["certificates"][0].update(more=1), "other members"),
    (lambda b: b["certificates"][0].pop("role"), "other members"),
    (lambda b: b["certificates"][0].update(role="root"), "not a valid Role"),
    (lambda b: b["certificates"][0].update(role=[]), "not a valid Role"),
    (lambda b: b["certificates"][0].update(clouds="public"), "of other types"),
    (lambda b: b["certificates"][0].update(clouds=[]), "clouds is empty"),
    (lambda b: b["certificates"][0].update(clouds=["china", "china"]), "repeats one"),
    (lambda b: b["certificates"][0].update(clouds=["mars"]), "not a valid Cloud"),
    (lambda b: b["certificates"][0].update(clouds=[["china"]]), "not a valid Cloud"),
    (lambda b: b["certificates"][0].update(certificate=1), "of other types"),
    (lambda b: b["certificates"][0].update(certificate="!"), "base64"),
    (lambda b: b["certificates"][0].update(certificate=""), "ShortData"),
    (lambda b: b["certificates"][0].update(certificate=LINK), "an anchor is not self-signed"),
    (lambda b: b["certificates"][1].update(certificate=SIGNER), "is not a CA's"),
    (lambda b: b["certificates"][1].update(certificate=LINK_PEM), "is not DER"),
    (lambda b: b["certificates"][1].update(certificate="AAAA" * 2731), "8192 octets"),
    (lambda b: b.update(certificates=[[]] * 1100), "brackets"),
]


@pytest.mark.parametrize(("change", "why"), WRONG)
def test_what_is_no_bundle(change: Callable[[dict[str, Any]], object], why: str) -> None:
    """One code for all of it."""
    payload = json.loads(small().encode())
    change(payload)
    with pytest.raises(BundleError) as caught:
        parse_bundle(json.dumps(payload).encode())
    assert caught.value.code is BundleCode.MALFORMED
    assert why in caught.value.detail
    assert caught.value.detail.isascii()


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b'{"version":1,"version":2}', b"{" * 999])
def test_what_is_no_object(payload: bytes) -> None:
    """Nor is this."""
    with pytest.raises(BundleError) as caught:
        parse_bundle(payload)
    assert caught.value.code is BundleCode.MALFORMED


def test_bounds() -> None:
    """As many certificates as are allowed are read, and no more."""
    assert MAX_CERTIFICATE == 8192
    payload = json.loads(small().encode())
    payload["certificates"] = payload["certificates"][:1] * MAX_CERTIFICATES
    with pytest.raises(BundleError, match="is repeated"):  # that is, all of them were read
        parse_bundle(json.dumps(payload).encode())
    payload["certificates"] += payload["certificates"][:1]
    with pytest.raises(BundleError, match="brackets"):
        parse_bundle(json.dumps(payload).encode())
