"""The next generation of settings, as SIGHUP asks for it."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from service.server import Server
from service.settings import load_settings
from tests.service.live import free_port
from tests.support.pki import ec_key, make_ca


def test_an_address_that_cannot_be_listened_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It would end the service, as gunicorn gives up the old one first; so it is refused."""
    file, binds = tmp_path / "attest.db", [f"127.0.0.1:{free_port()}"]
    given: dict[str, Any] = {"database_url": f"sqlite:///{file}", "insecure_no_auth": True}
    server = Server(lambda: load_settings(bind=binds[-1], **given))
    first = server.settings
    with socket.create_server(("127.0.0.1", 0)) as other, caplog.at_level(logging.ERROR):
        for bind in (f"127.0.0.1:{other.getsockname()[1]}", f"127.{'x' * 64}.1:80"):
            binds.append(bind)
            assert not server.prepare_next()
            assert server.settings is first
            assert f"cannot listen on {bind}" in caplog.text
    with socket.create_server(("127.0.0.1", first.port)):  # what the service itself has now
        for bind in (first.bind, f"localhost:{first.port}", f"127.0.0.1:{free_port()}"):
            binds.append(bind)
            assert server.prepare_next()
            assert server.settings.bind == bind


def test_a_tls_certificate_that_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half-written by its renewal, it would fail every connection; so it is refused."""
    key, certificate = ec_key("tls"), make_ca("localhost", key=ec_key("tls")).certificate
    files = {"tls_certificate": tmp_path / "tls.crt", "tls_key": tmp_path / "tls.key"}
    whole = certificate.public_bytes(Encoding.PEM)
    files["tls_certificate"].write_bytes(whole)
    files["tls_key"].write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    given: dict[str, Any] = {"database_url": f"sqlite:///{tmp_path}/attest.db", **files}
    server = Server(lambda: load_settings(**given))
    assert server.prepare_next()
    files["tls_certificate"].write_bytes(whole[:-40])
    assert not server.prepare_next()
    assert "tls_certificate and tls_key cannot be used" in caplog.text
