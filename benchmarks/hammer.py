"""A load generator for loopback: keep-alive connections, one request at a time on each."""

from __future__ import annotations

import itertools
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Load:
    """What a run has measured.

    Attributes:
        seconds: how long it took.
        latencies: seconds of each request.
        statuses: how often each status came.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[bytes] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency, in seconds, that this share of the requests does not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def http_request(path: str, body: bytes) -> bytes:
    """Return a POST request with a JSON body, as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def hammer(port: int, requests: Iterable[bytes], *, connections: int = 8) -> Load:
    """Send requests over so many connections until there are none left."""
    waiting = iter(requests)
    load = Load()
    selector = selectors.DefaultSelector()
    for request in itertools.islice(waiting, connections):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(client, selectors.EVENT_READ, [time.perf_counter(), b""])
        client.sendall(request)
    started = time.perf_counter()
    while selector.get_map():
        for key, _ in selector.select(30):
            _receive(selector, key, waiting, load)
    load.seconds = time.perf_counter() - started
    selector.close()
    return load


def _receive(
    selector: selectors.DefaultSelector,
    key: selectors.SelectorKey,
    waiting: Iterable[bytes],
    load: Load,
) -> None:
    client, state = key.fileobj, key.data
    if not isinstance(client, socket.socket):
        raise TypeError("only sockets are registered")
    data = client.recv(65536)
    if not data:
        raise ConnectionError("the server has closed a connection")
    state[1] += data
    head, separator, body = state[1].partition(b"\r\n\r\n")
    if not separator or len(body) < _content_length(head):
        return
    now = time.perf_counter()
    load.latencies.append(now - state[0])
    load.statuses[head[9:12]] += 1
    request = next(iter(waiting), None)
    if request is None:
        selector.unregister(client)
        client.close()
        return
    state[:] = [now, b""]
    client.sendall(request)


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0])
