"""A service of its own process, under gunicorn, and clients for it.  Loopback only."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

START_SECONDS = 30


class Answer(NamedTuple):
    """A response: its status and its JSON."""

    status: int
    body: Any


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, method: str, path: str, body: Any = None, *, timeout: float = 20) -> Answer:
    """Send one request on a connection of its own.

    Raises:
        OSError: no whole answer came.
        http.client.HTTPException: likewise.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        text = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        connection.request(method, path, text, headers)
        response = connection.getresponse()
        data = response.read()
        is_json = "json" in response.headers.get("Content-Type", "")
        return Answer(response.status, json.loads(data) if is_json else data.decode())
    finally:
        connection.close()


@dataclass
class Live:
    """A running service.

    Attributes:
        port: where it listens, on loopback.
        process: the gunicorn master.
        log: the file that holds what it prints.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def post(self, path: str, body: Any = None) -> Answer:
        """Send a POST request."""
        return ask(self.port, "POST", path, body)

    def get(self, path: str) -> Answer:
        """Send a GET request."""
        return ask(self.port, "GET", path)

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def send(self, number: signal.Signals) -> None:
        """Send the master a signal."""
        self.process.send_signal(number)

    def wait_ready(self) -> None:
        """Wait until the service answers."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get("/healthz").status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the service did not start: {self.log.read_text()}")

    def stop(self) -> None:
        """Stop it, gently at first."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


@dataclass
class Starter:
    """Starts services that share settings, and stops all of them in the end.

    Attributes:
        folder: where logs go.
        environment: the settings.
    """

    folder: Path
    environment: dict[str, str]
    started: list[Live] = field(default_factory=list)

    def __call__(self, *, port: int | None = None, workers: int = 2, **settings: object) -> Live:
        """Start a service and wait until it answers."""
        port = free_port() if port is None else port
        log = self.folder / f"service{len(self.started)}.log"
        own = {f"ATTEST_{name.upper()}": str(value) for name, value in settings.items()}
        bind = f"127.0.0.1:{port}"
        command = [sys.executable, "-m", "attest", "serve", "--bind", bind]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ATTEST_")}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--workers", str(workers)],
                env={**clean, "ATTEST_FETCH_ISSUERS": "false", **self.environment, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        live = Live(port, process, log)
        self.started.append(live)
        live.wait_ready()
        return live

    def stop(self) -> None:
        """Stop all of them."""
        for live in self.started:
            live.stop()


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call all functions at the same moment, each in a thread; return what they return."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@contextlib.contextmanager
def load(call: Callable[[], Any], *, clients: int = 4, seconds: float = 30) -> Iterator[list[Any]]:
    """Call a function over and over from several threads, until the block ends or time is up.

    Yields:
        What the calls returned, or the exceptions that they raised.
    """
    results: list[Any] = []
    stop = threading.Event()
    deadline = time.monotonic() + seconds

    def work() -> None:
        while not stop.is_set() and time.monotonic() < deadline:
            try:
                results.append(call())
            except (OSError, http.client.HTTPException) as error:
                results.append(error)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


class TcpProxy:
    """Forwards connections to a server until it is cut, and again when it is mended.

    Attributes:
        port: where it listens, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener: socket.socket | None = None
        self._pairs: list[socket.socket] = []
        self.port = free_port()
        self.mend()

    def mend(self) -> None:
        """Listen, and forward."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Close everything, the listening socket included."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for end in self._pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._pairs += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
