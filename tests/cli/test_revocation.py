"""``--crl`` and ``--revocation`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest.cli import main
from tests.support.pki import AT, good_evidence, make_crl, pki


@pytest.fixture(name="folder")
def folder_(tmp_path: Path) -> Path:
    """Return a folder with evidence, its signer, whom to trust, and sets of CRLs."""
    trusted = pki().root.certificate, pki().intermediate.certificate
    (tmp_path / "trust.pem").write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in trusted))
    (tmp_path / "evidence").write_bytes(good_evidence())
    (tmp_path / "signer.pem").write_bytes(pki().signer.certificate.public_bytes(Encoding.PEM))
    root = make_crl(pki().root)
    save(tmp_path / "good", root, make_crl(pki().intermediate))
    save(tmp_path / "revoked", root, make_crl(pki().intermediate, pki().signer))
    save(tmp_path / "partial", root)
    return tmp_path


def save(folder: Path, *crls: x509.CertificateRevocationList) -> None:
    """Write CRLs into a new folder."""
    folder.mkdir()
    for number, crl in enumerate(crls):
        (folder / f"{number}.crl").write_bytes(crl.public_bytes(Encoding.DER))


def run(command: str, folder: Path, *options: str) -> int:
    """Call ``attest verify`` or ``attest chain`` in this process; return the exit status."""
    file = {"verify": "evidence", "inspect": "evidence", "chain": "signer.pem"}[command]
    given = [command, str(folder / file), "--trust", str(folder / "trust.pem")]
    with pytest.raises(SystemExit) as stopped:
        main([*given, "--at", AT.isoformat(), *options])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


@pytest.mark.parametrize("command", ["verify", "chain"])
@pytest.mark.parametrize(
    ("crls", "revocation", "status", "said"),
    [
        ("good", None, 0, "good"),
        ("good", "soft", 0, "good"),
        ("partial", "soft", 0, "unknown"),
        ("partial", None, 1, "revocation_unknown"),
        ("partial", "hard", 1, "revocation_unknown"),
        ("revoked", "soft", 1, "certificate_revoked"),
        ("revoked", "hard", 1, "certificate_revoked"),
    ],
)
def test_revocation_is_told(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    command: str,
    crls: str,
    revocation: str | None,
    status: int,
    said: str,
) -> None:
    """As JSON and as text: good, unknown where that was let pass, or the refusal."""
    options = ["--crl", str(folder / crls)]
    options += [] if revocation is None else ["--revocation", revocation]
    assert run(command, folder, *options, "--format", "json") == status
    found = json.loads(capsys.readouterr().out)
    assert found["code" if status else "revocation"] == said
    assert run(command, folder, *options) == status
    shown = capsys.readouterr()
    if status:
        assert f"refused: {said}" in shown.err
    else:
        assert "revocation" in shown.out
        assert said in shown.out.lower()


@pytest.mark.parametrize("command", ["verify", "chain"])
def test_text_is_silent_where_nothing_was_checked(
    capsys: pytest.CaptureFixture[str], folder: Path, command: str
) -> None:
    """The JSON says so all the same."""
    assert run(command, folder) == 0
    assert "revocation" not in capsys.readouterr().out
    assert run(command, folder, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["revocation"] == "unchecked"


@pytest.mark.parametrize("command", ["verify", "inspect", "chain"])
def test_a_demand_without_crls_is_refused(
    capsys: pytest.CaptureFixture[str], folder: Path, command: str
) -> None:
    """``--revocation hard`` alone would check nothing."""
    assert run(command, folder, "--revocation", "hard") == 2
    assert "--revocation needs --crl" in capsys.readouterr().err
