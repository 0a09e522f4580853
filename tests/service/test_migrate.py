"""Migrations: whole or not at all, and every failure is one line for the operator."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.runtime.migration import HeadMaintainer
from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from service import migrate
from service.database import Database
from service.settings import SettingsError


class KilledError(BaseException):
    """What ends the process in the middle."""


def test_killed_between_table_and_revision(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start finds what there was before, and migrates it."""
    url = make_url(database_url.replace("postgresql://", "postgresql+psycopg://"))

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(HeadMaintainer, "update_to_step", die)
        with pytest.raises(KilledError):
            migrate.upgrade(url)
    database = Database(url)
    assert inspect(database.engine).get_table_names() == []
    assert migrate.upgrade(url) == (None, migrate.head())
    assert migrate.upgrade(url) == (migrate.head(), migrate.head())
    assert migrate.current(database) == migrate.head()
    database.close()


def test_no_database(tmp_path: Path) -> None:
    """Another file lies where the database should."""
    file = tmp_path / "attest.sqlite3"
    file.write_bytes(b"no database" * 100)
    with pytest.raises(SettingsError, match=r"cannot be used: file is not a database"):
        migrate.upgrade(make_url(f"sqlite:///{file}"))
