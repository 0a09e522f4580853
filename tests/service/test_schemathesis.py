"""schemathesis asks whatever the OpenAPI document allows, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from service import migrate
from service.app import create_app, service_of
from service.settings import load_settings

EXAMPLES = 60  # for each endpoint and each kind of data
ENDPOINTS = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/v1/trust"),
    ("POST", "/v1/challenges"),
    ("POST", "/v1/verify"),
    ("POST", "/v1/verify/batch"),
    ("POST", "/v1/chain"),
]


@pytest.fixture(scope="module", name="app")
def app_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Make an application with an empty database and without rate limits."""
    folder = tmp_path_factory.mktemp("schemathesis")
    url = f"sqlite:///{folder}/attest.db"
    loaded = load_settings(database_url=url, rate_limit_enabled=False, max_body=2**22)
    migrate.upgrade(loaded.database)
    made = create_app(loaded)
    yield made
    service_of(made).database.close()


def test_every_endpoint_is_here(app: Flask) -> None:
    """The list above is the document's."""
    document = app.test_client().get("/openapi.json").get_json()
    told = {(m.upper(), path) for path, item in document["paths"].items() for m in item}
    assert told == set(ENDPOINTS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_api(app: Flask, method: str, path: str, mode: GenerationMode) -> None:
    """No 500, and every answer is one that the document declares."""
    if mode is GenerationMode.NEGATIVE and path not in {
        "/v1/verify",
        "/v1/verify/batch",
        "/v1/chain",
    }:
        return  # takes no data that could be wrong
    # No schema tells evidence from noise, so noise of the right shape is refused all the same; a
    # batch refuses its items one by one.
    excluded = [positive_data_acceptance]
    if path == "/v1/verify/batch":
        excluded.append(negative_data_rejection)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    strategy: Any = schema[path][method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def ask(case: Any) -> None:
        case.call_and_validate(excluded_checks=excluded)

    ask()
