"""What gunicorn runs: a threaded worker that slow clients cannot hold, and logs in JSON."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from service.logs import JsonFormatter


class JsonLogger(Logger):
    """gunicorn's logger, one JSON object a line."""

    def setup(self, cfg: Config) -> None:
        """Set the logger up anew, as gunicorn does at start and at each reload."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonFormatter())
        ours = logging.getLogger("attest")
        ours.handlers[:] = self.error_log.handlers
        ours.setLevel(self.loglevel)
        ours.propagate = False


class ReadDeadlineWorker(ThreadWorker):
    """A worker whose clients have so many seconds to send a request, in all.

    gunicorn waits for each octet as long as it takes, and a thread with it.  Here the main loop,
    which comes by every second, ends the reading side of connections that take longer; the
    thread then finds the end of the input.  The writing side stays open for the answer.
    """

    core: int | None = None  # the one that it is pinned to

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*args, **kwargs)
        server: Any = self.app  # service.server.Server, which imports this module's names
        self._read_timeout = float(server.settings.read_timeout)
        self._reading: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 - gunicorn is untyped
        """Handle one request, in a thread of the pool."""
        self._reading[conn] = time.monotonic() + self._read_timeout
        try:
            return super().handle(conn)
        finally:
            self._reading.pop(conn, None)

    def murder_pending(self) -> None:
        """End what has taken too long; gunicorn calls this at least once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in list(self._reading.items()):
            if deadline < now and self._reading.pop(conn, None) is not None:
                with contextlib.suppress(OSError):
                    # Not the TLS layer's own method, which the thread is inside of.
                    socket.socket.shutdown(conn.sock, socket.SHUT_RD)
