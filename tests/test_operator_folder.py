"""Tests of attest.operator_folder."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest
from cryptography import x509

from attest import Cloud, TrustAnchor, TrustStore, TrustStoreError
from attest.certificates import fingerprint
from attest.operator_folder import (
    MAX_CERTIFICATES,
    MAX_FILE,
    MAX_FILES,
    add_intermediate,
    folder_state,
    read_operator_folders,
)
from tests.support.pki import Identity, der_of, ec_key, make_ca, make_signer, pem_of, pki


@functools.cache
def stranger() -> Identity:
    """Return a root that nobody trusts."""
    return make_ca("Stranger Root", key=ec_key("stranger"))


def roots() -> TrustStore:
    """Return a store that pins one root, for two clouds."""
    clouds = frozenset({Cloud.PUBLIC, Cloud.USGOV})
    return TrustStore([TrustAnchor(pki().root.certificate, clouds)])


def write(folder: Path, name: str, *certificates: x509.Certificate) -> Path:
    """Write a PEM file, and the folders above it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pem_of(*certificates))
    return path


def test_intermediates_serve_the_clouds_that_they_lead_to(tmp_path: Path) -> None:
    """Every suffix, PEM and DER, through one another; for no cloud but those of their anchors."""
    first = make_ca("First CA", pki().root, key=ec_key("first"))
    second = make_ca("Second CA", first, key=ec_key("second"))
    write(tmp_path, "a.pem", second.certificate)
    write(tmp_path, "b.crt", first.certificate)
    (tmp_path / "c.cer").write_bytes(der_of(pki().intermediate.certificate))
    store = read_operator_folders([tmp_path], roots())
    for cloud in (Cloud.PUBLIC, Cloud.USGOV):
        assert set(store.intermediates_for(cloud)) == {
            first.certificate,
            second.certificate,
            pki().intermediate.certificate,
        }
    assert store.intermediates_for(Cloud.CHINA) == ()
    assert {item.clouds for item in store.intermediates} == {roots().anchors[0].clouds}
    assert {item.source for item in store.intermediates} == {
        str(tmp_path / name) for name in ("a.pem", "b.crt", "c.cer")
    }
    assert not any(item.pinned for item in store.intermediates)
    assert store.anchors == roots().anchors


def test_anchors_are_for_the_cloud_of_their_folder(tmp_path: Path) -> None:
    """An anchor of one folder may be what another folder's intermediate leads to."""
    link = make_ca("Stranger CA", stranger(), key=ec_key("link")).certificate
    write(tmp_path, "one/anchors/china/root.pem", stranger().certificate)
    write(tmp_path, "two/link.pem", link)
    store = read_operator_folders([tmp_path / "two", tmp_path / "one"], roots())
    assert store.anchors_for(Cloud.CHINA) == (stranger().certificate,)
    assert store.anchors_for(Cloud.PUBLIC) == (pki().root.certificate,)
    assert store.intermediates_for(Cloud.CHINA) == (link,)
    assert store.intermediates_for(Cloud.PUBLIC) == ()
    assert store.operators_for(Cloud.CHINA) == {stranger().certificate, link}


def test_what_does_not_count(tmp_path: Path) -> None:
    """Names with a dot in front, and files of other kinds; an empty folder adds nothing."""
    (tmp_path / "README.txt").write_text("Ask the PKI team.")
    (tmp_path / ".half.pem").write_text("-----BEGIN")
    (tmp_path / "..2026_07_01").mkdir()
    (tmp_path / "anchors" / "public" / ".new").mkdir(parents=True)
    store = read_operator_folders([tmp_path, tmp_path], roots())
    assert store.generation == roots().generation


def test_links_as_in_a_kubernetes_volume(tmp_path: Path) -> None:
    """Its files are links into a hidden folder that is itself a link."""
    write(tmp_path, "..2026_07_01/ca.pem", pki().intermediate.certificate)
    (tmp_path / "..data").symlink_to("..2026_07_01")
    (tmp_path / "ca.pem").symlink_to("..data/ca.pem")
    store = read_operator_folders([tmp_path], roots())
    assert store.intermediates_for(Cloud.PUBLIC) == (pki().intermediate.certificate,)


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x03abc"])
@pytest.mark.parametrize("name", ["bad.pem", "anchors/usgov/bad.cer"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """One of them refuses all."""
    write(tmp_path, "good.pem", pki().intermediate.certificate)
    write(tmp_path, name).write_bytes(content)
    with pytest.raises(TrustStoreError, match=rf"/{name}': "):
        read_operator_folders([tmp_path], roots())


def test_what_is_not_what_its_place_says(tmp_path: Path) -> None:
    """A root is no link, a signer is no CA, an intermediate is no anchor, a stranger leads nowhere.

    So is a CA whose issuer's name fits and whose signature does not.
    """
    forged = make_ca("Forged CA", pki().root, key=ec_key("f"), signed_by=ec_key("not the root's"))
    for name, certificate, why in [
        ("x.pem", stranger().certificate, "self-signed, and so no intermediate"),
        ("x.pem", make_signer(pki().root).certificate, "not a certificate of a CA"),
        ("x.pem", make_ca("C", stranger(), key=ec_key("c")).certificate, "from 'C' to an anchor"),
        ("x.pem", forged.certificate, "from 'Forged CA' to an anchor"),
        ("anchors/public/x.pem", pki().intermediate.certificate, "an anchor must be self-signed"),
    ]:
        path = write(tmp_path, name, certificate)
        with pytest.raises(TrustStoreError, match=rf"x\.pem': .*{why}"):
            read_operator_folders([tmp_path], roots())
        path.unlink()


def test_places_that_are_not_known(tmp_path: Path) -> None:
    """A folder that somebody misspelt would be trust that is missing, silently."""
    for name in ("anchor/public/x.pem", "anchors/mars/x.pem", "anchors/x.pem"):
        folder = tmp_path / name.replace("/", "_")
        write(folder, name, pki().root.certificate)
        with pytest.raises(TrustStoreError, match=r"is known here|not a folder of a cloud"):
            read_operator_folders([folder], roots())


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A folder that is missing, a file in its place, a pipe, a device, a link to nowhere."""
    with pytest.raises(TrustStoreError, match=r"none': cannot be read: No such file"):
        read_operator_folders([tmp_path / "none"], roots())
    file = write(tmp_path, "ca.pem", pki().intermediate.certificate)
    with pytest.raises(TrustStoreError, match=r"ca\.pem': cannot be read: Not a directory"):
        read_operator_folders([file], roots())
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(TrustStoreError, match=r"ca\.pem': not a regular file"):
        read_operator_folders([tmp_path], roots())
    for target, why in (("/dev/zero", "not a regular file"), ("nowhere", "No such file")):
        file.unlink()
        file.symlink_to(target)
        with pytest.raises(TrustStoreError, match=why):
            read_operator_folders([tmp_path], roots())


def test_bounds(tmp_path: Path) -> None:
    """Of files, octets, names and certificates."""
    link = pki().intermediate.certificate
    large = write(tmp_path, "large/ca.pem", link)
    large.write_bytes(pem_of(link).ljust(MAX_FILE, b"\n"))
    assert read_operator_folders([large.parent], roots()).intermediates
    large.write_bytes(pem_of(link).ljust(MAX_FILE + 1, b"\n"))
    with pytest.raises(TrustStoreError, match=f"more than {MAX_FILE} octets"):
        read_operator_folders([large.parent], roots())
    for number in range(MAX_FILES):
        write(tmp_path, f"many/{number}.pem", link)
    assert len(read_operator_folders([tmp_path / "many"], roots()).intermediates) == MAX_FILES
    write(tmp_path, "many/more.pem", link)
    with pytest.raises(TrustStoreError, match=f"more than {MAX_FILES} files"):
        read_operator_folders([tmp_path / "many"], roots())
    for number in range(MAX_CERTIFICATES // 8 + 1):
        write(tmp_path, f"full/{number}.pem", *[link] * 8)
    with pytest.raises(TrustStoreError, match=f"more than {MAX_CERTIFICATES} certificates"):
        read_operator_folders([tmp_path / "full"], roots())
    for number in range(4097):
        (tmp_path / "full" / f".{number}").touch()
    with pytest.raises(TrustStoreError, match="more than 4096 names"):
        read_operator_folders([tmp_path / "full"], roots())


def test_the_state_is_of_names_and_contents(tmp_path: Path) -> None:
    """It changes with what counts, and with nothing else."""
    file = write(tmp_path, "ca.pem", pki().intermediate.certificate)
    states = [folder_state([tmp_path])]
    (tmp_path / "README.txt").touch()
    os.utime(file, (0, 0))
    assert folder_state([tmp_path]) == states[0]
    file.write_bytes(file.read_bytes() + b"\n")
    states.append(folder_state([tmp_path]))
    file = file.rename(tmp_path / "other.pem")
    states.append(folder_state([tmp_path]))
    write(tmp_path, "anchors/public/other.pem").write_bytes(file.read_bytes())
    states.append(folder_state([tmp_path]))
    file.unlink()
    states.append(folder_state([tmp_path]))
    assert len(set(states)) == len(states)


def test_add_intermediate(tmp_path: Path) -> None:
    """The file is named after the CA, is whole, may be read by all, and is written once."""
    certificate = pki().intermediate.certificate
    path = add_intermediate(tmp_path, certificate)
    assert path == tmp_path / f"test-issuing-ca-01-{fingerprint(certificate)[:8]}.pem"
    assert path.read_bytes() == pem_of(certificate)
    assert path.stat().st_mode & 0o777 == 0o644
    before = path.stat()
    assert add_intermediate(tmp_path, certificate) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert list(tmp_path.iterdir()) == [path]
    store = read_operator_folders([tmp_path], roots())
    assert store.intermediates_for(Cloud.PUBLIC) == (certificate,)
    path.write_bytes(b"something else")
    with pytest.raises(TrustStoreError, match="is another file"):
        add_intermediate(tmp_path, certificate)
    assert path.read_bytes() == b"something else"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("\x1b[2J\n", "2j"),
        ("\u0416", "ca"),
        ("x" * 64, "x" * 60),
    ],
)
def test_the_name_of_the_file_is_tame(tmp_path: Path, name: str, slug: str) -> None:
    """Whatever a CA is called, its file lies in the folder and counts there."""
    certificate = make_ca(name, pki().root, key=ec_key("odd")).certificate
    path = add_intermediate(tmp_path, certificate)
    assert path == tmp_path / f"{slug}-{fingerprint(certificate)[:8]}.pem"
    assert read_operator_folders([tmp_path], roots()).intermediates


def test_add_intermediate_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would refuse the folder later, and what cannot be written; nothing is left behind."""
    with pytest.raises(TrustStoreError, match="self-signed"):
        add_intermediate(tmp_path, pki().root.certificate)
    with pytest.raises(TrustStoreError, match="not a certificate of a CA"):
        add_intermediate(tmp_path, pki().signer.certificate)
    with pytest.raises(TrustStoreError, match="cannot be written: No such file"):
        add_intermediate(tmp_path / "none", pki().intermediate.certificate)

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(TrustStoreError, match="cannot be written: No space left"):
        add_intermediate(tmp_path, pki().intermediate.certificate)
    assert list(tmp_path.iterdir()) == []
