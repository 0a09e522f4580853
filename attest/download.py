"""Downloads small public files from named hosts: the only door to the network besides imds.py.

Certificates say where their issuers and CRLs are, and whoever made a certificate wrote that.  So
a URL is followed only to hosts and paths that the operator listed, only to addresses that are
public, only for as long and as far as the caller allows; and what comes back is worth nothing
until a signature says so.  Neither proxies nor anything else of the environment is heeded.
"""

from __future__ import annotations

import functools
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Protocol, Self

import certifi

from attest.errors import quote
from attest.hosts import (
    CRL_HOSTS,
    ISSUER_HOSTS,
    HostRule,
    HostRules,
    RefusedUrlError,
    Target,
    is_public,
)

__all__ = [
    "CRL_HOSTS",
    "ISSUER_HOSTS",
    "Deadline",
    "DownloadError",
    "Downloader",
    "HostRule",
    "Network",
    "SystemNetwork",
]

TIMEOUT = 3.0

_MAX_REDIRECTS = 3
_MAX_ADDRESSES = 8
_MAX_LOOKUPS = 16
# Status line, headers and the overhead of chunks, beyond what the body may have.
_MAX_FRAMING = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class DownloadError(Exception):
    """There is no such file to be had, or none that may be."""


class Deadline:
    """A moment until which something must be done, by a clock that nobody sets."""

    __slots__ = ("_end",)

    def __init__(self, end: float) -> None:
        self._end = end

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the moment that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds that are left, 0.0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """Return this moment, or the one that many seconds from now if that is sooner."""
        return Deadline(min(self._end, time.monotonic() + seconds))


class Network(Protocol):
    """What the downloader needs of a network; a test gives another one."""

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[str]:
        """Return the IP addresses of a host.

        Raises:
            OSError: it has none, or they could not be found in time.
        """
        ...

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        """Connect to an IP address.

        Raises:
            OSError: there is no connection in time.
        """
        ...


class SystemNetwork:
    """The network of this machine."""

    def __init__(self) -> None:
        self._lookups = threading.BoundedSemaphore(_MAX_LOOKUPS)

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[str]:
        """See :meth:`Network.resolve`."""
        # The system's resolver knows no timeout.  One that hangs keeps a thread, and only so many.
        if not self._lookups.acquire(blocking=False):
            raise OSError("too many look-ups hang")
        answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                answers.put([str(address[0]) for *_, address in found])
            except (OSError, UnicodeError) as error:
                answers.put(OSError(f"no address: {error}"))
            finally:
                self._lookups.release()

        try:
            threading.Thread(target=look_up, name="attest-resolver", daemon=True).start()
        except RuntimeError as error:  # no thread is to be had
            self._lookups.release()
            raise OSError(str(error)) from None
        try:
            answer = answers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError("the name was not resolved in time") from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        """See :meth:`Network.connect`."""
        return socket.create_connection((address, port), timeout)


class Downloader:
    """Downloads files from hosts that are listed.  Holds no state, and is safe to share."""

    def __init__(
        self,
        hosts: Iterable[HostRule],
        *,
        network: Network | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """Prepare downloads.

        Args:
            hosts: the hosts that may be asked.
            network: how to resolve and connect, by default as the system does.  Whatever it
                resolves is checked, so that a test's network weakens no rule.
            timeout: seconds for one request, from the look-up of the name to the last octet.
        """
        self._rules = HostRules(hosts)
        self._network: Network = SystemNetwork() if network is None else network
        self._timeout = timeout

    def allows(self, url: str) -> bool:
        """Tell whether the rules let this URL be asked at all."""
        try:
            self._rules.target(url)
        except RefusedUrlError:
            return False
        return True

    def get(self, url: str, *, max_octets: int, deadline: Deadline) -> bytes:
        """Download a file.

        Args:
            url: ``http`` or ``https`` at the standard port, of a host and path that are listed.
                Redirects are followed to such URLs only, three at most.
            max_octets: how long the file may be.
            deadline: when to give up, however the octets trickle in.

        Raises:
            DownloadError: the URL is refused, or gave no such file in time.
        """
        location, target = url, None
        for _ in range(1 + _MAX_REDIRECTS):
            try:
                target = self._rules.target(location, target)
                answer = self._request(target, max_octets, deadline.within(self._timeout))
            except RefusedUrlError as error:
                raise DownloadError(str(error)) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
                raise DownloadError(f"{quote(location)}: {quote(reason)}") from error
            if isinstance(answer, bytes):
                return answer
            location = answer.location
        raise DownloadError(f"{quote(url)}: more than {_MAX_REDIRECTS} redirects")

    def _request(self, target: Target, max_octets: int, deadline: Deadline) -> bytes | _Redirect:
        with self._connect(target, deadline) as connection:
            connection.settimeout(_time_left(deadline))
            connection.sendall(_REQUEST.format(path=target.path, host=target.host).encode("ascii"))
            reader = _Connection(connection, deadline, 2 * max_octets + _MAX_FRAMING)
            with http.client.HTTPResponse(reader, method="GET") as response:  # type: ignore[arg-type]
                response.begin()
                return _read(response, max_octets)

    def _connect(self, target: Target, deadline: Deadline) -> socket.socket:
        addresses = self._network.resolve(target.host, target.port, _time_left(deadline))
        if not addresses:
            raise OSError("no address")
        for address in addresses:
            if not is_public(address):
                raise DownloadError(f"{target.host}: {quote(address)} is not a public address")
        # Connecting to what was checked, not to the name, leaves nothing to resolve a second
        # time, to another address (DNS rebinding).
        addresses = list(dict.fromkeys(addresses))[:_MAX_ADDRESSES]
        failure = OSError("no connection")
        for position, address in enumerate(addresses):
            try:
                # One that swallows packets leaves time for the others.
                timeout = _time_left(deadline) / (len(addresses) - position)
                connection = self._network.connect(address, target.port, timeout)
            except OSError as error:
                failure = error
                continue
            if target.scheme == "http":
                return connection
            return _start_tls(connection, target.host, deadline)
        raise failure


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str


_REQUEST = (
    "GET {path} HTTP/1.1\r\n"
    "Host: {host}\r\n"
    "User-Agent: imds-attest\r\n"
    "Accept: */*\r\n"
    "Accept-Encoding: identity\r\n"
    "Connection: close\r\n"
    "\r\n"
)


def _read(response: http.client.HTTPResponse, max_octets: int) -> bytes | _Redirect:
    if response.status in _REDIRECTS:
        return _Redirect(response.getheader("Location", ""))
    if response.status != HTTPStatus.OK:
        raise OSError(f"status {response.status}")
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise OSError("the answer is compressed")
    if response.length is not None and response.length > max_octets:
        raise OSError(f"more than {max_octets} octets")
    body = response.read(max_octets + 1)
    if len(body) > max_octets:
        raise OSError(f"more than {max_octets} octets")
    # read() says nothing of a body that ends before its Content-Length.
    if response.length:
        raise OSError("the answer is cut off")
    return body


def _start_tls(connection: socket.socket, host: str, deadline: Deadline) -> socket.socket:
    try:
        connection.settimeout(_time_left(deadline))
        return _tls_context().wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


@functools.lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    # It checks the name and demands a certificate; ssl.create_default_context would do so too,
    # and heed SSLKEYLOGFILE in the environment.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=certifi.where())
    return context


def _time_left(deadline: Deadline) -> float:
    seconds = deadline.remaining()
    if seconds <= 0:
        raise TimeoutError
    return seconds


class _Reader(io.BufferedReader):
    """Reads lines that hold no bare CR (RFC 9112 section 2.2).

    The standard library's parser of headers ends a line there: in one line, thousands of headers
    would fit, or messages within messages, which it takes apart by calling itself.
    """

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if b"\r" in line.removesuffix(b"\r\n"):
            raise OSError("there is a bare CR in the answer")
        return line


class _Connection(io.RawIOBase):
    """Reads a socket until a deadline and a number of octets; http.client takes it for one.

    A socket's own timeout starts anew with every octet that it gets.
    """

    def __init__(self, connection: socket.socket, deadline: Deadline, max_octets: int) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = max_octets

    def makefile(self, _mode: str) -> IO[bytes]:
        return _Reader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._left <= 0:
            raise OSError("the answer is too long")
        self._connection.settimeout(_time_left(self._deadline))
        count = self._connection.recv_into(buffer[: self._left])
        self._left -= count
        return count
