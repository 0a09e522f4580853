"""The service's CRLs: files that change, fetched ones, and settings that belong together."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest import Code, Revocation
from attest.path import CertificatePath, PathValidator
from service import revocation
from service.revocation import CrlFiles, ServiceCrls, crl_source
from service.settings import Settings, SettingsError, load_settings
from tests.support.pki import AT, make_crl, pki
from tests.support.refusal import refused


def save(file: Path, crl: x509.CertificateRevocationList) -> None:
    """Write a CRL as careful operators do: aside, then moved into place."""
    aside = file.with_suffix(".new")
    aside.write_bytes(crl.public_bytes(Encoding.DER))
    aside.replace(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a CRL of each CA, which revoke nobody."""
    folder = tmp_path / "crls"
    folder.mkdir()
    save(folder / "root.crl", make_crl(pki().root))
    save(folder / "issuing.crl", make_crl(pki().intermediate))
    return folder


def path() -> CertificatePath:
    """Return the path of the usual signer."""
    validator = PathValidator([pki().root.certificate], [pki().intermediate.certificate])
    return validator.validate(pki().signer.certificate, "metadata.azure.com", AT, {})


def check(files: CrlFiles | ServiceCrls) -> None:
    """Check that path by what is consulted now."""
    files.crls_for(path(), AT).check(path(), AT)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Revocation.OFF),
        ({"crls": True}, Revocation.HARD),
        ({"crls": True, "revocation": "soft"}, Revocation.SOFT),
        ({"crls": True, "revocation": "off"}, Revocation.OFF),
        ({"fetch_crls": True, "revocation": "hard"}, Revocation.HARD),
        ({"fetch_crls": True, "crls": True}, Revocation.HARD),
    ],
)
def test_settings(folder: Path, values: dict[str, Any], expected: Revocation) -> None:
    """Hard where there are files, off otherwise, and as told."""
    settings = load_settings(**{**values, **({"crls": folder} if "crls" in values else {})})
    assert settings.policy().revocation is expected
    source = crl_source(settings)
    assert (source is None) == (expected is Revocation.OFF)
    if source is not None:
        assert (source.files is not None) == ("crls" in values)
        assert (source.fetched is not None) == ("fetch_crls" in values)
        assert len(source.local_tasks()) == ("crls" in values)
        assert len(source.network_tasks(lambda: AT)) == ("fetch_crls" in values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"revocation": "hard"}, "set crls, or fetch_crls"),
        ({"revocation": "soft"}, "set crls, or fetch_crls"),
        ({"fetch_crls": True}, "fetch_crls is for revocation soft or hard"),
        ({"fetch_crls": True, "revocation": "off"}, "fetch_crls is for revocation"),
        ({"revocation": "sofd"}, "revocation"),
    ],
)
def test_settings_that_cannot_be_meant(values: dict[str, Any], message: str) -> None:
    """Nobody may believe that revocation is checked when it is not."""
    with pytest.raises(SettingsError, match=message):
        load_settings(**values)


def test_a_changed_folder_is_read_again(folder: Path) -> None:
    """Changed, added and removed files count from the next verification on."""
    files = CrlFiles(folder)
    before = files.crls_for(path(), AT)
    files.reload()
    assert files.crls_for(path(), AT) is before
    save(folder / "issuing.crl", make_crl(pki().intermediate, pki().signer))
    files.reload()
    with refused(Code.CERTIFICATE_REVOKED, 9):
        check(files)
    (folder / "issuing.crl").unlink()
    files.reload()
    with refused(Code.REVOCATION_UNKNOWN, 9):
        check(files)
    save(folder / "again.crl", make_crl(pki().intermediate))
    files.reload()
    check(files)


def test_a_single_file_is_read_again(tmp_path: Path) -> None:
    """Also where it is written in place, with the same length."""
    file = tmp_path / "crls.pem"
    good, revoking = (
        make_crl(pki().root).public_bytes(Encoding.PEM)
        + make_crl(pki().intermediate, *revoked).public_bytes(Encoding.PEM)
        for revoked in ([], [pki().signer])
    )
    file.write_bytes(good + b" " * (len(revoking) - len(good)))
    files = CrlFiles(file)
    check(files)
    stat = file.stat()
    file.write_bytes(revoking)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert file.stat().st_size == stat.st_size
    files.reload()
    with refused(Code.CERTIFICATE_REVOKED, 9):
        check(files)


@pytest.mark.parametrize("broken", ["damaged", "emptied", "removed"])
def test_broken_files_replace_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """The CRLs at hand stay, each attempt is loud, and a mended folder is read."""
    files = CrlFiles(folder)
    before = files.crls_for(path(), AT)
    if broken == "damaged":
        (folder / "issuing.crl").write_bytes(b"\x30\x03\x02\x01")
    else:
        for file in folder.iterdir():
            file.unlink()
    if broken == "removed":
        folder.rmdir()
    for _ in range(2):
        files.reload()
    assert files.crls_for(path(), AT) is before
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "stay in force" in caplog.text
    folder.mkdir(exist_ok=True)
    save(folder / "root.crl", make_crl(pki().root))
    save(folder / "issuing.crl", make_crl(pki().intermediate, pki().signer))
    files.reload()
    with refused(Code.CERTIFICATE_REVOKED, 9):
        check(files)


def test_housekeeping_does_it(folder: Path) -> None:
    """The tasks read changed files, and refresh what was fetched."""
    settings = load_settings(crls=folder, fetch_crls=True)
    crls = crl_source(settings)
    assert crls is not None
    check(crls)  # of files alone: nothing is fetched
    save(folder / "issuing.crl", make_crl(pki().intermediate, pki().signer))
    for task in crls.local_tasks():
        assert task.seconds <= 60
        task.run()
    with refused(Code.CERTIFICATE_REVOKED, 9):
        check(crls)


def test_without_files_there_is_no_start(tmp_path: Path) -> None:
    """An empty folder is an error of the operator, not "no CRLs"."""
    with pytest.raises(SettingsError, match="the CRLs cannot be loaded"):
        crl_source(Settings(crls=tmp_path))
    assert revocation.RELOAD_SECONDS <= 30
