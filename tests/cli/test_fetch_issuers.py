"""``--fetch-issuers``: verify, inspect and chain ask the hosts only when they are told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attest import issuers
from attest.cli import main
from attest.download import ISSUER_HOSTS, Downloader
from tests.support.aia import PAGE, URL, good, signer_of
from tests.support.pki import AT, make_ca, make_evidence, pem_of, pki
from tests.support.web import Web, loopback_web

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="web")
def web_(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The web that the command's source asks, where the issuer of good evidence is."""
    with loopback_web(Web) as running:
        running.pages[PAGE] = pki().intermediate.der
        downloader = Downloader(ISSUER_HOSTS, network=running)
        real = issuers.AiaIssuerSource
        monkeypatch.setattr(issuers, "AiaIssuerSource", lambda: real(downloader))
        yield running


@pytest.fixture(name="attest")
def attest_(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call a command with a root as its trust store, and good evidence of an unknown issuer."""
    (tmp_path / "root.pem").write_bytes(pem_of(pki().root.certificate))
    (tmp_path / "evidence").write_bytes(good())

    def call(command: str, *options: str) -> tuple[int, str, str]:
        trust = ["--trust", str(tmp_path / "root.pem"), "--at", AT.isoformat()]
        with pytest.raises(SystemExit) as stopped:
            main([command, str(tmp_path / "evidence"), *trust, *options])
        captured = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, captured.out, captured.err

    return call


@pytest.mark.parametrize("command", ["verify", "chain"])
def test_the_issuer_is_fetched_when_asked_for(attest: Call, web: Web, command: str) -> None:
    """Without the flag nothing is asked; with it the output says what was fetched."""
    status, out, err = attest(command)
    assert (status, out) == (1, "")
    assert "issuer_unknown" in err
    assert web.lookups == []
    status, out, err = attest(command, "--fetch-issuers")
    assert (status, err) == (0, "")
    assert "certificate, fetched; " in out
    status, out, _ = attest(command, "--fetch-issuers", "--format", "json")
    assert [link["origin"] for link in json.loads(out)["chain"]] == [
        "evidence",
        "fetched",
        "operator",
    ]


def test_inspect_asks_as_well(attest: Call, web: Web) -> None:
    """And shows the path."""
    status, out, _ = attest("inspect", "--format", "json")
    assert (status, json.loads(out)["chain"], web.lookups) == (0, None, [])
    status, out, _ = attest("inspect", "--fetch-issuers")
    assert status == 0
    assert "certificate, fetched; " in out


def test_what_is_fetched_is_not_trusted(attest: Call, web: Web, tmp_path: Path) -> None:
    """A root that the host hands out is none."""
    evil = make_ca("Evil Root")
    web.pages[PAGE] = evil.der
    (tmp_path / "evidence").write_bytes(make_evidence(signer_of(evil, URL)))
    status, out, err = attest("verify", "--fetch-issuers")
    assert (status, out) == (1, "")
    assert "issuer_unknown" in err
    assert web.requests == [PAGE]
