"""The trust store follows the operator's folders while requests go on."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask.testing import FlaskClient

from attest import Cloud, TrustStore
from attest.testing import FakeAuthority
from service.app import service_of
from service.logs import DecisionLog
from service.settings import SettingsError
from service.state import Service
from service.trust_keeper import TrustKeeper
from tests.service.conftest import Clock, Make
from tests.service.live import Starter
from tests.service.test_live import wait_for
from tests.service.test_operation import samples
from tests.service.test_verify import signed

ITEMS = 50
ROUNDS = 200
RELOADS = 50


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


@pytest.fixture(name="roots")
def roots_(authority: FakeAuthority, tmp_path: Path) -> Path:
    """Return a file with the authority's roots alone: its intermediates are for the folder."""
    path = tmp_path / "roots.pem"
    path.write_bytes(pem(*authority.anchors))
    return path


@pytest.fixture(name="folder")
def folder_(tmp_path: Path) -> Path:
    """Return an empty folder of the operator's."""
    path = tmp_path / "trust"
    path.mkdir()
    return path


@pytest.fixture(name="service")
def service_fixture(make: Make, roots: Path, folder: Path) -> Service:
    """Return the parts of a service that reads the folder and needs no challenge."""
    app = make(test_trust=roots, trust_dirs=(folder,), require_challenge=False)
    return service_of(app)


def test_a_missing_issuer_is_added_while_running(
    make: Make, roots: Path, folder: Path, authority: FakeAuthority, clock: Clock
) -> None:
    """An intermediate heals, its removal hurts again, and no verdict outlives its generation."""
    app = make(test_trust=roots, trust_dirs=(folder,), require_challenge=False)
    client, service = app.test_client(), service_of(app)
    evidence = signed(authority, clock)
    seen = []
    for content in (b"", pem(*authority.intermediates), b""):
        file = folder / "ca.pem"
        file.write_bytes(content) if content else file.unlink(missing_ok=True)
        service.trust.check()
        response = client.post("/v1/verify", json=evidence)
        shown = client.get("/v1/trust").get_json()["generation"]
        assert shown == service.store.generation
        assert client.get("/readyz").get_json()["checks"]["trust_store"]["detail"] == (
            f"generation {shown[:16]}"
        )
        seen.append((response.get_json().get("code"), shown))
        if content:
            chain = response.get_json()["chain"]
            assert [link["origin"] for link in chain[1:]] == ["operator"] * (len(chain) - 1)
    (first, one), (second, two), (third, three) = seen
    assert (first, second, third) == ("issuer_unknown", None, "issuer_unknown")
    assert one == three != two


def test_a_broken_file_keeps_the_last_good_store(
    make: Make,
    roots: Path,
    folder: Path,
    authority: FakeAuthority,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line in the log, a metric, a word in /readyz; and everything goes on."""
    (folder / "ca.pem").write_bytes(pem(*authority.intermediates))
    app = make(test_trust=roots, trust_dirs=(folder,), require_challenge=False)
    client, service = app.test_client(), service_of(app)
    service.trust.check()
    good, before = service.trust.generation, samples(client)
    assert before["attest_trust_reload_ok", ()] == 1

    def grown(name: str) -> float:
        return samples(client)[name, ()] - before[name, ()]

    def errors() -> list[str]:
        return [record.message for record in caplog.records if record.levelname == "ERROR"]

    (folder / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    for _ in range(3):
        service.trust.check()
    (error,) = errors()
    assert "bad.pem" in error
    assert good.store.generation[:16] in error
    assert service.trust.generation is good
    assert client.post("/v1/verify", json=signed(authority, clock)).status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 200
    detail = ready.get_json()["checks"]["trust_store"]["detail"]
    assert "cannot be used" in detail
    assert "bad.pem" not in detail
    assert grown("attest_trust_reload_failures_total") == 1
    assert samples(client)["attest_trust_reload_ok", ()] == 0
    (folder / "bad.pem").rename(folder / "worse.pem")
    service.trust.check()
    assert len(errors()) == 2
    with caplog.at_level(logging.INFO, "attest.service"):
        (folder / "worse.pem").unlink()
        service.trust.check()
    assert "can be used again" in caplog.records[-1].message
    assert samples(client)["attest_trust_reload_ok", ()] == 1
    assert "cannot" not in client.get("/readyz").text
    assert service.trust.generation is good
    assert grown("attest_trust_reload_failures_total") == 2
    assert grown("attest_trust_reloads_total") == 0


def test_a_folder_that_goes_away_keeps_the_last_good_store(
    service: Service, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A volume that is not mounted is an error, not an empty folder."""
    good = service.trust.generation
    folder.rmdir()
    service.trust.check()
    assert service.trust.generation is good
    assert "cannot be read: No such file" in caplog.records[-1].message


def test_other_files_of_the_same_content_keep_what_is_known(
    service: Service, folder: Path, authority: FakeAuthority
) -> None:
    """A renamed file is no new generation, and costs no warm cache."""
    (folder / "a.pem").write_bytes(pem(*authority.intermediates))
    service.trust.check()
    good = service.trust.generation
    (folder / "a.pem").rename(folder / "b.pem")
    service.trust.check()
    assert service.trust.generation is good


def test_what_cannot_be_built_is_no_new_generation(
    tmp_path: Path, authority: FakeAuthority
) -> None:
    """A store takes its place only together with all that is built on it."""
    built: list[TrustStore] = []

    def build(store: TrustStore) -> int:
        if built:
            raise SettingsError("the CRLs cannot be loaded")
        built.append(store)
        return len(built)

    base = TrustStore.from_certificates(anchors=authority.anchors, clouds={Cloud.PUBLIC})
    keeper = TrustKeeper(base, [tmp_path], build)
    (tmp_path / "ca.pem").write_bytes(pem(*authority.intermediates))
    keeper.check()
    assert keeper.problem == "the CRLs cannot be loaded"
    assert keeper.generation.store is built[0]


def test_reload_under_load(
    make: Make, roots: Path, folder: Path, authority: FakeAuthority, clock: Clock
) -> None:
    """10,000 verifications during 50 reloads: none wrong, none failed for the reload.

    One authority's intermediates are always there and its evidence always verifies; a forgery of
    it never does.  Another's come and go with each reload: wherever no swap fell into a request,
    its evidence got the answer of exactly the generation in use.
    """
    guest = FakeAuthority(now=clock)
    roots.write_bytes(pem(*authority.anchors, *guest.anchors))
    (folder / "ours.pem").write_bytes(pem(*authority.intermediates))
    app = make(test_trust=roots, trust_dirs=(folder,), require_challenge=False)
    service = service_of(app)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    object.__setattr__(service, "decisions", DecisionLog(nowhere))
    good = signed(authority, clock)
    forged = {**good, "signature": tampered(good["signature"])}
    items = [good, forged, signed(guest, clock)]
    items = (items * ITEMS)[:ITEMS]
    generations, finished = [], threading.Semaphore(0)

    def ask(client: FlaskClient) -> tuple[bool, bool, list[str]]:
        before = service.trust.generation
        response = client.post("/v1/verify/batch", json={"items": items})
        undisturbed = service.trust.generation is before
        finished.release()
        assert response.status_code == 200, response.text
        codes = [outcome.get("code") or "verified" for outcome in response.get_json()["outcomes"]]
        return undisturbed, bool(guest_links & known(before.store)), codes

    def reload() -> None:
        for number in range(RELOADS):
            for _ in range(ROUNDS // RELOADS):
                assert finished.acquire(timeout=60)
            if number % 2:
                (folder / "guest.pem").unlink()
            else:
                (folder / "guest.pem").write_bytes(pem(*guest.intermediates))
            service.trust.check()
            generations.append(service.store.generation)

    guest_links = frozenset(guest.intermediates)
    with ThreadPoolExecutor(5) as pool:
        reloader = pool.submit(reload)
        clients = [app.test_client() for _ in range(4)]
        answers = [pool.submit(ask, clients[number % 4]) for number in range(ROUNDS)]
        results = [answer.result(120) for answer in answers]
        reloader.result(120)
    assert service.trust.problem is None
    assert len(generations) == RELOADS
    assert all(one != other for one, other in itertools.pairwise(generations))
    counts: Counter[tuple[bool, str]] = Counter()
    for undisturbed, guest_known, codes in results:
        assert set(codes[0::3]) == {"verified"}
        assert set(codes[1::3]) == {"signature_invalid"}
        assert set(codes[2::3]) <= {"verified", "issuer_unknown"}
        if undisturbed:
            assert set(codes[2::3]) == {"verified" if guest_known else "issuer_unknown"}
            counts[guest_known, codes[2]] += 1
    assert set(counts) == {(True, "verified"), (False, "issuer_unknown")}
    assert sum(len(codes) for _, _, codes in results) == ITEMS * ROUNDS == 10_000


def known(store: TrustStore) -> set[x509.Certificate]:
    """Return the intermediates that count."""
    return {certificate for cloud in Cloud for certificate in store.intermediates_for(cloud)}


def tampered(signature: str) -> str:
    """Return evidence whose signature is another by one character, far from its end."""
    place = len(signature) - 100
    return f"{signature[:place]}{'A' if signature[place] != 'A' else 'B'}{signature[place + 1 :]}"


@pytest.fixture(name="start")
def start_(tmp_path: Path, roots: Path, folder: Path) -> Any:
    """Return what starts services on SQLite with the folder."""
    starter = Starter(
        tmp_path,
        {
            "ATTEST_TEST_TRUST": str(roots),
            "ATTEST_TRUST_DIRS": str(folder),
            "ATTEST_DATABASE_URL": f"sqlite:///{tmp_path}/attest.db",
        },
    )
    yield starter
    starter.stop()


def messages(log: Path) -> list[str]:
    """Return the messages of a service's log."""
    return [json.loads(line)["message"] for line in log.read_text().splitlines()]


def told(log: Path, what: str) -> Callable[[], bool]:
    """Return a condition: both workers have told so."""
    return lambda: sum(what in message for message in messages(log)) == 2


def test_two_workers_agree(start: Starter, folder: Path, authority: FakeAuthority) -> None:
    """After a file appears both follow, by themselves; a broken one, or SIGHUP then, stops neither.

    The master has never read what the workers follow, so it must not replace them.
    """
    live = start(workers=2, trust_reload_seconds=0.5)
    old = live.get("/v1/trust").body["generation"]
    (folder / "ca.pem").write_bytes(pem(*authority.intermediates))
    wait_for(told(live.log, "the trust store is reloaded"), seconds=30)
    generations = {live.get("/v1/trust").body["generation"] for _ in range(20)}
    assert len(generations) == 1
    assert generations != {old}
    assert "attest_trust_reloads_total 2.0" in live.get("/metrics").body
    (folder / "bad.pem").write_text("bad")
    wait_for(told(live.log, "trust folders refused"), seconds=30)
    time.sleep(1.2)  # two more looks at it
    assert told(live.log, "trust folders refused")()
    assert {live.get("/readyz").status for _ in range(10)} == {200}
    assert {live.get("/v1/trust").body["generation"] for _ in range(20)} == generations
    assert "attest_trust_reload_ok 0.0" in live.get("/metrics").body
    workers = live.workers()
    live.send(signal.SIGHUP)
    wait_for(lambda: any("reload refused" in message for message in messages(live.log)))
    assert {live.get("/v1/trust").body["generation"] for _ in range(20)} == generations
    assert live.workers() == workers
    (folder / "bad.pem").unlink()
    wait_for(told(live.log, "can be used again"), seconds=30)
    assert "attest_trust_reload_ok 1.0" in live.get("/metrics").body


def test_hangup_reloads_trust(start: Starter, folder: Path, authority: FakeAuthority) -> None:
    """SIGHUP reads the folders at once; a broken one changes neither store nor settings."""
    live = start(workers=2, trust_reload_seconds=3600)
    old, workers = live.get("/v1/trust").body["generation"], set(live.workers())
    (folder / "ca.pem").write_bytes(pem(*authority.intermediates))
    live.send(signal.SIGHUP)
    wait_for(lambda: not workers & set(live.workers()) and len(live.workers()) == 2)
    generations = {live.get("/v1/trust").body["generation"] for _ in range(20)}
    assert len(generations) == 1
    assert generations != {old}
    workers = set(live.workers())
    (folder / "bad.pem").write_text("bad")
    live.send(signal.SIGHUP)
    wait_for(lambda: any("reload refused" in message for message in messages(live.log)))
    (refused,) = [message for message in messages(live.log) if "reload refused" in message]
    assert "bad.pem" in refused
    assert set(live.workers()) == workers
    assert {live.get("/v1/trust").body["generation"] for _ in range(20)} == generations


def test_a_worker_that_is_replaced_is_up_to_date(
    start: Starter, folder: Path, authority: FakeAuthority
) -> None:
    """It looks at the folders before it serves: the master has loaded them long ago."""
    live = start(workers=1, trust_reload_seconds=3600)
    old, (worker,) = live.get("/v1/trust").body["generation"], live.workers()
    (folder / "ca.pem").write_bytes(pem(*authority.intermediates))
    assert live.get("/v1/trust").body["generation"] == old
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: live.workers() not in ([], [worker]))
    live.wait_ready()
    assert live.get("/v1/trust").body["generation"] != old
