"""The service under gunicorn: many clients, many processes, signals, and things that go away."""

from __future__ import annotations

import functools
import http.client
import json
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from attest.testing import FakeAuthority
from tests.service.live import Answer, Live, Starter, TcpProxy, ask, at_once, load

CLIENTS = 200


@pytest.fixture(name="start")
def start_(tmp_path: Path, trust_pem: Path, database_url: str) -> Iterator[Starter]:
    """Return what starts services on one database, of each kind in turn."""
    settings = {"ATTEST_TEST_TRUST": str(trust_pem), "ATTEST_DATABASE_URL": database_url}
    starter = Starter(tmp_path, settings)
    yield starter
    starter.stop()


def new_evidence(live: Live, authority: FakeAuthority) -> dict[str, Any]:
    """Get a challenge and have it signed."""
    answer = live.post("/v1/challenges")
    assert answer.status == 201
    return answered(answer.body["nonce"], authority)


def answered(nonce: str, authority: FakeAuthority) -> dict[str, Any]:
    """Return the request that verifies the answer to a challenge."""
    return {**json.loads(authority.sign(nonce=nonce).json), "nonce": nonce}


def test_one_challenge_many_clients(start: Starter, authority: FakeAuthority) -> None:
    """200 parallel uses of one challenge: one 200, the others 422.

    Two instances on two ports share PostgreSQL; one with two workers has SQLite.
    """
    shared = start.environment["ATTEST_DATABASE_URL"].startswith("postgresql")
    instances = [start() for _ in range(2 if shared else 1)]
    body = new_evidence(instances[0], authority)
    one_each = [functools.partial(live.post, "/v1/verify", body) for live in instances]
    answers: list[Answer] = at_once(one_each * (CLIENTS // len(instances)))
    counts = Counter((answer.status, answer.body.get("code")) for answer in answers)
    assert counts == {(200, None): 1, (422, "challenge_used"): CLIENTS - 1}


def test_metrics_of_all_workers(sqlite_start: Starter, authority: FakeAuthority) -> None:
    """Whichever worker is asked, it tells what all of them have counted."""
    live = sqlite_start(workers=2, require_challenge="false")
    body = json.loads(authority.sign().json)
    answers = at_once([lambda: live.post("/v1/verify", body)] * 40)
    assert {answer.status for answer in answers} == {200}
    for _ in range(6):
        text = live.get("/metrics").body
        match = re.search(r"^attest_verifications_total\{.*verified.*\} (\d+)", text, re.MULTILINE)
        assert match is not None
        assert int(match[1]) == 40
        assert 'attest_verification_seconds_count{route="verify"} 40.0' in text


def test_killed_worker(start: Starter, authority: FakeAuthority) -> None:
    """After kill -9 of a worker under load: no challenge is lost, none is used twice."""
    live = start(workers=2)
    victim = live.workers()[0]
    outcomes = survive(live, authority, lambda: os.kill(victim, signal.SIGKILL))
    assert victim not in live.workers()
    assert_none_lost_or_doubled(live, authority, outcomes)


def test_killed_master(start: Starter, authority: FakeAuthority) -> None:
    """After kill -9 of the master under load, and a new start: the same."""
    live = start(workers=2)

    def kill_and_restart() -> None:
        workers = live.workers()
        live.send(signal.SIGKILL)
        live.process.wait(10)
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in workers):  # they notice and leave
            assert time.monotonic() < deadline
            time.sleep(0.1)
        start(port=live.port)

    outcomes = survive(live, authority, kill_and_restart)
    assert_none_lost_or_doubled(start.started[-1], authority, outcomes)


def survive(live: Live, authority: FakeAuthority, harm: Any) -> list[Any]:
    """Issue and use challenges while harm is done; return (nonce, what each use gave)."""

    def issue_and_use() -> tuple[str, list[Any]]:
        nonce: str = ask(live.port, "POST", "/v1/challenges").body["nonce"]
        uses: list[Any] = []
        for _ in range(2):
            try:
                uses.append(ask(live.port, "POST", "/v1/verify", answered(nonce, authority)).status)
            except (OSError, http.client.HTTPException) as error:
                uses.append(error)
        return nonce, uses

    with load(issue_and_use, clients=4, seconds=40) as outcomes:
        time.sleep(0.7)
        harm()
        time.sleep(0.7)
    return outcomes


def assert_none_lost_or_doubled(live: Live, authority: FakeAuthority, outcomes: list[Any]) -> None:
    """Each challenge that was handed out is known, and gave at most one 200, ever."""
    issued = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
    assert len(issued) > 20
    for nonce, uses in issued:
        again = live.post("/v1/verify", answered(nonce, authority))
        verified = uses.count(200) + (again.status == 200)
        assert again.status == 200 or again.body["code"] == "challenge_used"
        # A use whose answer was lost may have counted: then there is none.
        assert verified == 1 or (verified == 0 and any(isinstance(use, Exception) for use in uses))


def test_reload_under_load(sqlite_start: Starter, tmp_path: Path) -> None:
    """SIGHUP under load drops no request, and brings new settings; bad ones change nothing."""
    config = tmp_path / "attest.toml"
    config.write_text('challenge_format = "hex32"\n')
    live = sqlite_start(config=config, workers=2)
    first = set(live.workers())
    with load(lambda: ask(live.port, "POST", "/v1/challenges")) as answers:
        time.sleep(0.5)
        config.write_text('challenge_format = "digits10"\n')
        live.send(signal.SIGHUP)
        wait_for(lambda: not first & set(live.workers()) and len(live.workers()) == 2)
        time.sleep(0.5)
    assert {getattr(answer, "status", answer) for answer in answers} == {201}
    assert {len(answer.body["nonce"]) for answer in answers[:5]} == {32}
    assert len(live.post("/v1/challenges").body["nonce"]) == 10
    config.write_text("nonsense = 1\n")
    second = live.workers()
    live.send(signal.SIGHUP)
    wait_for(lambda: "reload refused" in live.log.read_text())
    wait_for(lambda: len(live.workers()) == 2)
    assert second
    assert len(live.post("/v1/challenges").body["nonce"]) == 10
    lines = [json.loads(line) for line in live.log.read_text().splitlines()]
    assert sum("nonsense is not a setting" in line["message"] for line in lines) == 1


def test_reload_with_a_database_that_is_none(sqlite_start: Starter, tmp_path: Path) -> None:
    """SIGHUP with another file in the database's place changes nothing."""
    config, other = tmp_path / "attest.toml", tmp_path / "other.sqlite3"
    config.write_text(f'database_url = "{sqlite_start.environment.pop("ATTEST_DATABASE_URL")}"\n')
    other.write_bytes(b"no database" * 100)
    live = sqlite_start(config=config, workers=1)
    config.write_text(f'database_url = "sqlite:///{other}"\n')
    live.send(signal.SIGHUP)
    wait_for(lambda: "reload refused" in live.log.read_text())
    assert live.post("/v1/challenges").status == 201


def test_stop_under_load(sqlite_start: Starter) -> None:
    """SIGTERM under load: every request that a worker has taken is answered whole."""
    live = sqlite_start(workers=2)
    with load(lambda: ask(live.port, "POST", "/v1/challenges"), seconds=10) as answers:
        time.sleep(0.7)
        live.send(signal.SIGTERM)
        assert live.process.wait(20) == 0
    good = [answer for answer in answers if isinstance(answer, Answer)]
    assert len(good) > 50
    assert {answer.status for answer in good} == {201}
    bad = [answer for answer in answers if not isinstance(answer, Answer)]
    # Once the socket is closed, nobody connects; no answer is cut short.
    assert {type(error) for error in bad} <= {ConnectionRefusedError, ConnectionResetError}


def test_stop_with_slow_request(sqlite_start: Starter) -> None:
    """SIGTERM waits for a request whose body is still on its way."""
    live = sqlite_start(workers=1)
    with socket.create_connection(("127.0.0.1", live.port), timeout=15) as client:
        body = b'{"signature":"AA=="}'
        head = "POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        time.sleep(0.5)
        live.send(signal.SIGTERM)
        time.sleep(1.5)
        client.sendall(body[5:])
        assert client.recv(100).startswith(b"HTTP/1.1 422 ")
    assert live.process.wait(20) == 0


def test_slow_clients(sqlite_start: Starter) -> None:
    """Clients that drip their request hold a thread for so many seconds, and nobody else."""
    live = sqlite_start(workers=1, threads=8, read_timeout=2)
    drips = []
    for part in (
        b"POST /v1/verify HT",
        b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 99",
    ):
        drips += [(socket.create_connection(("127.0.0.1", live.port)), part) for _ in range(3)]
    whole = b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    body = (
        socket.create_connection(("127.0.0.1", live.port)),
        whole + b"Content-Length: 9\r\n\r\n{",
    )
    for client, part in [*drips, body]:
        client.settimeout(10)
        client.sendall(part)
    started = time.monotonic()
    for _ in range(20):
        assert live.post("/v1/challenges").status == 201
    assert time.monotonic() - started < 2
    for client, _ in drips:
        # Told off or hung up on, but not kept.
        assert client.recv(1000)[:12] in {b"", b"HTTP/1.1 400"}
        client.close()
    assert body[0].recv(1000)[:12] in {b"", b"HTTP/1.1 400"}
    body[0].close()
    assert time.monotonic() - started < 8


def test_database_stopped_and_back(
    tmp_path: Path, trust_pem: Path, postgres_url: str, authority: FakeAuthority
) -> None:
    """The database goes away: 503 and /readyz red; it comes back: all is well by itself."""
    proxy = TcpProxy(urlsplit(postgres_url).port or 5432)
    url = re.sub(r"(?<=@)[^/]*", f"127.0.0.1:{proxy.port}", postgres_url)
    start = Starter(tmp_path, {"ATTEST_TEST_TRUST": str(trust_pem), "ATTEST_DATABASE_URL": url})
    try:
        live = start(workers=2)
        body = new_evidence(live, authority)
        assert live.get("/readyz").status == 200
        proxy.cut()
        for _ in range(6):
            answer = live.post("/v1/verify", body)
            assert (answer.status, answer.body["code"]) == (503, "unavailable")
            assert live.post("/v1/challenges").status == 503
        assert live.get("/readyz").status == 503
        assert live.get("/healthz").status == 200
        proxy.mend()
        wait_for(lambda: live.get("/readyz").status == 200, seconds=10)
        assert live.post("/v1/verify", body).status == 200
        assert live.post("/v1/verify", body).body["code"] == "challenge_used"
        assert {live.post("/v1/challenges").status for _ in range(10)} == {201}
        assert {json.loads(line)["level"] for line in live.log.read_text().splitlines()} <= {
            "info",
            "warning",
        }
    finally:
        start.stop()
        proxy.cut()


def test_starts_together(start: Starter) -> None:
    """Instances that start at the same moment on an empty database migrate it once."""
    lives = at_once([start] * 3)
    assert {live.get("/readyz").status for live in lives} == {200}


def wait_for(condition: Any, *, seconds: float = 20) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
