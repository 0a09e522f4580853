"""Tests of attest.manifest: reading and writing a trust folder's manifest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attest import Cloud, TrustStore, TrustStoreError
from attest.manifest import Role, read_manifest, write_manifest
from tests.support.pki import ec_key, make_ca, pem_of, pki

Fields = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a small trust folder with its manifest."""
    for place, identity in (("anchors", pki().root), ("intermediates", pki().intermediate)):
        (tmp_path / place).mkdir()
        (tmp_path / place / "test.pem").write_bytes(pem_of(identity.certificate))
    entry = {"file": "anchors/test.pem", "clouds": ["china", "public"], "source": "a test"}
    write_json(tmp_path, {"version": 1, "certificates": [entry]})
    write_manifest(tmp_path)
    return tmp_path


def write_json(folder: Path, manifest: object) -> None:
    """Write a manifest."""
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def read_json(folder: Path) -> Fields:
    """Read a manifest as JSON."""
    manifest: Fields = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def change(folder: Path, edit: Callable[[Fields, list[Fields]], object]) -> None:
    """Change a manifest; ``edit`` is given it and its entries."""
    manifest = read_json(folder)
    edit(manifest, manifest["certificates"])
    write_json(folder, manifest)


def test_what_was_written_is_read(folder: Path) -> None:
    """Role, clouds, source and certificate of each file."""
    anchor, intermediate = read_manifest(folder)
    assert (anchor.file, anchor.role) == ("anchors/test.pem", Role.ANCHOR)
    assert anchor.clouds == {Cloud.CHINA, Cloud.PUBLIC}
    assert (anchor.source, intermediate.source) == ("a test", None)
    assert anchor.certificate == pki().root.certificate
    assert (intermediate.role, intermediate.clouds) == (Role.INTERMEDIATE, anchor.clouds)


def test_fields_repeat_the_certificate(folder: Path) -> None:
    """What a person wants to know of a file stands in the manifest."""
    fields = read_json(folder)["certificates"][0]
    certificate = pki().root.certificate
    assert fields["subject"] == fields["issuer"] == "CN=Test Root G1,O=Test Corporation,C=US"
    assert int(fields["serial"], 16) == certificate.serial_number
    assert len(fields["sha256"]) == 64
    assert fields["not_before"] == certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_writing_again_changes_nothing(folder: Path) -> None:
    """Writing is idempotent."""
    before = (folder / "manifest.json").read_bytes()
    write_manifest(folder)
    assert (folder / "manifest.json").read_bytes() == before


def test_the_module_is_a_program(folder: Path) -> None:
    """``python -m attest.manifest FOLDER`` writes it anew."""
    before = (folder / "manifest.json").read_bytes()
    change(folder, lambda _manifest, entries: entries.pop())
    command = [sys.executable, "-m", "attest.manifest", str(folder)]
    subprocess.run(command, check=True, timeout=60)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_new_anchor_needs_its_clouds(folder: Path) -> None:
    """No program decides for which clouds an anchor vouches."""
    new = make_ca("New Root", key=ec_key("new"))
    (folder / "anchors" / "new.pem").write_bytes(pem_of(new.certificate))
    with pytest.raises(TrustStoreError, match=r"anchors/new\.pem: the clouds are None"):
        write_manifest(folder)


def test_a_new_intermediate_must_lead_to_an_anchor(folder: Path) -> None:
    """Its clouds are those of the anchors that its signatures lead to; none is an error."""
    alien = make_ca("Alien CA", make_ca("Alien Root", key=ec_key("a")), key=ec_key("b"))
    (folder / "intermediates" / "alien.pem").write_bytes(pem_of(alien.certificate))
    with pytest.raises(TrustStoreError, match=r"alien\.pem: no chain of signatures"):
        write_manifest(folder)


def test_other_files_are_ignored(folder: Path) -> None:
    """A README beside the certificates is no certificate."""
    (folder / "README.md").write_text("about", encoding="utf-8")
    (folder / "anchors" / "notes.txt").write_text("about", encoding="utf-8")
    assert len(read_manifest(folder)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 2, "certificates": []}',
        '{"version": 1}',
        '{"version": 1, "certificates": {}}',
        '{"version": 1, "certificates": [1]}',
        '{"version": 1, "version": 1, "certificates": []}',
        "\udcff",
    ],
)
def test_a_damaged_manifest_is_named(folder: Path, text: str) -> None:
    """Neither read nor overwritten: its clouds are decisions."""
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    for function in (read_manifest, write_manifest, TrustStore.load):
        with pytest.raises(TrustStoreError, match=r"manifest\.json"):
            function(folder)


def test_a_missing_manifest_is_named(folder: Path) -> None:
    """A folder of certificates alone is no trust folder."""
    (folder / "manifest.json").unlink()
    with pytest.raises(TrustStoreError, match=r"manifest\.json: cannot be read"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "field", ["subject", "issuer", "serial", "sha256", "not_before", "not_after"]
)
@pytest.mark.parametrize("value", [None, "", "x"])
def test_every_field_is_compared(folder: Path, field: str, value: str | None) -> None:
    """A manifest that says something else than the file refuses it."""
    change(folder, lambda _manifest, entries: entries[0].update({field: value}))
    with pytest.raises(TrustStoreError, match=rf"anchors/test\.pem: {field} is"):
        read_manifest(folder)


@pytest.mark.parametrize("role", [None, "", "root", ["anchor"]])
def test_the_role_is_one_of_two(folder: Path, role: object) -> None:
    """Neither a third role nor none."""
    change(folder, lambda _manifest, entries: entries[0].update(role=role))
    with pytest.raises(TrustStoreError, match=r"anchors/test\.pem: the role is"):
        read_manifest(folder)


@pytest.mark.parametrize("clouds", [None, [], "public", ["mars"], ["public", 1], [None], {}])
def test_the_clouds_are_a_list_of_clouds(folder: Path, clouds: object) -> None:
    """No cloud, an unknown one, or a text in place of a list."""
    change(folder, lambda _manifest, entries: entries[0].update(clouds=clouds))
    with pytest.raises(TrustStoreError, match=r"anchors/test\.pem: the clouds are"):
        read_manifest(folder)


@pytest.mark.parametrize("clouds", [[[]], [{}]])
def test_the_clouds_are_texts(folder: Path, clouds: object) -> None:
    """A list of lists is damage like any other."""
    change(folder, lambda _manifest, entries: entries[0].update(clouds=clouds))
    with pytest.raises(TrustStoreError, match=r"anchors/test\.pem: the clouds are"):
        read_manifest(folder)


@pytest.mark.parametrize("file", [None, 7, "", "anchors/none.pem", "../anchors/test.pem"])
def test_listed_files_are_there(folder: Path, file: object) -> None:
    """A file that is listed is one of the folder, and no path leads out of it."""
    change(folder, lambda _manifest, entries: entries[0].update(file=file))
    with pytest.raises(TrustStoreError, match="not a file of the folder"):
        read_manifest(folder)


def test_unlisted_files_are_refused(folder: Path) -> None:
    """A PEM file that nobody listed was put there by nobody knows whom."""
    (folder / "anchors" / "extra.pem").write_bytes(pem_of(pki().root.certificate))
    with pytest.raises(TrustStoreError, match=r"anchors/extra\.pem: not listed"):
        read_manifest(folder)


def test_a_file_is_listed_once(folder: Path) -> None:
    """Two entries for one file could say two things of it."""
    change(folder, lambda _manifest, entries: entries.append(entries[0]))
    with pytest.raises(TrustStoreError, match="listed twice"):
        read_manifest(folder)


def test_a_store_lists_an_anchor(folder: Path) -> None:
    """A folder without anchors is damaged, not a store that trusts nobody."""
    change(folder, lambda _manifest, entries: entries.clear())
    for file in folder.rglob("*.pem"):
        file.unlink()
    with pytest.raises(TrustStoreError, match=r"manifest\.json: lists no anchor"):
        TrustStore.load(folder)


def test_a_file_holds_one_certificate(folder: Path) -> None:
    """Two certificates in one file would hide one of them."""
    both = pem_of(pki().root.certificate, pki().root.certificate)
    (folder / "anchors" / "test.pem").write_bytes(both)
    with pytest.raises(TrustStoreError, match=r"anchors/test\.pem: 2 certificates"):
        read_manifest(folder)


def test_an_intermediate_must_lead_to_each_of_its_clouds(folder: Path) -> None:
    """A manifest that claims a cloud without an anchor refuses to load."""
    change(folder, lambda _manifest, entries: entries[1].update(clouds=["usgov"]))
    with pytest.raises(TrustStoreError, match=r"intermediates/test\.pem: no chain .* usgov"):
        TrustStore.load(folder)
