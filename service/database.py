"""The shared state: tables, and connections that say in one way that the database is away.

Every statement commits by itself (autocommit): what must happen together happens in one
statement.  Times are integers, milliseconds since 1970 in UTC, since both databases compare and
index those alike.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import UnavailableError

BUSY_TIMEOUT = 5.0  # seconds that a writer waits for another one before it gives up
_CONNECT_TIMEOUT = 3  # seconds
_IDLE = 1.0  # seconds

# SQLite counts rows by itself only where the key is an INTEGER.
_ROW_ID = BigInteger().with_variant(Integer(), "sqlite")

METADATA = MetaData()

# A row is a challenge, or a nonce of the caller's own that evidence has answered.  That the
# evidence is remembered in the row of the challenge makes "use it up" and "never again" one
# statement, guarded by one unique index.
CHALLENGES = Table(
    "challenges",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    Column("nonce", String(64), unique=True),  # NULL: the nonce was the caller's own
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("evidence_sha256", String(64), unique=True),  # of the signed content
    Column("keep_until", BigInteger, nullable=False),
    Index("ix_challenges_keep_until", "keep_until"),
)
API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("secret_sha256", String(64), nullable=False),
    Column("scopes", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)
# Small columns first: a look at the counts does not read the specimens.
UNKNOWN_ISSUERS = Table(
    "unknown_issuers",
    METADATA,
    Column("id", String(64), primary_key=True),  # SHA-256 of issuer name and key identifier
    Column("status", String(16), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("signer_sha256", String(64), nullable=False),
    Column("issuer", String(512), nullable=False),
    Column("signer_subject", String(512), nullable=False),
    Column("signer_names", Text, nullable=False),  # JSON
    Column("aia_urls", Text, nullable=False),  # JSON
    Column("signer_certificate", Text, nullable=False),  # DER, base64
    Column("specimen", Text, nullable=False),  # base64
    Column("newest_sha256", String(64)),  # of another signer, the one that came last
    Column("newest_certificate", Text),  # DER, base64
    Column("newest_specimen", Text),  # base64
)


class Database:
    """Connections to the database of the settings; none is opened before it is needed.

    Attributes:
        engine: SQLAlchemy's engine, every statement of which commits by itself.
    """

    def __init__(self, url: URL, *, pool_size: int = 16) -> None:
        """Prepare connections.

        Args:
            url: the database, ``sqlite`` or ``postgresql+psycopg``.
            pool_size: how many connections one process keeps, one for each of its threads.
        """
        self._is_sqlite = url.get_backend_name() == "sqlite"
        self._write_lock = threading.Lock()
        self.engine = make_engine(url, pool_size)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """Lend a connection.

        Raises:
            UnavailableError: the database does not answer.
            IntegrityError: a statement would break a constraint.
        """
        try:
            with self.engine.connect() as connection:
                yield connection
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeoutError) as error:
            raise UnavailableError(type(error).__name__) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lend a connection for a statement that writes.

        SQLite has one writer at a time, and those who wait sleep and poll: the threads of one
        process queue here instead, where the next one is woken at once.
        """
        with self._write_lock if self._is_sqlite else contextlib.nullcontext(), self.connect() as c:
            yield c

    def after_fork(self) -> None:
        """Forget connections that belong to the parent process, without closing them."""
        self.engine.dispose(close=False)
        self._write_lock = threading.Lock()

    def close(self) -> None:
        """Close every connection that nobody uses."""
        self.engine.dispose()


def make_engine(url: URL, pool_size: int = 16) -> Engine:
    """Make an engine whose statements commit by themselves."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=0,
            connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT,
            "options": f"-c statement_timeout={int(BUSY_TIMEOUT * 1000)}",
            # A server that vanished without a word is noticed within seconds.
            "tcp_user_timeout": int(BUSY_TIMEOUT * 1000),
            "application_name": "imds-attest",
        },
    )
    event.listen(engine, "checkin", _remember_use)
    event.listen(engine, "checkout", _check_if_idle)
    return engine


def _remember_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _check_if_idle(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:  # noqa: ANN401 - a DBAPI connection
    """Make sure that a connection that has rested is alive; a busy one shows it by itself."""
    if time.monotonic() - record.info.get("used", 0.0) < _IDLE:
        return
    try:
        connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise DisconnectionError from error  # the pool makes a new one


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL: a challenge that was used stays used after a power cut, too.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def to_milliseconds(moment: datetime) -> int:
    """Return an aware time as milliseconds since 1970, cut off."""
    return int(moment.timestamp() * 1000)


def from_milliseconds(value: int) -> datetime:
    """Return the time, in UTC, of milliseconds since 1970."""
    return datetime.fromtimestamp(value / 1000, UTC)
