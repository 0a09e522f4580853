"""The client for the metadata endpoint: errors, retries, api-versions, and what it never does."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from time import monotonic

import pytest

from attest import AppraisalPolicy, Verifier
from attest.imds import (
    ImdsClient,
    ImdsError,
    ImdsMalformedError,
    ImdsRefusedError,
    ImdsTimeoutError,
    ImdsUnreachableError,
)
from attest.testing.imds import FakeImds, HttpFault, VirtualMachine


class Time:
    """A monotonic clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Sleep at once."""
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    """A live fake endpoint."""
    with FakeImds() as server:
        yield server


@pytest.fixture
def time() -> Time:
    """A clock."""
    return Time()


def _client(url: str, time: Time, api_version: str | None = None) -> ImdsClient:
    return ImdsClient(
        url, sleep=time.sleep, monotonic=time.monotonic, api_version=api_version, timeout=2
    )


@contextmanager
def _raw(*answers: bytes | Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve fixed octets, one answer a connection, the last one for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        rest = list(answers)
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                answer = rest.pop(0) if len(rest) > 1 else rest[0]
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                else:
                    answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _http(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def test_a_document(imds: FakeImds, time: Time) -> None:
    """The answer is evidence as the verifier takes it."""
    evidence = _client(imds.url, time).attested_document("1234567890")
    verifier = Verifier(imds.authority.trust_store(), AppraisalPolicy())
    result = verifier.verify(evidence, at=datetime.now(UTC), nonce="1234567890")
    assert str(result.document.vm_id) == "5c08b38e-4d57-4c23-ac45-aca61037f084"
    assert time.slept == []


def test_the_instance(imds: FakeImds, time: Time) -> None:
    """The instance is the tree of the client's api-version."""
    assert set(_client(imds.url, time).instance()) == {"compute", "network"}


def test_versions(imds: FakeImds, time: Time) -> None:
    """The endpoint's api-versions."""
    assert _client(imds.url, time).versions()[-1] == "2025-04-07"


@pytest.mark.parametrize("status", [410, 429, 500, 502, 503])
def test_a_transient_error_is_tried_again(imds: FakeImds, time: Time, status: int) -> None:
    """The page: retry 410 and 500; 429 is over when the second is."""
    imds.emulator.set_http_faults([HttpFault("/metadata", status, 2)])
    assert _client(imds.url, time).attested_document()["encoding"] == "pkcs7"
    assert len(time.slept) == 2


def test_pauses_grow_and_end_within_70_seconds(imds: FakeImds, time: Time) -> None:
    """The page: "Retry after some time for a maximum of 70 seconds"."""
    imds.emulator.set_http_faults([HttpFault("/metadata", 410)])
    with pytest.raises(ImdsTimeoutError, match="status 410"):
        _client(imds.url, time).attested_document()
    assert time.slept == [1, 2, 4, 8, 16, 16, 16]
    assert sum(time.slept) <= 70


@pytest.mark.parametrize(
    ("header", "slept"),
    [("3", [3]), ("0", [1]), ("x", [1]), ("Wed, 21 Oct 2026 07:28:00 GMT", [1])],
)
def test_retry_after(time: Time, header: str, slept: list[float]) -> None:
    """Retry-After in seconds is kept, and never a busy loop."""
    good = _http("200 OK", b'{"encoding":"pkcs7","signature":"AA=="}')
    with _raw(_http("429 Slow", b"", f"Retry-After: {header}"), good) as url:
        _client(url, time).attested_document()
    assert time.slept == slept


def test_a_retry_after_beyond_the_limit_ends_it(time: Time) -> None:
    """An endpoint that says "come back in an hour" is not waited for."""
    with (
        _raw(_http("429 Slow", b"", "Retry-After: 3600")) as url,
        pytest.raises(ImdsTimeoutError, match="status 429"),
    ):
        _client(url, time).attested_document()
    assert time.slept == []


def test_an_answer_that_breaks_off_is_tried_again(time: Time) -> None:
    """So is a connection that is closed without an answer."""
    good = _http("200 OK", b'{"encoding":"pkcs7","signature":"AA=="}')
    with _raw(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", good) as url:
        assert _client(url, time).attested_document()["signature"] == "AA=="
    assert time.slept == [1, 2]


def test_no_answer_at_all(time: Time) -> None:
    """An endpoint that accepts and never answers."""

    def hang(connection: socket.socket) -> None:
        connection.settimeout(10)
        connection.recv(1)

    with _raw(hang) as url, pytest.raises(ImdsTimeoutError, match="no answer"):
        ImdsClient(url, timeout=0.05, retry_seconds=0).instance()
    assert time.slept == []


@pytest.mark.parametrize(
    "begin", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"]
)
def test_an_answer_that_drips_is_none(time: Time, begin: bytes) -> None:
    """The timeout is for the answer, not for each of its octets."""

    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(begin)
            for _ in range(80):
                connection.sendall(b" ")
                connection.settimeout(0.05)
                with suppress(TimeoutError):
                    if not connection.recv(1):
                        return

    with _raw(drip) as url:
        client = ImdsClient(
            url, sleep=time.sleep, monotonic=time.monotonic, timeout=0.3, retry_seconds=1
        )
        started = monotonic()
        with pytest.raises(ImdsTimeoutError, match="no answer after retries"):
            client.instance()
    assert monotonic() - started < 3


def test_not_on_azure(time: Time) -> None:
    """Nothing listens: say so at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ImdsUnreachableError, match="is this an Azure VM"):
        _client(f"http://127.0.0.1:{port}", time).attested_document()
    assert time.slept == []


def test_no_such_host(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve."""

    def resolve(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ImdsUnreachableError, match="no such host"):
        _client("http://nothing.invalid", time).attested_document()


def test_a_refusal(imds: FakeImds, time: Time) -> None:
    """A 4xx is not tried again; what the endpoint said is in the error."""
    imds.emulator.set_http_faults([HttpFault("/metadata", 403)])
    with pytest.raises(ImdsRefusedError, match="status 403: 'Forbidden'") as caught:
        _client(imds.url, time).attested_document()
    assert (caught.value.status, time.slept) == (403, [])


def test_a_404_is_not_tried_again(time: Time) -> None:
    """Here it says that the element does not exist."""
    portal = _http("404 Not Found", b"<html>")
    with _raw(portal) as url, pytest.raises(ImdsRefusedError, match=r"status 404$"):
        _client(url, time).instance()
    assert time.slept == []


@pytest.mark.parametrize(
    ("newest", "asked"), [("2020-06-01", "2020-06-01"), ("2019-11-01", "2019-11-01")]
)
def test_an_older_endpoint(time: Time, newest: str, asked: str) -> None:
    """The newest version that the endpoint has is taken, and kept."""
    with FakeImds(newest=newest) as imds:
        client = _client(imds.url, time)
        assert client.attested_document()["encoding"] == "pkcs7"
        assert client._api_version == asked
        assert client.instance()


def test_a_newer_endpoint(time: Time) -> None:
    """Where every version offered is newer, the oldest of them is taken."""
    refusal = b'{"error":"Bad request","newest-versions":["2031-01-01","2030-01-01"]}'
    good = _http("200 OK", b'{"compute":{}}')
    with _raw(_http("400 Bad Request", refusal), good) as url:
        client = _client(url, time)
        assert client.instance() == {"compute": {}}
    assert client._api_version == "2030-01-01"


def test_a_version_that_is_asked_for_is_not_replaced(time: Time) -> None:
    """An explicit api-version is refused or used, nothing else."""
    with FakeImds(newest="2020-06-01") as imds:
        with pytest.raises(ImdsRefusedError) as caught:
            _client(imds.url, time, api_version="2020-09-01").attested_document()
        assert caught.value.newest_versions == ("2020-06-01", "2019-11-01", "2019-08-15")
        assert _client(imds.url, time, api_version="2018-10-01").attested_document()


@pytest.mark.parametrize(
    "answer",
    [
        _http("200 OK", b"<html>log in</html>"),
        _http("200 OK", b"[]"),
        _http("200 OK", b"\xff"),
        _http("200 OK", b'{"encoding":"pkcs7"}'),
        _http("200 OK", b'{"encoding":"other","signature":"AA=="}'),
        _http("200 OK", b'{"encoding":"pkcs7","signature":"A","signature":"B"}'),
        _http("302 Found", b"", "Location: http://127.0.0.1:1/"),
        _http("200 OK", b'"' + b"x" * (1 << 20) + b'"'),
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
def test_something_else_answers(time: Time, answer: bytes) -> None:
    """A captive portal, a redirect, or no HTTP at all; never more than a megabyte is read."""
    with _raw(answer) as url, pytest.raises(ImdsMalformedError):
        _client(url, time).attested_document()
    assert time.slept == []


def test_a_list_of_versions_that_is_none(time: Time) -> None:
    """The api-versions are strings."""
    with _raw(_http("200 OK", b'{"apiVersions":[1]}')) as url, pytest.raises(ImdsMalformedError):
        _client(url, time).versions()


def test_what_the_endpoint_says_forges_no_log_line(time: Time) -> None:
    """Control characters of an answer are escaped, and its length is bounded."""
    body = b'{"error":"x\\n\\u001b[31m' + b"y" * 5000 + b'","newest-versions":[1]}'
    with _raw(_http("400 Bad Request", body)) as url, pytest.raises(ImdsRefusedError) as caught:
        _client(url, time).instance()
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 200
    assert caught.value.newest_versions == ()


@pytest.mark.parametrize("nonce", ["", "x" * 33, "a b", "a-b", "\u00e9", "\uff11"])
def test_a_nonce_that_imds_does_not_take(nonce: str) -> None:
    """Refused before anything is sent."""
    with pytest.raises(ValueError, match="nonce"):
        ImdsClient("http://127.0.0.1:1").attested_document(nonce)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "https://169.254.169.254",
        "169.254.169.254",
        "http://",
        "http://h/x",
        "http://h?x=1",
        "http://user@h",
        "http://h#x",
        "http://h:99999",
    ],
)
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    """It is http, a host and perhaps a port."""
    with pytest.raises(ValueError, match=r"endpoint|[Pp]ort"):
        ImdsClient(endpoint)


@pytest.mark.parametrize(
    ("endpoint", "written"),
    [
        ("http://169.254.169.254", "http://169.254.169.254"),
        ("http://h:80/", "http://h"),
        ("http://[::1]:81", "http://[::1]:81"),
    ],
)
def test_the_endpoint_as_it_is_written(endpoint: str, written: str) -> None:
    """The default port is left out."""
    assert ImdsClient(endpoint).endpoint == written


def test_proxies_are_bypassed(imds: FakeImds, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page: "Have your HTTP clients bypass web proxies"."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert _client(imds.url, time).attested_document()


def test_every_error_is_an_imds_error() -> None:
    """One except clause is enough."""
    for kind in (ImdsUnreachableError, ImdsTimeoutError, ImdsRefusedError, ImdsMalformedError):
        assert issubclass(kind, ImdsError)


def test_a_vm_of_the_tests_own(time: Time) -> None:
    """The fake serves what a test describes."""
    with FakeImds(VirtualMachine.from_mapping({"compute": {"sku": "own"}})) as imds:
        compute = _client(imds.url, time).instance()["compute"]
        assert isinstance(compute, dict)
        assert compute["sku"] == "own"


def test_it_does_not_import_flask() -> None:
    """The client is for production."""
    code = "import sys, attest.imds; assert not {'flask', 'attest.testing'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_endpoint_whose_name_no_resolver_takes() -> None:
    """It is refused when it is given, not when it is asked."""
    with pytest.raises(ValueError, match="label"):
        ImdsClient("http://a..example")


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_retries_end(seconds: float) -> None:
    """A time that is never over is none."""
    with pytest.raises(ValueError, match="retry_seconds"):
        ImdsClient(retry_seconds=seconds)


def test_port_zero_is_not_port_eighty() -> None:
    """The port that was given is the one that is asked."""
    assert ImdsClient("http://127.0.0.1:0").endpoint == "http://127.0.0.1:0"
