"""Brings the database schema up to date, one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError

from service.database import Database
from service.errors import UnavailableError
from service.settings import SettingsError

_ADVISORY_LOCK = 0x1_6D64_7361  # any number that nobody else uses
_SCRIPTS = Path(__file__).parent / "migrations"


def head() -> str:
    """Return the revision of the schema that this version of the code needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the package has no migrations")
    return revision


def current(database: Database) -> str | None:
    """Return the revision that the database has, ``None`` for an empty one.

    Raises:
        UnavailableError: the database does not answer.
    """
    with database.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(url: URL) -> tuple[str | None, str]:
    """Run the migrations that the database lacks, while holding a lock.

    Processes that start together wait for each other; all but the first find nothing to do.

    Returns:
        The revisions before and after.

    Raises:
        UnavailableError: the database does not answer.
        SettingsError: the database is newer than this code, is none, or refuses to be changed,
            or its folder cannot be used.
    """
    try:
        with _locked(url) as connection:
            before = MigrationContext.configure(connection).get_current_revision()
            connection.rollback()
            known = {script.revision for script in _scripts().walk_revisions()}
            if before is not None and before not in known:
                raise SettingsError(f"the database has schema {before}, made by a newer version")
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except OSError as error:
        raise SettingsError(f"cannot use {error.filename}: {error.strerror}") from None
    except OperationalError as error:
        raise UnavailableError(_first_line(error)) from None
    except DBAPIError as error:
        raise SettingsError(f"the database cannot be used: {_first_line(error)}") from None
    return before, head()


@contextlib.contextmanager
def _locked(url: URL) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        if url.get_backend_name() == "sqlite":
            event.listen(engine, "connect", _leave_transactions_to_us)
            event.listen(engine, "begin", _begin_to_write)
            file = Path(url.database or "")
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with file.with_name(f"{file.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with engine.connect() as connection:
                    yield connection
        else:
            with engine.connect() as connection:
                connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _ADVISORY_LOCK})
                connection.commit()  # the lock belongs to the session and outlives this
                yield connection
    finally:
        engine.dispose()  # closes the session, and so gives the lock back


def _leave_transactions_to_us(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    # sqlite3 by itself begins none before DDL: a process that is killed between a table and the
    # revision would leave a database that no later start can migrate.
    connection.isolation_level = None
    # Here, where the lock is held: SQLite changes this at once or fails, whatever its timeout, and
    # a process that starts beside us would fail at it while we write.
    connection.execute("PRAGMA journal_mode = WAL")


def _begin_to_write(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0]
