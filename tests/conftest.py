"""Settings of the whole suite: no network, and Hypothesis profiles."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=200, database=None
)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def _is_local(family: int, address: object) -> bool:
    if family == socket.AF_UNIX:
        return True
    host = str(address[0]) if isinstance(address, tuple) else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuse every connection that leaves the machine.

    The core opens none, and a test that needed one would fail on an offline machine, or worse,
    pass or fail with the state of somebody else's server.  Loopback and Unix sockets stay, for
    the service's tests.
    """
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self: socket.socket, address: object, /) -> None:
        _refuse_unless_local(self, address)
        connect(self, address)  # type: ignore[arg-type]

    def guarded_connect_ex(self: socket.socket, address: object, /) -> int:
        _refuse_unless_local(self, address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        yield


def _refuse_unless_local(sock: socket.socket, address: object) -> None:
    if not _is_local(sock.family, address):
        # Not an Exception: code that catches those must not hide it.
        pytest.fail(f"a test tried to connect to {address!r}")
