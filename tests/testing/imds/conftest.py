"""The fake endpoint, with and without a socket, and a clock that a test sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from attest.clouds import Cloud
from attest.testing import FakeAuthority
from attest.testing.imds import FakeImds, VirtualMachine, create_app

START = datetime(2026, 6, 25, 12, 0, tzinfo=UTC)


class Clock:
    """A time that only a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return it."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move it on."""
        self.now += timedelta(seconds=seconds)


class Answer:
    """An answer of the application, read to its end."""

    def __init__(self, response: TestResponse) -> None:
        self.status_code = response.status_code
        self.mimetype = response.mimetype
        self.headers = response.headers
        self.data: bytes = response.data

    @property
    def text(self) -> str:
        """The body."""
        return str(self.data, "utf-8")

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.data)


class Endpoint:
    """The application, asked without a socket; ``Metadata: true`` is sent unless headers are."""

    def __init__(self, app: Flask, authority: FakeAuthority) -> None:
        self.app = app
        self.authority = authority
        self._client = app.test_client()

    def send(
        self,
        path: str,
        version: str | None = "2025-04-07",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request."""
        named = dict(query or {})
        if version is not None:
            named["api-version"] = version
        given = {"Metadata": "true"} if headers is None else dict(headers)
        return Answer(
            self._client.open(path, method=method, headers=given, query_string=named, data=data)
        )

    def ask(self, path: str, version: str | None = "2025-04-07", /, **query: str) -> Answer:
        """Send a GET request."""
        return self.send(path, version, query=query)

    def get(self, path: str, version: str = "2025-04-07", /, **query: str) -> Any:
        """Send a GET request that succeeds, and parse its JSON."""
        answer = self.ask(path, version, **query)
        assert answer.status_code == 200, answer.text
        return answer.json

    def patch(self, **state: object) -> Any:
        """Change the state."""
        answer = self._client.patch("/_fake/state", json=state)
        assert answer.status_code == 200, answer.text
        return answer.json


MakeEndpoint = Callable[..., Endpoint]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at START."""
    return Clock()


@pytest.fixture(scope="session")
def authorities() -> dict[Cloud, FakeAuthority]:
    """One authority a cloud: their certificates are dated for the clock's start."""
    return {cloud: FakeAuthority(cloud, now=START) for cloud in Cloud}


@pytest.fixture
def make_endpoint(clock: Clock, authorities: dict[Cloud, FakeAuthority]) -> MakeEndpoint:
    """Make an endpoint of a description and options; without limits on the rate."""

    def make(
        description: dict[str, object] | None = None,
        *,
        cloud: Cloud = Cloud.PUBLIC,
        rate_limit: int | None = None,
        identity_rate_limit: int | None = None,
        **options: Any,
    ) -> Endpoint:
        app = create_app(
            VirtualMachine.from_mapping(description or {}),
            authorities[cloud],
            clock=clock,
            rate_limit=rate_limit,
            identity_rate_limit=identity_rate_limit,
            **options,
        )
        return Endpoint(app, authorities[cloud])

    return make


@pytest.fixture
def endpoint(make_endpoint: MakeEndpoint) -> Endpoint:
    """The default VM's endpoint."""
    return make_endpoint()


@pytest.fixture(scope="session")
def live() -> Iterator[FakeImds]:
    """A live server that no test changes."""
    with FakeImds() as imds:
        yield imds
