"""The checks that each request passes: "Security", "Version", "Errors and debugging"."""

from __future__ import annotations

import http.client

import pytest

from attest.testing.imds import API_VERSIONS, FakeImds, create_app, versions
from tests.testing.imds import page
from tests.testing.imds.conftest import Clock, Endpoint, MakeEndpoint

INSTANCE = "/metadata/instance"
TOKEN = "/metadata/identity/oauth2/token"
RESOURCE = {"resource": "https://vault.azure.net"}


def _query(category: str) -> dict[str, str]:
    return RESOURCE if category.startswith("identity") else {}


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_200(endpoint: Endpoint, value: str) -> None:
    """Row "200 OK"; the page's samples write the header in two cases."""
    answer = endpoint.send(INSTANCE, headers={"Metadata": value})
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"


@pytest.mark.parametrize("headers", [{}, {"Metadata": ""}, {"Metadata": "false"}])
@pytest.mark.parametrize("category", page.CATEGORIES)
def test_400_without_the_header(endpoint: Endpoint, category: str, headers: dict[str, str]) -> None:
    """Row "400 Bad Request", and the first frequently asked question."""
    answer = endpoint.send(f"/metadata/{category}", headers=headers, query=_query(category))
    assert answer.status_code == 400
    assert "Required metadata header not specified" in answer.text


def test_the_body_without_the_header(endpoint: Endpoint) -> None:
    """The body without the header."""
    assert endpoint.send(INSTANCE, headers={}).json == {
        "error": "Bad request. Required metadata header not specified"
    }
    assert endpoint.send(TOKEN, headers={}).json == {
        "error": "invalid_request",
        "error_description": "Required metadata header not specified",
    }


@pytest.mark.parametrize("category", page.CATEGORIES)
def test_400_with_x_forwarded_for(endpoint: Endpoint, category: str) -> None:
    """Section "Security"."""
    headers = {"Metadata": "true", "X-Forwarded-For": "10.0.0.1"}
    assert endpoint.send(f"/metadata/{category}", headers=headers).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/metadata",
        "/metadata/",
        "/metadata/nothing",
        "/metadata/instanceX",
        "/metadata//instance",
    ],
)
def test_404(endpoint: Endpoint, path: str) -> None:
    """Row "404 Not Found"."""
    answer = endpoint.ask(path)
    assert (answer.status_code, answer.json) == (404, {"error": "Not found"})


def test_two_slashes_are_not_one(live: FakeImds) -> None:
    """Over a socket: no redirect.  At the beginning Python's own server reads them as one."""
    connection = http.client.HTTPConnection("127.0.0.1", int(live.url.rpartition(":")[2]))
    try:
        connection.request(
            "GET", "/metadata//instance?api-version=2020-09-01", headers={"Metadata": "true"}
        )
        assert connection.getresponse().status == 404
    finally:
        connection.close()


def test_the_limits_of_azure() -> None:
    """Row "429 Too Many Requests", and a later edition's 20 for identity, by default."""
    emulator = create_app().extensions["attest-imds"]
    for limit, number in ((emulator.limit, 5), (emulator.identity_limit, 20)):
        assert [limit.admit() for _ in range(number + 1)] == [True] * number + [False]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("category", [*page.CATEGORIES, "versions", "loadbalancer"])
def test_405(endpoint: Endpoint, category: str, method: str) -> None:
    """Row "405 Method Not Allowed"; only scheduled events take a POST as well."""
    answer = endpoint.send(f"/metadata/{category}", method=method, query=_query(category))
    if category == "scheduledevents" and method == "POST":
        assert answer.status_code == 400
    else:
        assert answer.status_code == 405
        assert "GET" in answer.headers["Allow"]


def test_405_for_a_made_up_method(endpoint: Endpoint) -> None:
    """405 for a made up method."""
    assert endpoint.send(INSTANCE, method="BREW").status_code == 405


@pytest.mark.parametrize("status", [410, 500])
@pytest.mark.parametrize("category", page.CATEGORIES)
def test_410_and_500_on_demand(endpoint: Endpoint, category: str, status: int) -> None:
    """Rows "410 Gone" and "500 Service Error", as often as was asked for, for one path."""
    path = f"/metadata/{category}"
    endpoint.patch(http_faults=[{"path": path, "status": status, "times": 2}])
    found = [endpoint.ask(path, **_query(category)).status_code for _ in range(3)]
    assert found == [status, status, 200]
    assert endpoint.ask("/metadata/versions").status_code == 200


def test_a_fault_covers_what_is_below_its_path(endpoint: Endpoint) -> None:
    """A fault covers what is below its path."""
    endpoint.patch(http_faults=[{"path": INSTANCE, "status": 500}])
    assert endpoint.ask(f"{INSTANCE}/compute").status_code == 500
    assert endpoint.ask("/metadata/instances").status_code == 404
    endpoint.patch(http_faults=[])
    assert endpoint.ask(INSTANCE).status_code == 200


def test_429(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """Row "429 Too Many Requests": five a second, and then no more until the second is over."""
    limited = make_endpoint(rate_limit=5)
    assert [limited.ask(INSTANCE).status_code for _ in range(7)] == [200] * 5 + [429] * 2
    refused = limited.ask("/metadata/attested/document")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    clock.advance(1)
    assert limited.ask(INSTANCE).status_code == 200


def test_429_slides(make_endpoint: MakeEndpoint, clock: Clock) -> None:
    """429 slides."""
    limited = make_endpoint(rate_limit=2)
    assert limited.ask(INSTANCE).status_code == 200
    clock.advance(0.6)
    assert limited.ask(INSTANCE).status_code == 200
    assert limited.ask(INSTANCE).status_code == 429
    clock.advance(0.5)
    assert limited.ask(INSTANCE).status_code == 200
    assert limited.ask(INSTANCE).status_code == 429


def test_429_of_identity_is_its_own(make_endpoint: MakeEndpoint) -> None:
    """429 of identity is its own."""
    limited = make_endpoint(rate_limit=1, identity_rate_limit=3)
    assert limited.ask(INSTANCE).status_code == 200
    found = [limited.ask(TOKEN, **RESOURCE) for _ in range(4)]
    assert [answer.status_code for answer in found] == [200, 200, 200, 429]
    assert found[-1].json["error"] == "too_many_requests"


def test_429_on_demand_says_when_to_retry(endpoint: Endpoint) -> None:
    """429 on demand says when to retry."""
    endpoint.patch(http_faults=[{"path": "/metadata", "status": 429, "times": 1}])
    assert endpoint.ask(INSTANCE).headers["Retry-After"] == "1"


def test_without_a_version_the_newest_three_are_listed(make_endpoint: MakeEndpoint) -> None:
    """The page's sample, word for word, from an endpoint of its time."""
    answer = make_endpoint(newest="2020-10-01").ask(INSTANCE, None)
    assert answer.status_code == 400
    assert answer.json == {
        "error": "Bad request. api-version was not specified in the request. "
        "For more information refer to aka.ms/azureimds",
        "newest-versions": ["2020-10-01", "2020-09-01", "2020-07-15"],
    }


@pytest.mark.parametrize("version", ["", "2020-10-02", "latest", "2020-09-01 ", "2019-08-02"])
def test_an_unsupported_version(endpoint: Endpoint, version: str) -> None:
    """An unsupported version."""
    answer = endpoint.ask(INSTANCE, version)
    assert answer.status_code == 400
    assert answer.json["newest-versions"] == ["2025-04-07", "2024-07-17", "2024-03-15"]


def test_a_version_that_is_too_new_for_this_endpoint(make_endpoint: MakeEndpoint) -> None:
    """A version that is too new for this endpoint."""
    old = make_endpoint(newest="2020-10-01")
    assert old.ask(INSTANCE, "2020-12-01").status_code == 400
    assert old.ask(INSTANCE, "2020-10-01").status_code == 200
    with pytest.raises(ValueError, match="not an api-version"):
        make_endpoint(newest="2020-10-02")


@pytest.mark.parametrize("version", [*page.VERSIONS, *page.LATER_VERSIONS])
def test_a_supported_version(endpoint: Endpoint, version: str) -> None:
    """A line of the list of supported versions, in every category that has it."""
    for category, since in page.CATEGORIES.items():
        answer = endpoint.ask(f"/metadata/{category}", version, **_query(category))
        assert answer.status_code == (200 if version >= since else 400), category


def test_versions(endpoint: Endpoint) -> None:
    """Versions."""
    every = [*page.VERSIONS, *page.LATER_VERSIONS]
    answer = endpoint.ask("/metadata/versions", None)
    assert answer.json == {"apiVersions": every}
    assert every == list(API_VERSIONS)
    assert endpoint.ask("/metadata/versions/more", None).status_code == 404


@pytest.mark.parametrize(("category", "since"), page.CATEGORIES.items())
def test_category(endpoint: Endpoint, category: str, since: str) -> None:
    """A row of "Metadata APIs"."""
    path = f"/metadata/{category}"
    assert endpoint.ask(path, since, **_query(category)).status_code == 200
    assert endpoint.ask(path, page.before(since), **_query(category)).status_code == 400
    assert versions.CATEGORIES[category.partition("/")[0]] == since


@pytest.mark.parametrize(("category", "text"), page.FORMATS.items())
def test_format(endpoint: Endpoint, category: str, text: bool) -> None:
    """A row of "Data output"."""
    path = f"/metadata/{category}"
    default = endpoint.ask(path, **_query(category))
    assert default.mimetype == "application/json"
    assert endpoint.ask(path, format="json", **_query(category)).mimetype == "application/json"
    answer = endpoint.ask(path, format="text", **_query(category))
    assert (answer.status_code, answer.mimetype) == (
        (200, "text/plain") if text else (400, "application/json")
    )


@pytest.mark.parametrize(
    "query",
    [
        "api-version=2020-09-01&api-version=2020-09-01",
        "api-version=2020-09-01&format=json&format=json",
        "api-version=2020-09-01&x=1&x=2",
    ],
)
def test_duplicate_query_names(endpoint: Endpoint, query: str) -> None:
    """Duplicate query names."""
    client = endpoint.app.test_client()
    answer = client.get(f"{INSTANCE}?{query}", headers={"Metadata": "true"})
    assert answer.status_code == 400
    assert "more than once" in answer.text


def test_another_path(endpoint: Endpoint) -> None:
    """Another path."""
    assert endpoint.ask("/latest/meta-data/").status_code == 404
    assert endpoint.ask("/").status_code == 404


def test_a_body_that_is_too_large(endpoint: Endpoint) -> None:
    """A body that is too large."""
    answer = endpoint.send("/metadata/scheduledevents", method="POST", data=b" " * (1 << 20 | 1))
    assert answer.status_code == 413
