"""Unknown issuers: recorded once, counted cheaply, and never more than the bounds allow."""

from __future__ import annotations

import base64
import functools
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from prometheus_client.registry import REGISTRY
from sqlalchemy import func, insert, select
from sqlalchemy.engine import make_url

from attest.certificates import fingerprint
from attest.errors import IssuerUnknownError
from service import issuer_records, migrate, quarantine
from service.app import service_of
from service.database import UNKNOWN_ISSUERS, Database, to_milliseconds
from service.errors import UnavailableError
from service.issuer_records import UnknownIssuer
from service.quarantine import NEW_PER_MINUTE, Quarantine
from service.trust_metrics import QuarantineCollector
from tests.service.conftest import Clock, Make
from tests.support.pki import Identity, der_of, ec_key, make_ca, make_signer

EVIDENCE = base64.b64encode(b"0\x03\x02\x01\x00").decode()


class Minutes:
    """A monotonic clock that tests turn."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Tell the seconds."""
        return self.seconds


@pytest.fixture
def minutes() -> Minutes:
    """Return a monotonic clock that stands still until it is turned."""
    return Minutes()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return a migrated database, of each kind in turn."""
    url = make_url(database_url.replace("postgresql://", "postgresql+psycopg://"))
    migrate.upgrade(url)
    made = Database(url)
    yield made
    made.close()


@pytest.fixture
def store(database: Database, clock: Clock, minutes: Minutes) -> Quarantine:
    """Return a quarantine with clocks that stand still."""
    return Quarantine(database, clock=clock, monotonic=minutes)


@functools.cache
def unknown(name: str = "Strange CA", key: str = "strange", **signer: Any) -> IssuerUnknownError:
    """Return the refusal of a signer that a CA of this name and key has issued, the same again."""
    issuer = make_ca(name, key=ec_key(key))
    identity: Identity = make_signer(issuer, key=ec_key("signer"), **signer)
    return IssuerUnknownError("nobody knows it", identity.certificate)


def access(*urls: str) -> tuple[x509.ExtensionType, bool]:
    """Return an authorityInfoAccess extension."""
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
            )
            for url in urls
        ]
    ), False


def counter(event: str) -> float:
    """Return how often something was counted in this process."""
    return REGISTRY.get_sample_value("attest_quarantine_total", {"event": event}) or 0.0


def only(store: Quarantine) -> UnknownIssuer:
    """Return the one pending record."""
    (record,) = store.pending()
    return record


def test_first_sighting_is_written_at_once(
    store: Quarantine, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything that an operator needs, and one log event without evidence in it."""
    urls = [f"http://www.microsoft.com/pkiops/certs/{n}.crt" for n in "ab"]
    error = unknown(extensions=(access(*urls),))
    before = counter("new")
    with caplog.at_level(logging.WARNING, "attest.service"):
        store.record(error, EVIDENCE)
    record = only(store)
    assert record.issuer == "CN=Strange CA,O=Test Corporation,C=US"
    assert list(record.aia_urls) == urls
    assert record.newest_sha256 is None
    assert record.signer_sha256 == fingerprint(error.certificate)
    assert record.signer_names == ("eastus.metadata.azure.com", "metadata.azure.com")
    assert record.count == 1
    assert to_milliseconds(record.first_seen) == to_milliseconds(clock())
    assert record.last_seen == record.first_seen
    (specimen,) = store.specimens(record)
    assert specimen.evidence == EVIDENCE
    assert specimen.signer_certificate == der_of(error.certificate)
    (event,) = caplog.records
    assert (event.levelname, event.getMessage()) == ("WARNING", "unknown issuer")
    fields = event.__dict__["fields"]
    assert fields["issuer"] == record.issuer
    assert EVIDENCE not in json.dumps(fields)
    assert counter("new") == before + 1


def test_repeats_wait_in_memory(
    store: Quarantine, clock: Clock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeats write nothing until they are flushed, in one statement an issuer."""
    store.record(unknown(), EVIDENCE)
    with monkeypatch.context() as patched:
        patched.setattr(database, "writing", lambda: pytest.fail("a repeat wrote"))
        for _ in range(500):
            clock.forward(1)
            store.record(unknown(), EVIDENCE)
    assert only(store).count == 1
    store.flush()
    assert only(store).count == 501
    assert to_milliseconds(only(store).last_seen) == to_milliseconds(clock())
    with monkeypatch.context() as patched:
        patched.setattr(database, "writing", lambda: pytest.fail("nothing was due"))
        store.flush()


def test_processes_share_the_record(
    store: Quarantine, database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Every process counts into one row; one of them calls it new."""
    processes = [store, *(Quarantine(database, clock=clock) for _ in range(7))]
    error, before = unknown(), counter("new")
    with caplog.at_level(logging.WARNING, "attest.service"), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda process: process.record(error, EVIDENCE), processes * 10))
    for process in processes:
        process.flush()
    assert only(store).count == 80
    assert counter("new") == before + 1
    assert len(caplog.records) == 1


def test_an_issuer_is_its_name_and_key(store: Quarantine) -> None:
    """A renewed key is another issuer; another signer of the same CA is not."""
    store.record(unknown("One", "one"), EVIDENCE)
    store.record(unknown("One", "two"), EVIDENCE)
    store.record(unknown("Two", "one"), EVIDENCE)
    store.record(unknown("One", "one", serial=7), EVIDENCE)
    store.flush()
    assert sorted(record.count for record in store.pending()) == [1, 1, 2]


def test_a_flood_of_issuers_is_bounded(
    store: Quarantine, minutes: Minutes, database: Database
) -> None:
    """So many new ones a minute are written; what is beyond is counted alone."""
    over = counter("over_rate")
    flood = [unknown(f"CA {number}", "flood") for number in range(NEW_PER_MINUTE + 30)]
    for error in flood:
        store.record(error, EVIDENCE)
    assert store.count_pending() == NEW_PER_MINUTE
    assert counter("over_rate") == over + 30
    minutes.seconds += 60
    store.record(flood[-1], EVIDENCE)
    assert store.count_pending() == NEW_PER_MINUTE + 1


def test_memory_is_bounded(
    store: Quarantine, minutes: Minutes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The issuer not seen for longest makes room; one that rests is forgotten by itself."""
    monkeypatch.setattr(quarantine, "_REMEMBERED", 3)
    for name in "abcd":
        clock.forward(1)
        store.record(unknown(name), EVIDENCE)
    assert len(store._tallies) == 3
    store.record(unknown("a"), EVIDENCE)  # a first one again for this process, not for the table
    assert {record.count for record in store.pending() if "CN=a" in record.issuer} == {2}
    clock.forward(3601)
    store.flush()
    assert store._tallies == {}


def fill(database: Database, rows: int, count: int) -> None:
    """Fill the table with records."""
    common = {
        "status": "pending",
        "count": count,
        "signer_sha256": "0" * 64,
        "issuer": "CN=Filler",
        "signer_subject": "",
        "signer_names": "[]",
        "aia_urls": "[]",
        "signer_certificate": "",
        "specimen": "",
    }
    with database.engine.begin() as connection:
        connection.execute(
            insert(UNKNOWN_ISSUERS),
            [{"id": f"{n:064}", "first_seen": n, "last_seen": n, **common} for n in range(rows)],
        )


def test_rows_are_bounded(store: Quarantine, database: Database) -> None:
    """In a full table the least and longest ago seen row goes, and never the newest."""
    fill(database, quarantine.MAX_ROWS, count=5)
    store.record(unknown(), EVIDENCE)
    with database.connect() as connection:
        ids = set(connection.execute(select(UNKNOWN_ISSUERS.c.id)).scalars())
        newest = connection.execute(
            select(UNKNOWN_ISSUERS.c.id).where(UNKNOWN_ISSUERS.c.count == 1)
        ).scalar_one()
    assert len(ids) == quarantine.MAX_ROWS
    assert f"{0:064}" not in ids
    assert f"{1:064}" in ids
    assert newest in ids


def test_flushes_are_bounded(
    store: Quarantine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush writes so many rows, the busiest first; the others wait for the next one."""
    monkeypatch.setattr(quarantine, "_FLUSH_ROWS", 1)
    quiet, busy = unknown("quiet"), unknown("busy")
    for error in (quiet, quiet, busy, busy, busy):
        store.record(error, EVIDENCE)
    store.flush()
    assert sorted(record.count for record in store.pending()) == [1, 3]
    store.flush()
    assert sorted(record.count for record in store.pending()) == [2, 3]


def test_a_removed_record_comes_back(store: Quarantine) -> None:
    """Approved, and still refused: the next evidence after a flush makes a new record."""
    store.record(unknown(), EVIDENCE)
    store.remove(only(store))
    store.record(unknown(), EVIDENCE)
    assert store.pending() == []
    store.flush()
    store.record(unknown(), EVIDENCE)
    assert only(store).count == 1


def test_a_dismissed_record_stays_quiet(store: Quarantine, database: Database) -> None:
    """It is neither listed nor new again, and still counted."""
    store.record(unknown(), EVIDENCE)
    store.dismiss(only(store))
    before = counter("new")
    Quarantine(database, clock=store._clock).record(unknown(), EVIDENCE)
    assert store.pending() == []
    assert store.count_pending() == 0
    assert counter("new") == before
    with database.connect() as connection:
        assert connection.execute(select(func.sum(UNKNOWN_ISSUERS.c.count))).scalar() == 2


def forged(serial: int = 1) -> IssuerUnknownError:
    """Return the refusal of a signer in the name of the usual CA, which has not issued it."""
    return unknown(signed_by=ec_key("forger"), serial=serial)


def test_a_forged_signer_hides_no_other(store: Quarantine, database: Database) -> None:
    """It came first: its record stays, and keeps the newest other signer beside it."""
    store.record(forged(), EVIDENCE)
    before = counter("new")
    other = base64.b64encode(b"0\x03\x02\x01\x01").decode()
    for process in (store, store, Quarantine(database, clock=store._clock)):
        process.record(unknown(), other)
    store.flush()
    record = only(store)
    assert record.count == 4
    assert record.signer_sha256 == fingerprint(forged().certificate)
    assert record.newest_sha256 == fingerprint(unknown().certificate)
    first, newest = store.specimens(record)
    assert (first.signer_certificate, first.evidence) == (der_of(forged().certificate), EVIDENCE)
    assert (newest.signer_certificate, newest.evidence) == (der_of(unknown().certificate), other)
    assert counter("new") == before
    assert store.count_pending() == 1


def test_who_goes_on_forging_keeps_no_signer_out(store: Quarantine) -> None:
    """A signer that was displaced is written again, with its next sighting after a flush."""
    genuine = fingerprint(unknown().certificate)
    store.record(forged(), EVIDENCE)
    for serial in range(2, 5):
        store.record(unknown(), EVIDENCE)
        assert only(store).newest_sha256 == genuine
        store.record(forged(serial), EVIDENCE)
        assert only(store).newest_sha256 == fingerprint(forged(serial).certificate)
        store.record(unknown(), EVIDENCE)
        store.flush()
    assert only(store).signer_sha256 == fingerprint(forged().certificate)
    assert only(store).count == 10


def test_signers_of_one_issuer_are_bounded(store: Quarantine) -> None:
    """New signers are written as often as new issuers, no more."""
    over = counter("over_rate")
    for serial in range(1, NEW_PER_MINUTE + 4):
        store.record(forged(serial), EVIDENCE)
    assert only(store).count == NEW_PER_MINUTE
    assert only(store).newest_sha256 == fingerprint(forged(NEW_PER_MINUTE).certificate)
    assert counter("over_rate") == over + 3


def test_another_signer_brings_a_dismissed_record_back(
    store: Quarantine, database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever forged the one that was dismissed has not silenced the issuer."""
    for _ in range(5):
        store.record(forged(), EVIDENCE)
    store.flush()
    store.dismiss(only(store))
    before = counter("new")
    clock.forward(60)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "attest.service"):
        for process in (store, Quarantine(database, clock=clock)):
            process.record(unknown(names=("westus.metadata.azure.com",)), EVIDENCE)
    genuine = unknown(names=("westus.metadata.azure.com",)).certificate
    record = only(store)
    assert record.signer_sha256 == fingerprint(genuine)
    assert record.signer_names == ("westus.metadata.azure.com",)
    assert (record.newest_sha256, record.count) == (None, 2)
    assert to_milliseconds(record.first_seen) == to_milliseconds(clock())
    assert [item.signer_certificate for item in store.specimens(record)] == [der_of(genuine)]
    assert counter("new") == before + 1
    assert len(caplog.records) == 1


def test_dismissal_is_of_one_signer(store: Quarantine) -> None:
    """One that came beside it, perhaps after the operator looked, makes the record pending."""
    store.record(forged(), EVIDENCE)
    store.record(unknown(), EVIDENCE)
    store.dismiss(only(store))
    for error in (forged(), unknown()):
        store.record(error, EVIDENCE)
    assert store.pending() == []
    store.flush()
    for error in (forged(), unknown()):
        store.record(error, EVIDENCE)
    assert only(store).signer_sha256 == fingerprint(unknown().certificate)


def test_what_strangers_write_is_cleaned(store: Quarantine) -> None:
    """Names with terminal sequences, and addresses that are none, do no harm."""
    long = "http://host/" + "a" * 501
    good = [f"http://host/{n}" for n in range(5)]
    error = unknown(
        "Evil\x1b[2J\n" + "\u202e" * 15,
        extensions=(access("http://host/\x1b[2J", long, *good),),
    )
    store.record(error, EVIDENCE)
    record = only(store)
    assert record.issuer.startswith("CN=Evil\\x1b[2J\\n\\u202e")
    assert record.issuer.isascii()
    assert record.issuer.isprintable()
    assert len(issuer_records._clean("\n" * 600)) == 512
    assert list(record.aia_urls) == good[:4]


def test_unfit_evidence_is_no_failure(store: Quarantine) -> None:
    """What cannot be kept is counted as failed; the request goes on."""
    before = counter("failed")
    store.record(unknown(), "!")
    assert store.pending() == []
    assert counter("failed") == before + 1


def test_a_database_that_is_away_fails_no_request(
    store: Quarantine, database: Database, minutes: Minutes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sighting is lost, the database left alone for a while, and tried again then."""

    def away() -> Any:
        attempts.append(1)
        raise UnavailableError("away")

    attempts: list[int] = []
    before = counter("failed")
    with monkeypatch.context() as patched:
        patched.setattr(database, "writing", away)
        for _ in range(3):
            store.record(unknown(), EVIDENCE)
    assert attempts == [1]
    assert counter("failed") == before + 1
    store.record(unknown(), EVIDENCE)
    assert store.pending() == []
    minutes.seconds += 31
    store.record(unknown(), EVIDENCE)
    store.record(unknown(), EVIDENCE)
    with monkeypatch.context() as patched:
        patched.setattr(database, "writing", away)
        with pytest.raises(UnavailableError):
            store.flush()
    store.flush()
    assert only(store).count == 2


def test_gauge(store: Quarantine, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of pending records, read when asked; none while the database is away."""
    collector = QuarantineCollector(store.count_pending)
    assert [s.value for metric in collector.collect() for s in metric.samples] == [0]
    store.record(unknown(), EVIDENCE)
    assert [s.value for metric in collector.collect() for s in metric.samples] == [1]

    def away() -> Any:
        raise UnavailableError("away")

    monkeypatch.setattr(database, "connect", away)
    assert list(collector.collect()) == []


def test_housekeeping_flushes(make: Make) -> None:
    """Every worker writes its counts by the clock."""
    service = service_of(make())
    for _ in range(3):
        service.sources.quarantine.record(unknown(), EVIDENCE)
    for task in service.tasks():
        task.run_logged()
    assert only(service.sources.quarantine).count == 3
