"""Tests of attest.bundle_import: what is refused, what is remembered, and what is written."""

from __future__ import annotations

import fcntl
import functools
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attest import Cloud, TrustAnchor, TrustStore, TrustStoreError
from attest.bundle import PAYLOAD_TYPE, Bundle, BundleCode, BundleError, BundleItem, bundle_of
from attest.bundle_import import ImportResult, import_bundle, read_bundle
from attest.certificates import fingerprint
from attest.dsse import Envelope, Signature, key_id, parse_envelope
from attest.manifest import Role
from attest.operator_folder import BUNDLE, read_operator_folders
from tests.support.pki import AT, Identity, ec_key, make_ca, pem_of, pki

DAY = timedelta(days=1)
KEYS = tuple(Ed25519PrivateKey.generate() for _ in range(3))
ONE_CODE_OF_A_CHANGED_FILE = {BundleCode.MALFORMED, BundleCode.SIGNATURES_MISSING}


@functools.cache
def guest() -> Identity:
    """Return a root that is no anchor."""
    return make_ca("Guest Root", key=ec_key("guest root"))


@functools.cache
def guest_link() -> Identity:
    """Return an intermediate of that root."""
    return make_ca("Guest CA", guest(), key=ec_key("guest link"))


def base() -> TrustStore:
    """Return a store that pins one root, for the public cloud and China's."""
    clouds = frozenset({Cloud.PUBLIC, Cloud.CHINA})
    return TrustStore([TrustAnchor(pki().root.certificate, clouds)])


def item(identity: Identity, *clouds: Cloud, role: Role = Role.INTERMEDIATE) -> BundleItem:
    """Return an item of a bundle, by default for the public cloud."""
    return BundleItem(role, frozenset(clouds or {Cloud.PUBLIC}), identity.certificate)


def anchor(identity: Identity, *clouds: Cloud) -> BundleItem:
    """Return an anchor of a bundle, by default for the public cloud."""
    return item(identity, *clouds, role=Role.ANCHOR)


def make(*items: BundleItem, version: int = 1, days: int = 30) -> Bundle:
    """Return a bundle, by default of the pinned root's intermediate."""
    listed = items or (item(pki().intermediate),)
    return Bundle(version, AT - DAY, AT + days * DAY, listed)


def signed(bundle: Bundle, keys: Sequence[Ed25519PrivateKey] = KEYS[:1]) -> bytes:
    """Return the file of a bundle."""
    envelope = Envelope(PAYLOAD_TYPE, bundle.encode())
    for key in keys:
        envelope = envelope.signed_with(key)
    return envelope.encode()


def bring(folder: Path, data: bytes | Bundle, **options: Any) -> ImportResult:
    """Import a file, or a bundle that one key signs."""
    options = {
        "keys": [KEYS[0].public_key()],
        "threshold": 1,
        "folder": folder,
        "store": base(),
        "at": AT,
        **options,
    }
    return import_bundle(signed(data) if isinstance(data, Bundle) else data, **options)


def assert_refused(code: BundleCode, folder: Path, data: bytes | Bundle, **options: Any) -> str:
    """Demand a refusal that changes nothing; return its detail."""
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(BundleError) as caught:
        bring(folder, data, **options)
    assert caught.value.code is code, caught.value
    assert caught.value.detail.isascii()
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before
    return caught.value.detail


def test_an_import_is_read_with_the_folder(tmp_path: Path) -> None:
    """What it brings is the operator's; an anchor that is pinned stays what it is."""
    both = make(anchor(pki().root), item(pki().intermediate, Cloud.CHINA))
    result = bring(tmp_path, both)
    assert (result.bundle, result.changed, result.expired) == (both, True, False)
    store = read_operator_folders([tmp_path], base())
    assert store.generation == result.store.generation
    assert store.anchors == base().anchors
    assert store.intermediates_for(Cloud.CHINA) == (pki().intermediate.certificate,)
    assert store.intermediates_for(Cloud.PUBLIC) == ()
    assert store.operators_for(Cloud.CHINA) == {pki().intermediate.certificate}
    assert (tmp_path / BUNDLE).stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == [BUNDLE]


def test_the_pinned_store_goes_out_and_comes_back(tmp_path: Path) -> None:
    """Its bundle adds nothing to it, and heals a store of its anchors alone."""
    pinned = TrustStore.bundled()
    bundle = bundle_of(pinned, version=1, created=AT, expires=AT + DAY)
    assert bring(tmp_path, bundle, store=pinned).store.generation == pinned.generation
    anchors = TrustStore(pinned.anchors)
    assert read_operator_folders([tmp_path], anchors).generation == pinned.generation


def test_a_newer_version_replaces_an_older_one(tmp_path: Path) -> None:
    """As a whole: what it no longer holds is gone."""
    first = make_ca("First CA", pki().root, key=ec_key("first"))
    bring(tmp_path, make(item(first)))
    result = bring(tmp_path, make(version=5))
    assert result.store.intermediates_for(Cloud.PUBLIC) == (pki().intermediate.certificate,)


def test_rollback_is_refused(tmp_path: Path) -> None:
    """An older version, and another one of the same number; the same file changes nothing."""
    data = signed(make(version=2))
    bring(tmp_path, data)
    before = (tmp_path / BUNDLE).stat()
    assert bring(tmp_path, data).changed is False
    assert bring(tmp_path, signed(make(version=2), KEYS)).changed is False
    assert (tmp_path / BUNDLE).stat().st_mtime_ns == before.st_mtime_ns
    code = BundleCode.ROLLED_BACK
    assert "version 1, and version 2" in assert_refused(code, tmp_path, make())
    assert "another version 2" in assert_refused(code, tmp_path, make(version=2, days=31))


def test_an_expired_bundle_is_refused(tmp_path: Path) -> None:
    """At its last second it is good; what was imported in time stays."""
    bundle = make(days=1)
    assert "2026-07-02" in assert_refused(
        BundleCode.EXPIRED, tmp_path, bundle, at=AT + DAY + timedelta(seconds=1)
    )
    assert bring(tmp_path, bundle, at=AT + DAY).changed
    late = bring(tmp_path, bundle, at=AT + 99 * DAY)
    assert (late.changed, late.expired) == (False, True)
    assert late.store.intermediates_for(Cloud.PUBLIC) == (pki().intermediate.certificate,)
    assert_refused(BundleCode.EXPIRED, tmp_path, make(version=2, days=1), at=AT + 2 * DAY)


def test_too_few_signatures(tmp_path: Path) -> None:
    """Each key counts once, strangers not at all, and a keyid proves nothing."""
    keys = [key.public_key() for key in KEYS]
    bundle = make()
    code = BundleCode.SIGNATURES_MISSING
    assert_refused(code, tmp_path, signed(bundle, []))
    assert_refused(code, tmp_path, signed(bundle, KEYS[1:]))
    assert_refused(code, tmp_path, signed(bundle, KEYS[:1]), keys=keys, threshold=2)
    sig = parse_envelope(signed(bundle)).signatures[0].sig
    twice = tuple(Signature(sig, key_id(key)) for key in keys)
    copied = Envelope(PAYLOAD_TYPE, bundle.encode(), twice)
    assert_refused(code, tmp_path, copied.encode(), keys=keys, threshold=2)
    assert_refused(code, tmp_path, signed(bundle, KEYS[:2]), keys=keys, threshold=3)
    assert bring(tmp_path, signed(bundle, KEYS[1:]), keys=keys, threshold=2).changed


def test_thresholds_that_mean_nothing(tmp_path: Path) -> None:
    """None at all, or more than there are keys; a key that is named twice is one key."""
    one = KEYS[0].public_key()
    for keys, threshold in (([one], 0), ([one], 2), ([one, one], 2), ([], 1), ([], 0)):
        with pytest.raises(ValueError, match="threshold"):
            bring(tmp_path, make(), keys=keys, threshold=threshold)


def test_another_type_is_refused(tmp_path: Path) -> None:
    """Signed as something else, and said to be something else than was signed."""
    other = Envelope("application/vnd.in-toto+json", make().encode()).signed_with(KEYS[0])
    assert_refused(BundleCode.TYPE_UNSUPPORTED, tmp_path, other.encode())
    renamed = replace(other, payload_type=PAYLOAD_TYPE)
    assert_refused(BundleCode.SIGNATURES_MISSING, tmp_path, renamed.encode())
    with pytest.raises(BundleError) as caught:
        read_bundle(other.encode())
    assert caught.value.code is BundleCode.TYPE_UNSUPPORTED


def test_a_payload_is_parsed_only_when_it_is_authentic(tmp_path: Path) -> None:
    """What nobody signed gets no parser; what somebody signed must still be a bundle."""
    junk = Envelope(PAYLOAD_TYPE, b"{")
    assert_refused(BundleCode.SIGNATURES_MISSING, tmp_path, junk.encode())
    assert_refused(BundleCode.MALFORMED, tmp_path, junk.signed_with(KEYS[0]).encode())


def test_each_octet_matters(tmp_path: Path) -> None:
    """A file altered anywhere is refused, but for the keyid, which says nothing."""
    data = signed(make(item(make_ca("C", pki().root, key=ec_key("small")))))
    start = data.index(b'"keyid"')
    hint = range(start, data.index(b"\n", start) - 1)
    accepted = set()
    for place in range(len(data)):
        for change in (0x01, 0x20, 0x80):
            altered = bytearray(data)
            altered[place] ^= change
            try:
                bring(tmp_path, bytes(altered))
            except BundleError as error:
                assert error.code in ONE_CODE_OF_A_CHANGED_FILE, (place, error)
                assert not (tmp_path / BUNDLE).exists()
            else:
                accepted.add(place)
                (tmp_path / BUNDLE).unlink()
    assert accepted
    assert accepted <= set(hint)


def test_a_new_anchor_needs_consent(tmp_path: Path) -> None:
    """By fingerprint, for the clouds of the bundle; it is remembered, and ends with the anchor."""
    sha256 = fingerprint(guest().certificate)
    bundle = make(anchor(guest()), item(guest_link()))
    detail = assert_refused(BundleCode.ANCHOR_NEW, tmp_path, bundle)
    assert sha256 in detail
    assert "'Guest Root'" in detail
    wrong = fingerprint(pki().root.certificate)
    assert_refused(BundleCode.ANCHOR_NEW, tmp_path, bundle, accepted_anchors=[wrong])
    store = bring(tmp_path, bundle, accepted_anchors=[sha256]).store
    assert store.anchors_for(Cloud.PUBLIC) == (pki().root.certificate, guest().certificate)
    assert store.anchors_for(Cloud.CHINA) == (pki().root.certificate,)
    assert not store.is_pinned(guest().certificate)
    again = bring(tmp_path, replace(bundle, version=2))
    assert guest().certificate in again.store.anchors_for(Cloud.PUBLIC)
    wider = make(anchor(guest(), Cloud.PUBLIC, Cloud.USGOV), version=3)
    assert "for usgov" in assert_refused(BundleCode.ANCHOR_NEW, tmp_path, wider)
    assert bring(tmp_path, make(version=3)).store.anchors == base().anchors
    assert_refused(BundleCode.ANCHOR_NEW, tmp_path, replace(bundle, version=4))


def test_a_pinned_anchor_is_pinned_for_its_clouds(tmp_path: Path) -> None:
    """A bundle does not widen it without consent."""
    wider = make(anchor(pki().root, Cloud.PUBLIC, Cloud.GERMANY))
    assert "for germany" in assert_refused(BundleCode.ANCHOR_NEW, tmp_path, wider)


def test_an_anchor_of_the_folder_needs_no_consent(tmp_path: Path) -> None:
    """The operator put it there; the bundle adds its intermediates, and no anchor of its own."""
    folder = tmp_path / "anchors" / "public"
    folder.mkdir(parents=True)
    (folder / "guest.pem").write_bytes(pem_of(guest().certificate))
    store = bring(tmp_path, make(anchor(guest()), item(guest_link()))).store
    assert store.intermediates_for(Cloud.PUBLIC) == (guest_link().certificate,)
    (folder / "guest.pem").unlink()
    with pytest.raises(TrustStoreError, match=r"bundle\.json': no chain .* from 'Guest CA'"):
        read_operator_folders([tmp_path], base())


def test_unconnected_intermediates_are_refused(tmp_path: Path) -> None:
    """By signature, to an anchor of each of their clouds."""
    forged = make_ca("F", pki().root, key=ec_key("f"), signed_by=ec_key("not the root's"))
    for bad, cloud in (
        (item(guest_link()), "public"),
        (item(forged), "public"),
        (item(pki().intermediate, Cloud.PUBLIC, Cloud.USGOV), "usgov"),
    ):
        detail = assert_refused(BundleCode.UNCONNECTED, tmp_path, make(bad))
        assert detail.endswith(f"to an anchor of {cloud}")


def test_the_folder_must_be_usable(tmp_path: Path) -> None:
    """It is missing, holds damage, would be left with what leads nowhere, or is in use."""
    with pytest.raises(TrustStoreError, match="cannot be read: No such file"):
        bring(tmp_path / "none", make())
    leaf = make_ca("Leaf CA", pki().intermediate, key=ec_key("leaf"))
    bring(tmp_path, make())
    (tmp_path / "leaf.pem").write_bytes(pem_of(leaf.certificate))
    before = (tmp_path / BUNDLE).read_bytes()
    other = make(item(make_ca("O", pki().root, key=ec_key("other"))), version=2)
    with pytest.raises(TrustStoreError, match=r"leaf\.pem': no chain"):
        bring(tmp_path, other)
    (tmp_path / "leaf.pem").write_bytes(b"damage")
    with pytest.raises(TrustStoreError, match=r"leaf\.pem"):
        bring(tmp_path, other)
    (tmp_path / "leaf.pem").unlink()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(TrustStoreError, match="another import"):
        bring(tmp_path, other)
    assert (tmp_path / BUNDLE).read_bytes() == before
    os.close(descriptor)
    assert bring(tmp_path, other).changed


def test_a_failure_while_writing_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, and nothing beside it that would count."""
    bring(tmp_path, make())
    before = (tmp_path / BUNDLE).read_bytes()

    def fail(*_arguments: object) -> None:
        raise OSError(5, "Input/output error")

    for module, name in ((os, "fsync"), (Path, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, fail)
            with pytest.raises(TrustStoreError, match="cannot be written: Input/output error"):
                bring(tmp_path, make(version=2))
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {BUNDLE: before}
    assert bring(tmp_path, make(version=2)).changed


def test_what_is_no_import_refuses_the_folder(tmp_path: Path) -> None:
    """A bundle that somebody copied there, and a record that is damaged."""
    bring(tmp_path, make())
    good = json.loads((tmp_path / BUNDLE).read_text())
    for content in (
        signed(make(anchor(guest()))),
        b"",
        b"{}",
        json.dumps({**good, "imported": "!"}).encode(),
        json.dumps({**good, "imported": "e30="}).encode(),
        json.dumps({**good, "accepted_anchors": []}).encode(),
        json.dumps({**good, "accepted_anchors": {"x": 1}}).encode(),
        json.dumps({**good, "accepted_anchors": {"x": ["mars"]}}).encode(),
    ):
        (tmp_path / BUNDLE).write_bytes(content)
        with pytest.raises(TrustStoreError, match=r"bundle\.json': "):
            read_operator_folders([tmp_path], base())
        with pytest.raises(TrustStoreError, match=r"bundle\.json': "):
            bring(tmp_path, make(version=2))
        assert (tmp_path / BUNDLE).read_bytes() == content
