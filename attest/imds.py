"""The client for the metadata endpoint, for use inside a VM.

Sources: the IMDS page (errors, proxies, retries within 70 s) and the REST specification.  Only the
standard library speaks HTTP here: proxies and redirects do not exist for ``http.client``, and a
response is read up to a limit.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote as url_quote
from urllib.parse import urlencode, urlsplit

from attest import strictjson
from attest.errors import quote

ENDPOINT = "http://169.254.169.254"
# The oldest api-version whose attested document has every field.
API_VERSION = "2020-09-01"
MAX_NONCE = 32
RETRY_SECONDS = 70.0

_MAX_BODY = 1 << 20
_MAX_BRACKETS = 4096
_FIRST_DELAY = 1.0
_MAX_DELAY = 16.0
_FIRST_SERVER_ERROR = 500
# 404 is not among them: here it says that the element does not exist.
_TRANSIENT = frozenset({HTTPStatus.GONE, HTTPStatus.TOO_MANY_REQUESTS})


class ImdsError(Exception):
    """The metadata endpoint did not answer with what was asked for.

    Attributes:
        detail: one line for a person.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ImdsUnreachableError(ImdsError):
    """Nothing listens at the endpoint: this machine is not an Azure VM, or its routes are wrong."""


class ImdsTimeoutError(ImdsError):
    """The endpoint was there, and had no answer within the time allowed for retries."""


class ImdsRefusedError(ImdsError):
    """The endpoint refused the request.

    Attributes:
        status: the HTTP status code.
        newest_versions: the api-versions that it offers, where it refused ours.
    """

    def __init__(self, status: int, detail: str, newest_versions: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.newest_versions = newest_versions


class ImdsMalformedError(ImdsError):
    """What answered is not the metadata endpoint: a captive portal, or another cloud's."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    retry_after: float | None


class ImdsClient:
    """Reads the metadata of the VM that it runs in.

    Statuses 410, 429 and 5xx, and answers that do not come, are tried again with growing pauses
    (1, 2, 4, ... 16 s, or what ``Retry-After`` says) until 70 seconds have passed.

    Args:
        endpoint: ``http://`` and the address; another one is an emulator's.
        api_version: the api-version to ask for.  ``None`` asks for 2020-09-01 and, where that
            is refused, for the closest of those that the endpoint names.
        timeout: seconds to wait for a connection and for a whole answer, each.
        retry_seconds: seconds after the first attempt in which a further one may start.
        sleep: pauses for so many seconds.
        monotonic: returns a time in seconds that never goes back.

    Raises:
        ValueError: the endpoint is not an ``http://`` address without a path, or ``retry_seconds``
            is negative or not a number.
    """

    def __init__(
        self,
        endpoint: str = ENDPOINT,
        *,
        api_version: str | None = None,
        timeout: float = 5.0,
        retry_seconds: float = RETRY_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme != "http" or not parts.hostname or parts.username is not None:
            raise ValueError("the endpoint is not of the form http://HOST[:PORT]")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("the endpoint has a path or a query; it is of the form http://HOST")
        parts.hostname.encode("idna")  # what connecting does, and fails in, too
        if not retry_seconds >= 0:
            raise ValueError("retry_seconds is not a number from 0")
        self._host = parts.hostname
        self._port = http.client.HTTP_PORT if parts.port is None else parts.port
        self._pinned = api_version is not None
        self._api_version = api_version or API_VERSION
        self._timeout = timeout
        self._retry_seconds = retry_seconds
        self._sleep = sleep
        self._monotonic = monotonic

    @property
    def endpoint(self) -> str:
        """Where the client asks."""
        return f"http://{self._authority()}"

    def attested_document(self, nonce: str | None = None) -> dict[str, str]:
        """Ask for the signed document.

        Args:
            nonce: 1 to 32 letters and digits that the document shall hold.  IMDS may give an
                earlier document with another nonce; verifying it shows that.

        Returns:
            The evidence, ``{"encoding": "pkcs7", "signature": "<base64>"}``, unverified.

        Raises:
            ValueError: the nonce is not 1 to 32 ASCII letters and digits.
            ImdsError: see the subclasses.
        """
        query = {}
        if nonce is not None:
            if not (0 < len(nonce) <= MAX_NONCE and nonce.isascii() and nonce.isalnum()):
                msg = f"the nonce is not 1 to {MAX_NONCE} letters and digits"
                raise ValueError(msg)
            query["nonce"] = nonce
        answer = self._object("attested/document", query)
        encoding, signature = answer.get("encoding"), answer.get("signature")
        if encoding != "pkcs7" or not isinstance(signature, str):
            raise ImdsMalformedError("the answer is not an attested document")
        return {"encoding": "pkcs7", "signature": signature}

    def instance(self) -> dict[str, object]:
        """Ask for the instance metadata: compute and network.  Nobody has signed it.

        Returns:
            The JSON object; every value in it is a string.

        Raises:
            ImdsError: see the subclasses.
        """
        return self._object("instance", {})

    def versions(self) -> tuple[str, ...]:
        """Ask for the api-versions that the endpoint supports, oldest first.

        Raises:
            ImdsError: see the subclasses.
        """
        listed = _parse(self._get("/metadata/versions")).get("apiVersions")
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise ImdsMalformedError("the answer is not a list of api-versions")
        return tuple(listed)

    def _object(self, element: str, query: Mapping[str, str]) -> dict[str, object]:
        def ask(version: str) -> dict[str, object]:
            text = urlencode({"api-version": version, **query}, quote_via=url_quote)
            return _parse(self._get(f"/metadata/{element}?{text}"))

        try:
            return ask(self._api_version)
        except ImdsRefusedError as refusal:
            offered = refusal.newest_versions
            if self._pinned or not offered or self._api_version in offered:
                raise
        older = [version for version in offered if version <= self._api_version]
        self._api_version = max(older) if older else min(offered)
        return ask(self._api_version)

    def _get(self, target: str) -> bytes:
        """Ask until there is an answer that is not a transient error."""
        give_up = self._monotonic() + self._retry_seconds
        delay = _FIRST_DELAY
        while True:
            answer = self._attempt(target)
            if answer is not None and not _is_transient(answer.status):
                return _body(answer)
            asked = answer.retry_after if answer is not None else None
            pause = delay if asked is None else max(asked, _FIRST_DELAY)
            if self._monotonic() + pause > give_up:
                what = "no answer" if answer is None else f"status {answer.status}"
                raise ImdsTimeoutError(
                    f"{self.endpoint}: {what} after retries for {self._retry_seconds:g} s"
                )
            self._sleep(pause)
            delay = min(delay * 2, _MAX_DELAY)

    def _attempt(self, target: str) -> _Answer | None:
        """Ask once; ``None`` where the connection gave no whole answer."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise ImdsUnreachableError(
                f"nothing answers at {self.endpoint} ({_reason(error)}): is this an Azure VM?"
            ) from error
        # A socket's own timeout starts anew with every octet that it gets.
        late = threading.Event()
        watch = threading.Timer(self._timeout, _hang_up, (connection.sock, late))
        watch.daemon = True
        watch.start()
        try:
            connection.request("GET", target, headers={"Metadata": "true"})
            response = connection.getresponse()
            body = response.read(_MAX_BODY + 1)
            # read() says nothing of a body that ends before its Content-Length.
            left = response.length
        except (http.client.IncompleteRead, OSError):
            return None
        except http.client.HTTPException as error:
            if late.is_set():
                return None
            raise ImdsMalformedError(f"{self.endpoint} does not speak HTTP") from error
        finally:
            watch.cancel()
            connection.close()
        if late.is_set():
            return None
        if len(body) > _MAX_BODY:
            msg = f"{self.endpoint} answered with more than {_MAX_BODY} octets"
            raise ImdsMalformedError(msg)
        if left:
            return None
        return _Answer(response.status, body, _seconds(response.headers.get("Retry-After")))

    def _authority(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return host if self._port == http.client.HTTP_PORT else f"{host}:{self._port}"


def _hang_up(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)


def _is_transient(status: int) -> bool:
    return status in _TRANSIENT or status >= _FIRST_SERVER_ERROR


def _seconds(retry_after: str | None) -> float | None:
    """Read Retry-After in seconds (RFC 9110 section 10.2.3); a date is not worth a clock."""
    if retry_after is None or not retry_after.isascii() or not retry_after.isdigit():
        return None
    return float(retry_after[:9])


def _body(answer: _Answer) -> bytes:
    if answer.status == HTTPStatus.OK:
        return answer.body
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        msg = f"the answer is a redirect (status {answer.status}), which IMDS never sends"
        raise ImdsMalformedError(msg)
    try:
        refusal = _parse(answer.body)
    except ImdsMalformedError:
        refusal = {}
    parts = [refusal.get("error"), refusal.get("error_description")]
    said = ": ".join(part for part in parts if isinstance(part, str))
    newest = refusal.get("newest-versions")
    versions = tuple(newest) if isinstance(newest, list) else ()
    if not all(isinstance(version, str) for version in versions):
        versions = ()
    detail = f"status {answer.status}: {quote(said)}" if said else f"status {answer.status}"
    raise ImdsRefusedError(answer.status, detail, versions)


def _parse(body: bytes) -> dict[str, object]:
    try:
        text = strictjson.decode_utf8(body)
        return strictjson.loads_object(text, max_brackets=_MAX_BRACKETS)
    except (ValueError, RecursionError) as error:
        raise ImdsMalformedError("the answer is not a JSON object") from error


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, socket.gaierror):
        return "no such host"
    return error.strerror or type(error).__name__
