"""The service's source of issuers, as its settings make it."""

from __future__ import annotations

from pathlib import Path

import pytest

from attest import Verifier
from attest.download import Downloader
from attest.hosts import HostRule
from attest.path import Origin
from service import issuers
from service.issuers import FETCHES, issuer_source
from service.settings import SettingsError, load_settings
from tests.support.aia import PAGE, good
from tests.support.pki import AT, pki
from tests.support.web import Web, loopback_web


def test_fetching_can_be_turned_off(tmp_path: Path) -> None:
    """It is on by default."""
    assert issuer_source(load_settings(data_dir=tmp_path)) is not None
    assert issuer_source(load_settings(data_dir=tmp_path, fetch_issuers=False)) is None


def test_hosts_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To those that are known, never in their place."""
    monkeypatch.setenv("ATTEST_ISSUER_HOSTS", "pki.example/certs/, ca.example")
    seen: list[tuple[HostRule, ...]] = []

    def noting(hosts: tuple[HostRule, ...]) -> Downloader:
        seen.append(hosts)
        return Downloader(hosts)

    monkeypatch.setattr(issuers, "Downloader", noting)
    issuer_source(load_settings(data_dir=tmp_path))
    (hosts,) = seen
    assert [rule.host for rule in hosts][-2:] == ["pki.example", "ca.example"]
    assert "www.microsoft.com" in {rule.host for rule in hosts}
    with pytest.raises(SettingsError, match="issuer_hosts"):
        load_settings(issuer_hosts="http://pki.example")


def test_workers_share_what_was_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the data folder, and the downloads are counted."""
    settings = load_settings(data_dir=tmp_path)
    before = FETCHES.labels("found")._value.get()
    with loopback_web(Web) as web:
        web.pages[PAGE] = pki().intermediate.der
        monkeypatch.setattr(issuers, "Downloader", lambda hosts: Downloader(hosts, network=web))
        for _ in range(2):
            verifier = Verifier(pki().store(intermediates=[]), issuers=issuer_source(settings))
            assert verifier.verify(good(), at=AT).path.origins[1] is Origin.FETCHED
        assert web.requests == [PAGE]
    assert FETCHES.labels("found")._value.get() == before + 1
    assert len(list((tmp_path / "issuers").glob("*.pem"))) == 1
