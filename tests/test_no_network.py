"""Tests of the suite's own guard: nothing connects beyond this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_other_machines_are_out_of_reach(method: str) -> None:
    """A connection is refused before a packet leaves."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock,
        pytest.raises(pytest.fail.Exception, match="tried to reach"),
    ):
        getattr(sock, method)(("192.0.2.1", 80))


def test_loopback_is_in_reach() -> None:
    """Tests of a server on this machine need it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_foreign_names_are_not_looked_up() -> None:
    """A question to a name server leaves the machine, too."""
    with pytest.raises(pytest.fail.Exception, match="tried to reach"):
        socket.create_connection(("azure.example", 443))
    assert socket.getaddrinfo("127.0.0.1", 80)


def test_datagrams_stay_here() -> None:
    """So do packets without a connection."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(pytest.fail.Exception, match="tried to reach"),
    ):
        sock.sendto(b"x", ("192.0.2.1", 53))


def test_unix_sockets_are_in_reach(tmp_path: Path) -> None:
    """They are files of this machine."""
    file = str(tmp_path / "s")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
    ):
        server.bind(file)
        server.listen()
        client.connect(file)
