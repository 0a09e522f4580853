"""Settings of the whole suite: no network, and Hypothesis profiles."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=200, database=None
)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


_UNGUARDED = frozenset({None, "", "localhost"})
_DESTINATION = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
}


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse every connection that leaves the machine, and every look-up of a foreign name.

    The core opens none, and a test that needed one would fail on an offline machine, or worse,
    pass or fail with the state of somebody else's server.  Loopback and Unix sockets stay, for
    the service's tests.  An audit hook, since patches of the socket class can be undone.
    """
    if event not in _DESTINATION:
        return
    address = arguments[_DESTINATION[event]]
    if isinstance(arguments[0], socket.socket) and arguments[0].family == socket.AF_UNIX:
        return
    host = address[0] if isinstance(address, tuple) else address
    if host in _UNGUARDED:
        return
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(
            os.fsdecode(host) if isinstance(host, bytes) else str(host)
        ).is_loopback:
            return
    # Not an Exception: code that catches those must not hide it.
    pytest.fail(f"a test tried to reach {address!r}")


sys.addaudithook(_guard)


@pytest.fixture(scope="session", autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the suite out of the user's own state: the service's default folder is below this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
