"""``attest serve``: the application under gunicorn, in the foreground.

The master process runs the migrations, loads the application once and forks workers.  SIGHUP
makes it read the settings and the trust store anew and replace the workers one generation by the
next while the listening socket stays open; settings that cannot be used change nothing.  SIGTERM
lets the workers finish what they have begun.
"""

from __future__ import annotations

import errno
import gc
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from prometheus_client.multiprocess import mark_process_dead

from service import migrate
from service.app import create_app, service_of
from service.cores import choose_core, pin
from service.database import Database
from service.errors import UnavailableError
from service.keys import KeyStore
from service.settings import Settings, SettingsError

_LOG = logging.getLogger("attest.service")
_WORKER_TIMEOUT = 60  # seconds without a sign of life
# Longer than nginx keeps idle connections (60 s), so that it never sends into a closing one.
_KEEPALIVE = 75


class Server(BaseApplication):
    """gunicorn's idea of an application.

    Attributes:
        settings: the settings in force.
    """

    def __init__(self, load: Callable[[], Settings]) -> None:
        """Prepare the first generation.

        Args:
            load: reads the settings, now and at each SIGHUP.

        Raises:
            SettingsError: the settings cannot be used.
            UnavailableError: the database does not answer.
        """
        self._load = load
        self.settings, self._application = _prepare(load)
        super().__init__()

    def load_config(self) -> None:
        """Hand gunicorn its configuration."""
        for name, value in gunicorn_config(self.settings).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:  # type: ignore[override] # a Flask is WSGI, whatever it says
        """Return the application of this generation."""
        return self._application

    def run(self) -> None:
        """Serve until a signal ends it."""
        _Master(self).run()

    def prepare_next(self) -> bool:
        """Make the next generation; tell whether there is one, or this one must stay."""
        try:
            settings, application = _prepare(self._load)
            _check_address(settings, self.settings)
        except (SettingsError, UnavailableError) as error:
            _LOG.error("reload refused, settings and trust store in force stay: %s", error)
            return False
        self.settings, self._application = settings, application
        self.callable = None
        return True


class _Master(Arbiter):
    """gunicorn's master process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        super().__init__(server)

    def reload(self) -> None:
        """Replace the workers, unless there is nothing new to replace them with.

        They may have followed the trust folders for longer than this process has, which cannot
        read what they have read once a folder is broken.
        """
        if self._server.prepare_next():
            super().reload()


def _prepare(load: Callable[[], Settings]) -> tuple[Settings, Flask]:
    settings = load()
    _check_tls(settings)
    migrate.upgrade(settings.database)
    database = Database(settings.database)
    try:
        check_exposure(settings, has_keys=KeyStore(database).any())
    finally:
        database.close()  # workers must not inherit connections
    return settings, create_app(settings)


def _check_tls(settings: Settings) -> None:
    """Refuse a certificate or key that gunicorn would stumble on at each connection.

    Raises:
        SettingsError: a file cannot be read, is damaged, or they do not belong together.
    """
    if settings.tls_certificate is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:  # without a password, which OpenSSL would ask the terminal for
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, lambda: b"")
    except OSError as error:
        raise SettingsError(f"tls_certificate and tls_key cannot be used: {error}") from None


def _check_address(settings: Settings, current: Settings) -> None:
    """Refuse an address that gunicorn could not listen on: it gives up the old one first.

    Raises:
        SettingsError: it is somebody else's, or not of this machine.
    """
    if settings.bind == current.bind:
        return
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        in_use = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        if in_use and settings.port == current.port:
            return  # by ourselves, on another address
        raise SettingsError(f"cannot listen on {settings.bind}: {error}") from None


def check_exposure(settings: Settings, *, has_keys: bool) -> None:
    """Refuse to answer strangers while no API key exists.

    Raises:
        SettingsError: the address is not loopback, or proxies bring requests from elsewhere.
    """
    if has_keys or settings.insecure_no_auth:
        return
    cure = "make a key with `attest keys new`, or allow it with --insecure-no-auth"
    if not _is_loopback(settings.host):
        raise SettingsError(f"no API key exists and {settings.host} is not loopback: {cure}")
    if settings.trusted_proxies:
        raise SettingsError(f"no API key exists and trusted_proxies is set: {cure}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def gunicorn_config(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's own settings."""
    shared_memory = Path("/dev/shm")  # noqa: S108 - gunicorn makes a nameless file there
    return {
        "bind": settings.bind,
        "workers": settings.workers,
        "threads": settings.threads,
        "worker_class": "service.worker.ReadDeadlineWorker",
        "logger_class": "service.worker.JsonLogger",
        "loglevel": settings.log_level,
        "preload_app": True,
        "timeout": _WORKER_TIMEOUT,
        "graceful_timeout": settings.graceful_timeout,
        "keepalive": _KEEPALIVE,
        "worker_tmp_dir": str(shared_memory) if shared_memory.is_dir() else None,
        "certfile": _text(settings.tls_certificate),
        "keyfile": _text(settings.tls_key),
        "control_socket_disable": True,
        "proc_name": "attest",
        "pre_fork": _choose_core if settings.pin_workers else _leave,
        "post_fork": _pin if settings.pin_workers else _leave,
        "post_worker_init": _after_fork,
        "child_exit": _forget,
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _choose_core(server: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn is untyped
    # In the master, which knows all of them: a worker that takes another's place gets its core.
    taken = [other.core for other in server.WORKERS.values() if other.core is not None]
    worker.core = choose_core(server.num_workers, taken)


def _pin(_server: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn is untyped
    if worker.core is not None:
        pin(worker.core)


def _leave(_server: object, _worker: object) -> None:
    """Leave it to the system."""


def _after_fork(worker: Any) -> None:  # noqa: ANN401 - gunicorn is untyped
    service_of(worker.app.wsgi()).after_fork()
    # What is loaded stays: the collector need not look at it again and again, nor make a copy of
    # pages that the processes share.
    gc.freeze()


def _forget(_server: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn is untyped
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
