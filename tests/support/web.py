"""The web on this machine: hosts of any name and public address, all of them a loopback server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from attest.download import Network

PUBLIC_ADDRESS = "203.0.112.7"  # of no documentation range, so that it counts as public

# What a page is: octets for status 200, or what writes the whole answer to the connection.
Page = bytes | Callable[[socket.socket], None]


class Web(Network):
    """A web of pages by URL, and the network that leads to it.

    Attributes:
        pages: what there is, by URL without its scheme.
        requests: which URLs, without their schemes, were asked for, in order.
        addresses: where a host is, if not at :data:`PUBLIC_ADDRESS`; one list an answer, the
            last of them for good.
        dead: hosts and addresses that nobody answers at.
        connections: the addresses and ports that were connected to.
        timeouts: what each of those connections was given, in seconds.
        lookups: the names that were resolved.
    """

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._lock = threading.Lock()
        self.pages: dict[str, Page] = {}
        self.requests: list[str] = []
        self.addresses: dict[str, list[list[str]]] = {}
        self.dead: set[str] = set()
        self.connections: list[tuple[str, int]] = []
        self.timeouts: list[float] = []
        self.lookups: list[str] = []

    def resolve(self, host: str, port: int, timeout: float) -> Sequence[str]:
        """Return where the host is said to be."""
        assert timeout > 0
        assert port in {80, 443}
        with self._lock:
            self.lookups.append(host)
            answers = self.addresses.get(host, [[PUBLIC_ADDRESS]])
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        """Connect to the loopback server, whatever the address."""
        assert timeout > 0
        with self._lock:
            self.connections.append((address, port))
            self.timeouts.append(timeout)
        if address in self.dead:
            raise ConnectionRefusedError("nobody is there")
        return socket.create_connection(self._server.getsockname(), timeout)

    def serve(self) -> None:
        """Answer until the server's socket is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            lines = _read_head(connection).split("\r\n")
            path = lines[0].split(" ")[1]
            host = next(line[6:] for line in lines if line.startswith("Host: "))
            with self._lock:
                self.requests.append(host + path)
                page = self.pages.get(host + path)
            if host in self.dead:
                return
            if page is None:
                connection.sendall(response(b"no such page", "404 Not Found"))
            elif isinstance(page, bytes):
                connection.sendall(response(page))
            else:
                page(connection)


WebT = TypeVar("WebT", bound=Web)


def _read_head(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(4096)
        if not received:
            raise ConnectionResetError
        data += received
    return data.decode("ascii")


def response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an HTTP response of known length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def sends(data: bytes) -> Page:
    """Return a page that sends these octets as they are."""
    return lambda connection: connection.sendall(data)


def redirects(location: str, status: str = "302 Found") -> Page:
    """Return a page that redirects."""
    return sends(response(b"", status, f"Location: {location}"))


def drips(data: bytes, pause: float = 0.05) -> Page:
    """Return a page that sends one octet after the other, for ten seconds at most."""

    def send(connection: socket.socket) -> None:
        end = time.monotonic() + 10
        for octet in data:
            if time.monotonic() > end:
                return
            connection.sendall(bytes([octet]))
            time.sleep(pause)

    return send


@contextlib.contextmanager
def loopback_web(kind: type[WebT]) -> Iterator[WebT]:
    """Run a web until the end of the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        web = kind(server)
        thread = threading.Thread(target=web.serve, daemon=True)
        thread.start()
        try:
            yield web
        finally:
            # close() alone does not wake accept().
            server.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=10)
