"""Quarantine: what is known of issuers that no path leads from, for the operator to decide.

Anybody who can make a certificate can name a new issuer, so everything here is bounded: the
memory, the rows, and how often the database is written.  A record is a note, never trust.

Nor does a certificate prove its issuer: whoever comes first in the name of a real new issuer may
have forged it.  So signers are told apart, and a forged one hides no other (see ``_upsert``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from attest.certificates import UNREADABLE, fingerprint
from attest.errors import AttestError, IssuerUnknownError
from attest.issuer_cache import IssuerKey
from service import trust_metrics
from service.database import UNKNOWN_ISSUERS, Database, to_milliseconds
from service.errors import UnavailableError
from service.issuer_records import (
    DISMISSED,
    PENDING,
    Specimen,
    UnknownIssuer,
    log_fields,
    new_row,
    read_row,
    read_specimens,
)

MAX_ROWS = 1000
NEW_PER_MINUTE = 20
FLUSH_SECONDS = 30.0

_REMEMBERED = 1000  # signers whose repeats one process counts in memory
_FORGET_AFTER = timedelta(hours=1)
_FLUSH_ROWS = 100
_PAUSE_SECONDS = 30.0  # without a write, once the database was found away

_LOG = logging.getLogger("attest.service")

_U = UNKNOWN_ISSUERS.c
_ADD = (
    update(UNKNOWN_ISSUERS)
    .where(_U.id == bindparam("of_id"))
    .values(count=_U.count + bindparam("more"), last_seen=bindparam("at"))
    .returning(_U.signer_sha256, _U.newest_sha256)
)
# The newest row stays whatever its count, or nothing would ever enter a full table.
_OVERDUE = (
    select(_U.id)
    .where(_U.id != bindparam("newest"))
    .order_by(_U.count.desc(), _U.last_seen.desc())
    .offset(MAX_ROWS - 1)
)
_EVICT = delete(UNKNOWN_ISSUERS).where(_U.id.in_(_OVERDUE))
_SPECIMENS = (_U.signer_certificate, _U.specimen, _U.newest_certificate, _U.newest_specimen)
_LIST = (
    select(*(column for column in _U if column not in set(_SPECIMENS)))
    .where(_U.status == PENDING)
    .order_by(_U.count.desc(), _U.last_seen.desc(), _U.id)
)
_COUNT = select(func.count()).select_from(UNKNOWN_ISSUERS).where(_U.status == PENDING)


class _Signer(NamedTuple):
    issuer: str  # the id of the record
    sha256: str


@dataclass(slots=True)
class _Tally:
    count: int
    last_seen: datetime


class Quarantine:
    """Records unknown issuers.  Safe among threads, processes and machines."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the quarantine.

        Args:
            database: the shared state.
            clock: tells the time, aware.
            monotonic: returns a time in seconds that never goes back.
        """
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._upsert = _upsert(database.engine.dialect.name)
        self._lock = threading.Lock()
        self._tallies: dict[_Signer, _Tally] = {}
        self._minute_ends = self._paused_until = float("-inf")
        self._new_this_minute = 0

    def record(self, error: IssuerUnknownError, evidence: str) -> None:
        """Note evidence that is good but for its issuer.  Raises nothing.

        A signer that this process has not seen is written at once, at most
        :data:`NEW_PER_MINUTE` a minute; repeats wait in memory for :meth:`flush`.

        Args:
            error: why the evidence was refused.
            evidence: the evidence, as :func:`attest.evidence.decode_evidence` takes it.
        """
        at = self._clock()
        try:
            issuer = IssuerKey.of(error.certificate).digest()
            key = _Signer(issuer, fingerprint(error.certificate))
            if not self._is_first(key, at):
                return
            row = new_row(issuer, error.certificate, evidence, at)
        except (AttestError, *UNREADABLE):
            # Nothing that was verified up to step 7 is like that; no request fails for a note.
            trust_metrics.QUARANTINE_FAILED.inc()
            return
        try:
            is_new = self._insert(row)
        except UnavailableError as away:
            _LOG.warning("quarantine failed: %s", away)
            trust_metrics.QUARANTINE_FAILED.inc()
            with self._lock:  # the next sighting tries again, not before a pause
                self._tallies.pop(key, None)
                self._paused_until = self._monotonic() + _PAUSE_SECONDS
            return
        if is_new:
            trust_metrics.QUARANTINE_NEW.inc()
            _LOG.warning("unknown issuer", extra={"fields": log_fields(row)})

    def flush(self) -> None:
        """Write the counts of repeats, of the signers seen most often first.

        Raises:
            UnavailableError: the database does not answer; what is not written waits.
        """
        with self._lock:
            oldest = self._clock() - _FORGET_AFTER
            for key, tally in list(self._tallies.items()):
                if not tally.count and tally.last_seen < oldest:
                    del self._tallies[key]
            busiest = sorted(self._tallies, key=lambda k: self._tallies[k].count, reverse=True)
            due = [key for key in busiest[:_FLUSH_ROWS] if self._tallies[key].count]
        for key in due:
            self._flush_one(key)

    def pending(self) -> list[UnknownIssuer]:
        """Return the records that wait for the operator, those seen most often first.

        Raises:
            UnavailableError: the database does not answer.
        """
        with self._database.connect() as connection:
            return [read_row(row) for row in connection.execute(_LIST).mappings()]

    def count_pending(self) -> int:
        """Return how many records wait for the operator.

        Raises:
            UnavailableError: the database does not answer.
        """
        with self._database.connect() as connection:
            return int(connection.execute(_COUNT).scalar_one())

    def specimens(self, record: UnknownIssuer) -> list[Specimen]:
        """Return what was refused, the first first; nothing where the record is gone.

        Raises:
            UnavailableError: the database does not answer.
        """
        statement = select(*_SPECIMENS).where(_U.id == record.id)
        with self._database.connect() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        return [] if row is None else read_specimens(row)

    def remove(self, record: UnknownIssuer) -> None:
        """Forget a record; the issuer's next evidence makes a new one if it is refused again.

        Raises:
            UnavailableError: the database does not answer.
        """
        with self._database.writing() as connection:
            connection.execute(delete(UNKNOWN_ISSUERS).where(_U.id == record.id))

    def dismiss(self, record: UnknownIssuer) -> None:
        """Keep a record, and neither list it nor count it as pending while only its signer comes.

        The newest signer is forgotten: the operator may not have seen it, and if it still sends
        it makes the record pending again.

        Raises:
            UnavailableError: the database does not answer.
        """
        statement = (
            update(UNKNOWN_ISSUERS)
            .where(_U.id == record.id)
            .values(
                status=DISMISSED, newest_sha256=None, newest_certificate=None, newest_specimen=None
            )
        )
        with self._database.writing() as connection:
            connection.execute(statement)

    def _is_first(self, key: _Signer, at: datetime) -> bool:
        """Count a repeat, or tell that this sighting is the first and may be written."""
        with self._lock:
            tally = self._tallies.get(key)
            if tally is not None:
                tally.count += 1
                tally.last_seen = at
                return False
            now = self._monotonic()
            if now >= self._minute_ends:
                self._minute_ends, self._new_this_minute = now + 60, 0
            if self._new_this_minute >= NEW_PER_MINUTE or now < self._paused_until:
                trust_metrics.QUARANTINE_OVER_RATE.inc()
                return False
            self._new_this_minute += 1
            if len(self._tallies) >= _REMEMBERED:
                del self._tallies[min(self._tallies, key=lambda k: self._tallies[k].last_seen)]
            self._tallies[key] = _Tally(0, at)
            return True

    def _insert(self, row: dict[str, object]) -> bool:
        with self._database.writing() as connection:
            is_new = bool(connection.execute(self._upsert, row).scalar_one() == 1)
            if is_new:
                connection.execute(_EVICT, {"newest": row["id"]})
        return is_new

    def _flush_one(self, key: _Signer) -> None:
        with self._lock:
            tally = self._tallies.get(key)
            if tally is None:
                return
            more, tally.count = tally.count, 0
            values = {"of_id": key.issuer, "more": more, "at": to_milliseconds(tally.last_seen)}
        try:
            with self._database.writing() as connection:
                kept = connection.execute(_ADD, values).one_or_none()
        except UnavailableError:
            with self._lock:
                tally.count += more
            raise
        # Approved, evicted, or displaced by another signer: its next sighting is a first one.
        if kept is None or key.sha256 not in kept:
            with self._lock:
                self._tallies.pop(key, None)


def _upsert(dialect: str) -> Any:  # noqa: ANN401 - the two dialects' inserts share no type
    """Return the statement for a first sighting; a count of 1 comes back if the operator must look.

    Of a pending record the first specimen stays, so that the operator's fingerprint goes on
    naming it, and the newest of another signer is kept beside it.  One who forges signer after
    signer displaces a genuine one there for moments only: the next :meth:`Quarantine.flush` finds
    it displaced, and its next sighting is written again.  Approval, which tries both, succeeds as
    soon as it meets it.  A dismissed record is a new one for any signer but the one dismissed.
    """
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(UNKNOWN_ISSUERS)
    given = statement.excluded
    is_other = _U.signer_sha256 != given.signer_sha256
    comes_back = and_(_U.status == DISMISSED, is_other)
    kept = {
        _U.count: _U.count + given.count,
        _U.last_seen: given.last_seen,
        _U.newest_sha256: case((is_other, given.signer_sha256), else_=_U.newest_sha256),
        _U.newest_certificate: case(
            (is_other, given.signer_certificate), else_=_U.newest_certificate
        ),
        _U.newest_specimen: case((is_other, given.specimen), else_=_U.newest_specimen),
    }
    return statement.on_conflict_do_update(
        index_elements=[_U.id],
        set_={
            column.name: case((comes_back, given[column.name]), else_=kept.get(column, column))
            for column in _U
            if column is not _U.id
        },
    ).returning(_U.count)
