"""Tests of attest.trust."""

from __future__ import annotations

from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import NoReturn

import pytest
from cryptography import x509

from attest import Cloud, Intermediate, TrustAnchor, TrustStore, TrustStoreError
from tests.support.pki import Identity, ec_key, make_ca, pem_of, pki


def stranger() -> Identity:
    """Return a root that nobody trusts."""
    return make_ca("Stranger Root", key=ec_key("stranger"))


def test_anchors_are_kept_apart_by_cloud() -> None:
    """An anchor pinned for one cloud vouches for no other."""
    china = TrustAnchor(pki().root.certificate, frozenset({Cloud.CHINA}))
    public = TrustAnchor(stranger().certificate, frozenset({Cloud.PUBLIC}))
    link = Intermediate(pki().intermediate.certificate, frozenset(Cloud))
    store = TrustStore([china, public], [link])
    assert store.anchors_for(Cloud.CHINA) == (pki().root.certificate,)
    assert store.anchors_for(Cloud.USGOV) == ()
    assert store.intermediates_for(Cloud.CHINA) == (pki().intermediate.certificate,)
    assert store.intermediates_for(Cloud.PUBLIC) == ()


def test_intermediates_of_other_clouds_are_not_used() -> None:
    """An intermediate serves the clouds that it is for."""
    anchor = TrustAnchor(pki().root.certificate, frozenset(Cloud))
    link = Intermediate(pki().intermediate.certificate, frozenset({Cloud.USGOV}))
    store = TrustStore([anchor], [link])
    assert store.intermediates_for(Cloud.USGOV) == (pki().intermediate.certificate,)
    assert store.intermediates_for(Cloud.PUBLIC) == ()


def test_unconnected_intermediates_are_shown_and_not_used() -> None:
    """They stay in the list for the operator to see."""
    alien = make_ca("Alien CA", stranger(), key=ec_key("alien")).certificate
    store = pki().store(intermediates=[alien])
    assert [item.certificate for item in store.intermediates] == [alien]
    assert store.intermediates_for(Cloud.PUBLIC) == ()


def test_generation_is_of_the_content() -> None:
    """Equal content in any order has one generation; any difference has another."""
    one, two = pki().root.certificate, stranger().certificate
    link = pki().intermediate.certificate

    def generation(
        *anchors: x509.Certificate,
        links: tuple[x509.Certificate, ...] = (),
        clouds: Collection[Cloud] = frozenset({Cloud.PUBLIC}),
    ) -> str:
        store = TrustStore.from_certificates(anchors=anchors, intermediates=links, clouds=clouds)
        return store.generation

    assert generation(one, two) == generation(two, one) == generation(two, one, two)
    others = [
        generation(one),
        generation(one, two),
        generation(one, links=(link,)),
        generation(one, link),
        generation(one, clouds={Cloud.CHINA}),
    ]
    assert len(set(others)) == len(others)


def test_the_operators_own_are_told_from_the_pinned_ones() -> None:
    """Per cloud, and whatever else vouches: a manifest's word wins over the operator's."""
    root, link = pki().root.certificate, pki().intermediate.certificate
    pinned = TrustStore(
        [TrustAnchor(root, frozenset({Cloud.PUBLIC}))],
        [Intermediate(link, frozenset({Cloud.PUBLIC}))],
    )
    own = pki().store(clouds={Cloud.PUBLIC, Cloud.CHINA})
    assert not own.is_pinned(root)
    assert own.operators_for(Cloud.PUBLIC) == {root, link}
    both = pinned.extended(anchors=own.anchors, intermediates=own.intermediates)
    assert both.is_pinned(root)
    assert both.is_pinned(link)
    assert not both.is_pinned(stranger().certificate)
    assert both.operators_for(Cloud.PUBLIC) == set()
    assert both.operators_for(Cloud.CHINA) == {root, link}
    assert both.anchors_for(Cloud.PUBLIC) == (root,)
    assert both.intermediates_for(Cloud.PUBLIC) == (link,)


def test_extending_makes_another_store() -> None:
    """The one extended stays; what it holds already adds nothing to its generation."""
    store = pki().store(clouds={Cloud.PUBLIC})
    before = store.generation
    anchor = TrustAnchor(stranger().certificate, frozenset({Cloud.CHINA}), pinned=False)
    larger = store.extended(anchors=[anchor])
    assert larger.anchors == (*store.anchors, anchor)
    assert (store.generation, store.anchors_for(Cloud.CHINA)) == (before, ())
    assert larger.generation != before
    assert store.extended(anchors=store.anchors).generation == before


@pytest.mark.parametrize("name", ["anchors", "intermediates", "generation", "other"])
def test_a_store_is_immutable(name: str) -> None:
    """Its generation speaks for its content, so neither can be exchanged."""
    with pytest.raises(AttributeError):
        setattr(pki().store(), name, ())


def test_a_store_needs_an_anchor() -> None:
    """Intermediates alone are no trust."""
    with pytest.raises(TrustStoreError, match="no trust anchor"):
        TrustStore.from_certificates(
            anchors=[], intermediates=[pki().intermediate.certificate], clouds={Cloud.PUBLIC}
        )


def test_clouds_may_be_given_by_name() -> None:
    """A setting's text is read as a cloud, and an unknown one is an error."""
    anchors = [pki().root.certificate]
    store = TrustStore.from_certificates(anchors=anchors, clouds=["usgov"])  # type: ignore[list-item]
    assert store.anchors[0].clouds == {Cloud.USGOV}
    with pytest.raises(ValueError, match="mars"):
        TrustStore.from_certificates(anchors=anchors, clouds=["mars"])  # type: ignore[list-item]


def test_pem_files_are_sorted_by_role(tmp_path: Path) -> None:
    """Self-signed certificates are anchors, the others intermediates; files and folders alike."""
    both = [pki().intermediate.certificate, pki().root.certificate]
    (tmp_path / "all.pem").write_bytes(pem_of(*both))
    for path in (tmp_path, tmp_path / "all.pem"):
        store = TrustStore.from_pem(path, clouds={Cloud.PUBLIC})
        assert [item.certificate for item in store.anchors] == both[1:]
        assert [item.certificate for item in store.intermediates] == both[:1]


def test_a_self_issued_certificate_of_another_key_is_no_anchor(tmp_path: Path) -> None:
    """Only a certificate's own signature makes it an anchor of the operator's."""
    fake = make_ca("Test Root G1", pki().root, key=ec_key("fake"))
    (tmp_path / "fake.pem").write_bytes(pem_of(fake.certificate))
    with pytest.raises(TrustStoreError, match="no trust anchor"):
        TrustStore.from_pem(tmp_path, clouds={Cloud.PUBLIC})


def test_an_old_root_signed_with_sha1_is_an_anchor() -> None:
    """A root's signature on itself proves nothing; China's first root has one with SHA-1."""
    file = Path(str(resources.files("certs"))) / "anchors" / "digicert_global_root_ca.pem"
    assert len(TrustStore.from_pem(file, clouds={Cloud.CHINA}).anchors) == 1


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_damaged_pem_file_is_named(tmp_path: Path, content: bytes) -> None:
    """So that the operator finds it."""
    (tmp_path / "bad.pem").write_bytes(content)
    with pytest.raises(TrustStoreError, match=r"bad\.pem"):
        TrustStore.from_pem(tmp_path, clouds={Cloud.PUBLIC})


def test_missing_paths_and_empty_folders_are_refused(tmp_path: Path) -> None:
    """No store without certificates."""
    with pytest.raises(TrustStoreError, match=r"none\.pem"):
        TrustStore.from_pem(tmp_path / "none.pem", clouds={Cloud.PUBLIC})
    with pytest.raises(TrustStoreError, match="no file of it ends in"):
        TrustStore.from_pem(tmp_path, clouds={Cloud.PUBLIC})


def test_a_missing_certs_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation is an error about the store, not an import error."""

    def missing(package: str) -> NoReturn:
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(resources, "files", missing)
    with pytest.raises(TrustStoreError, match="certs"):
        TrustStore.bundled()


def test_folders_and_files_may_be_texts(tmp_path: Path) -> None:
    """A path is a path, written as a text or not."""
    folder = str(resources.files("certs"))
    assert TrustStore.load(folder).generation == TrustStore.bundled().generation
    file = tmp_path / "root.pem"
    file.write_bytes(pem_of(pki().root.certificate))
    store = TrustStore.from_pem(str(file), clouds={Cloud.PUBLIC})
    assert store.anchors_for(Cloud.PUBLIC) == (pki().root.certificate,)
