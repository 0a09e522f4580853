"""The day of a rotation, over HTTP: a CA that nobody has pinned issues the signers from now on."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from werkzeug.test import TestResponse

from attest import issuers as core_issuers
from attest.certificates import fingerprint
from attest.cli import main
from attest.download import ISSUER_HOSTS, Downloader
from attest.issuer_cache import IssuerCache
from attest.testing import FakeAuthority
from service import issuers
from service.app import service_of
from tests.service.conftest import Clock, Make
from tests.service.test_operation import samples
from tests.service.test_verify import signed
from tests.support.web import Web, loopback_web


@pytest.fixture
def azure(clock: Clock) -> FakeAuthority:
    """An authority that publishes its CAs where Microsoft does."""
    return FakeAuthority(now=clock, base_url="http://www.microsoft.com")


@pytest.fixture
def web(azure: FakeAuthority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The web, with what the authority publishes at its AIA addresses."""
    with loopback_web(Web) as running:
        for url, certificate in azure.certificates_by_url().items():
            running.pages[url.partition("://")[2]] = certificate.public_bytes(Encoding.DER)
        downloader = functools.partial(Downloader, network=running)
        monkeypatch.setattr(issuers, "Downloader", downloader)
        for_commands = functools.partial(
            core_issuers.AiaIssuerSource, Downloader(ISSUER_HOSTS, network=running), IssuerCache()
        )
        monkeypatch.setattr(core_issuers, "AiaIssuerSource", for_commands)
        yield running


@pytest.fixture
def roots(azure: FakeAuthority, tmp_path: Path) -> Path:
    """What was pinned before the rotation: the roots."""
    file = tmp_path / "roots.pem"
    file.write_bytes(b"".join(pem(anchor) for anchor in azure.anchors))
    return file


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def verify(app: Flask, azure: FakeAuthority, clock: Clock) -> TestResponse:
    """Have a new document verified."""
    return app.test_client().post("/v1/verify", json=signed(azure, clock))


def test_with_fetching_nobody_notices(
    make: Make, azure: FakeAuthority, clock: Clock, web: Web, roots: Path, tmp_path: Path
) -> None:
    """The first document is verified, and the network asked once, by all processes together."""
    settings = {
        "test_trust": roots,
        "fetch_issuers": True,
        "data_dir": tmp_path / "data",
        "require_challenge": False,
    }
    app = make(**settings)
    answer = verify(app, azure, clock)
    assert answer.status_code == 200, answer.text
    origins = [link["origin"] for link in answer.get_json()["chain"]]
    assert origins[0] == "evidence"
    assert set(origins[1:-1]) == {"fetched"}
    asked = len(web.requests)
    assert asked == len(set(web.requests)) == len(azure.intermediates)
    again = make(**settings)  # another process, or the next start: the folder is shared
    assert verify(again, azure, clock).status_code == 200
    assert len(web.requests) == asked
    assert samples(app.test_client())[("attest_issuer_fetches_total", (("outcome", "found"),))] > 0


def test_without_fetching_one_approval_heals_it(
    make: Make,
    azure: FakeAuthority,
    clock: Clock,
    web: Web,
    roots: Path,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Refused, noted, listed, approved by the operator; from the next look on it verifies."""
    folder = tmp_path / "trust"
    folder.mkdir()
    app = make(test_trust=roots, trust_dirs=(folder,), require_challenge=False)
    before = service_of(app).store.generation
    for _ in range(2):
        answer = verify(app, azure, clock)
        assert (answer.status_code, answer.get_json()["code"]) == (422, "issuer_unknown")
    assert samples(app.test_client())[("attest_unknown_issuers_pending", ())] == 1
    assert web.requests == []

    monkeypatch.setenv("ATTEST_DATABASE_URL", database_url)
    monkeypatch.setenv("ATTEST_TEST_TRUST", str(roots))
    monkeypatch.setenv("ATTEST_TRUST_DIRS", str(folder))
    signer = fingerprint(azure.signer)
    assert command("trust", "pending") == 0
    assert signer[:16] in capsys.readouterr().out
    assert command("trust", "approve", signer) == 0
    assert sorted(file.suffix for file in folder.iterdir()) == [".pem"] * len(azure.intermediates)

    service_of(app).trust.check()
    assert service_of(app).store.generation != before
    answer = verify(app, azure, clock)
    assert answer.status_code == 200, answer.text
    assert {link["origin"] for link in answer.get_json()["chain"][1:]} == {"operator"}
    assert samples(app.test_client())[("attest_unknown_issuers_pending", ())] == 0


def test_what_no_anchor_vouches_for_is_never_approved(
    make: Make,
    clock: Clock,
    azure: FakeAuthority,
    roots: Path,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A stranger's authority may be noted, and that is all: its CA completes no path."""
    stranger = FakeAuthority(now=clock)
    folder = tmp_path / "trust"
    folder.mkdir()
    app = make(test_trust=roots, trust_dirs=(folder,), require_challenge=False)
    assert verify(app, stranger, clock).get_json()["code"] == "issuer_unknown"
    links = tmp_path / "links.pem"
    links.write_bytes(b"".join(pem(link) for link in (*stranger.intermediates, *stranger.anchors)))
    monkeypatch.setenv("ATTEST_DATABASE_URL", database_url)
    monkeypatch.setenv("ATTEST_TEST_TRUST", str(roots))
    monkeypatch.setenv("ATTEST_TRUST_DIRS", str(folder))
    assert command("trust", "add", str(links)) == 1
    assert "attest: " in capsys.readouterr().err
    assert list(folder.iterdir()) == []
    service_of(app).trust.check()
    assert verify(app, stranger, clock).get_json()["code"] == "issuer_unknown"


def command(*arguments: str) -> int:
    """Call ``attest`` in this process; return its exit status."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert isinstance(stopped.value.code, int)
    return stopped.value.code
