"""What HTTP and the shared state cost, as ratios to a bare Flask route on the same gunicorn.

Run it with ``python -m benchmarks.bench_service``.  Everything stays on loopback and ends by
itself.  ``ATTEST_TEST_POSTGRES_URL`` names the PostgreSQL server, by default the one on
127.0.0.1.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from attest import Verifier
from attest.testing import FakeAuthority
from benchmarks.hammer import Load, hammer, http_request
from service import migrate
from service.app import create_app
from service.challenges import ChallengeStore
from service.database import Database
from service.settings import Settings, load_settings
from tests.service.live import ask, free_port

POSTGRES = os.environ.pop("ATTEST_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1/postgres")
CORES = sorted(os.sched_getaffinity(0))
ROUNDS = 5
REQUESTS = 3000  # in each round
CHALLENGES = 2500  # in each round
MEMORY_REQUESTS = 100_000
BATCH = 1000


def main() -> None:
    """Run everything and print it."""
    authority = FakeAuthority()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trust = folder / "trust.pem"
        trust.write_bytes(authority.trust_pem())
        batch(authority, trust, folder)
        if len(CORES) > 1:
            os.sched_setaffinity(0, CORES[:-1])
        common = {
            "ATTEST_TEST_TRUST": str(trust),
            "ATTEST_RATE_LIMIT_ENABLED": "false",
            "ATTEST_DATA_DIR": str(folder),
        }
        with server(["-m", "benchmarks.bare"], {}) as bare:
            sqlite = common | {"ATTEST_DATABASE_URL": f"sqlite:///{folder}/attest.db"}
            with server(["-m", "attest", "serve"], sqlite) as port:
                challenges("SQLite", authority, bare, port, sqlite)
            plain = sqlite | {"ATTEST_REQUIRE_CHALLENGE": "false"}
            with server(["-m", "attest", "serve"], plain) as port:
                without_challenge(authority, bare, port)
                memory(authority, port)
            with postgres() as url:
                shared = common | {"ATTEST_DATABASE_URL": url}
                with server(["-m", "attest", "serve"], shared) as port:
                    challenges("PostgreSQL", authority, bare, port, shared)


def without_challenge(authority: FakeAuthority, bare: int, port: int) -> None:
    """Verify on times alone, over 8 connections: throughput and p99 against the bare route."""
    request = http_request("/v1/verify", authority.sign().json.encode())
    ours, theirs = Load(), Load()
    for _ in range(ROUNDS):
        add(theirs, hammer(bare, itertools.repeat(request, REQUESTS)))
        add(ours, hammer(port, itertools.repeat(request, REQUESTS)))
    assert_verified(ours)
    told("/v1/verify, no challenge", ours, theirs, 0.6)
    ratio = ours.percentile(0.99) / theirs.percentile(0.99)
    p99 = f"(p99 {1e3 * ours.percentile(0.99):.1f} ms)"
    report_most("  its p99 over 8 connections, per the bare route's", ratio, 3, p99)


def challenges(
    name: str, authority: FakeAuthority, bare: int, port: int, environment: dict[str, str]
) -> None:
    """Verify answers to challenges, each of which is used up."""
    database = Database(load_settings(database_url=environment["ATTEST_DATABASE_URL"]).database)
    store = ChallengeStore(database, form="hex32", lifetime=timedelta(seconds=120))
    ours, theirs = Load(), Load()
    for _ in range(ROUNDS):
        nonces = [store.issue(datetime.now(UTC)).nonce for _ in range(CHALLENGES)]
        bodies = [{**json.loads(authority.sign(nonce=n).json), "nonce": n} for n in nonces]
        requests = [http_request("/v1/verify", json.dumps(body).encode()) for body in bodies]
        add(theirs, hammer(bare, requests))
        add(ours, hammer(port, requests))
    database.close()
    assert_verified(ours)
    told(f"/v1/verify, challenge used up in {name}", ours, theirs, 0.25)


def batch(authority: FakeAuthority, trust: Path, folder: Path) -> None:
    """A batch of warm documents against as many calls of the library, in this process."""
    settings: Settings = load_settings(
        database_url=f"sqlite:///{folder}/batch.db",
        data_dir=folder,
        test_trust=trust,
        require_challenge=False,
        rate_limit_enabled=False,
    )
    migrate.upgrade(settings.database)
    client = create_app(settings).test_client()
    items = [json.loads(authority.sign(vm_id=str(uuid.uuid4())).json) for _ in range(BATCH)]
    body = json.dumps({"items": items})
    verifier = Verifier(authority.trust_store(), settings.policy())
    fastest = {"library": float("inf"), "batch": float("inf")}
    with _standard_error_to(folder / "batch.log"):
        for _ in range(10):
            started = time.perf_counter()
            for item in items:
                verifier.verify(item, at=datetime.now(UTC))
            middle = time.perf_counter()
            response = client.post("/v1/verify/batch", data=body, content_type="application/json")
            ended = time.perf_counter()
            fastest["library"] = min(fastest["library"], middle - started)
            fastest["batch"] = min(fastest["batch"], ended - middle)
    if not all(outcome["verified"] for outcome in response.get_json()["outcomes"]):
        raise AssertionError("a document of the batch was refused")
    ratio = fastest["batch"] / fastest["library"]
    report_most("batch of 1,000, per 1,000 library calls", ratio, 1.6)


@contextlib.contextmanager
def _standard_error_to(file: Path) -> Iterator[None]:
    """Send what this process writes on its standard error to a file."""
    kept = os.dup(2)
    with file.open("wb") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def memory(authority: FakeAuthority, port: int) -> None:
    """Resident memory of the worker after many requests, and what the second half added."""
    request = http_request("/v1/verify", authority.sign().json.encode())
    resident = []
    for _ in range(2):
        hammer(port, itertools.repeat(request, MEMORY_REQUESTS // 2))
        resident.append(resident_megabytes(port))
    report_most("resident memory of a worker, MB", resident[1], 120)
    report_most("  of which the last 50,000 requests added", resident[1] - resident[0], 2)


def resident_megabytes(port: int) -> float:
    """Return the resident memory of the only worker of the server on a port."""
    master = _SERVERS[port].pid
    (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = Path(f"/proc/{worker}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


_SERVERS: dict[int, subprocess.Popen[bytes]] = {}


@contextlib.contextmanager
def server(arguments: list[str], environment: dict[str, str]) -> Iterator[int]:
    """Run a server with one worker on one core; the load and the database have the others."""
    port = free_port()
    settings = {"ATTEST_BIND": f"127.0.0.1:{port}", "ATTEST_WORKERS": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | environment | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # This process has one thread.
        preexec_fn=lambda: os.sched_setaffinity(0, {CORES[-1]}),  # noqa: PLW1509
    ) as process:
        _SERVERS[port] = process
        try:
            for _ in range(200):
                with contextlib.suppress(OSError):
                    ask(port, "GET", "/healthz")
                    break
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Make a database on the PostgreSQL server; drop it afterwards."""
    name = f"attest_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{POSTGRES.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def add(total: Load, load: Load) -> None:
    """Add the measurements of a round."""
    total.seconds += load.seconds
    total.latencies += load.latencies
    total.statuses += load.statuses


def assert_verified(load: Load) -> None:
    """Make sure that what was measured was verification."""
    if set(load.statuses) != {b"200"}:
        raise AssertionError(f"not everything was verified: {load.statuses}")


def told(what: str, ours: Load, theirs: Load, least: float) -> None:
    """Print a throughput as a share of the bare route's."""
    ratio = ours.rate / theirs.rate
    mark = "ok" if ratio >= least else "UNDER"
    note = f"({ours.rate:.0f} of {theirs.rate:.0f} a second)"
    print(f"{what:<58}{ratio:>9.2f} x      at least {least:>4g}  {mark} {note}")


def report_most(what: str, measured: float, most: float, note: str = "") -> None:
    """Print a measurement that has an upper limit."""
    mark = "ok" if measured <= most else "OVER"
    print(f"{what:<58}{measured:>9.2f}        at most  {most:>4g}  {mark} {note}")


if __name__ == "__main__":
    main()
