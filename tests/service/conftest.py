"""Fixtures: a fake authority, both databases, and applications that use them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from attest.testing import FakeAuthority
from service import migrate
from service.app import create_app, service_of
from service.settings import Settings, load_settings
from tests.service.live import Starter

_LOCAL_POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def _no_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ATTEST_") and name != "ATTEST_TEST_POSTGRES_URL":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def authority() -> FakeAuthority:
    """A fake authority for the whole session."""
    return FakeAuthority()


@pytest.fixture(scope="session")
def trust_pem(authority: FakeAuthority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file for ATTEST_TEST_TRUST."""
    path = tmp_path_factory.mktemp("trust") / "trust.pem"
    path.write_bytes(authority.trust_pem())
    return path


def _postgres_server() -> str:
    """Return the address of a PostgreSQL server, or skip with the reason why there is none."""
    url = os.environ.get("ATTEST_TEST_POSTGRES_URL", _LOCAL_POSTGRES)
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        if "ATTEST_TEST_POSTGRES_URL" in os.environ or os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL at {url}: {str(error).splitlines()[0]}")
    return url


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """Make an empty PostgreSQL database; drop it afterwards."""
    server = _postgres_server()
    name = f"attest_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield server.rpartition("/")[0] + f"/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/attest.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still until it is turned."""
    return Clock()


Make = Callable[..., Flask]


@pytest.fixture
def make(trust_pem: Path, database_url: str, clock: Clock) -> Iterator[Make]:
    """Make applications that share a migrated database and trust the fake authority."""
    made: list[Flask] = []

    def call(**settings: Any) -> Flask:
        values: dict[str, Any] = {
            "test_trust": trust_pem,
            "database_url": database_url,
            "threads": 4,
            "fetch_issuers": False,
            **settings,
        }
        loaded: Settings = load_settings(**values)
        migrate.upgrade(loaded.database)
        app = create_app(loaded, clock=clock)
        app.testing = False
        made.append(app)
        return app

    yield call
    for app in made:
        service_of(app).database.close()


@pytest.fixture
def client(make: Make) -> FlaskClient:
    """Return a client of an application with the default settings."""
    return make().test_client()


@pytest.fixture(name="sqlite_start")
def sqlite_start_(tmp_path: Path, trust_pem: Path) -> Iterator[Starter]:
    """Return what starts services on SQLite, for what no database changes."""
    url = f"sqlite:///{tmp_path}/attest.db"
    starter = Starter(tmp_path, {"ATTEST_TEST_TRUST": str(trust_pem), "ATTEST_DATABASE_URL": url})
    yield starter
    starter.stop()
