"""Structured logs: one JSON object a line, on standard error.

A decision on evidence is one line.  No line holds an API key, a nonce's owner's secret or a whole
document: nothing here is given one.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from select import PIPE_BUF

from service.encoding import encode

STDERR = 2
COLLECT_SECONDS = 0.02
MAX_WAITING = 10_000  # lines; the request that finds more writes them itself


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; ``extra={"fields": {...}}`` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line.update(fields)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return encode(line).decode()


class DecisionLog:
    """Writes one line for each decision, past the machinery of :mod:`logging`.

    In a worker the lines of 20 ms go out together: a system call for each would make its thread
    hand the interpreter to another one, at every request.  Whole lines go out in pieces that a
    pipe takes at once (POSIX ``PIPE_BUF``), so that processes which write to the same one cannot
    mix theirs.
    """

    def __init__(self, descriptor: int = STDERR) -> None:
        """Make a log; it writes at once until :meth:`start`.

        Args:
            descriptor: the open file to write to, by default standard error.
        """
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._writing = threading.Lock()
        self._is_pending = threading.Event()
        self._is_collecting = False

    def start(self) -> None:
        """From now on let lines wait for each other, and write what is left when Python ends."""
        self._is_collecting = True
        threading.Thread(target=self._run, name="decision log", daemon=True).start()
        atexit.register(self._try_flush)

    def write(
        self, decisions: Iterable[Mapping[str, object]], common: Mapping[str, object]
    ) -> None:
        """Write decisions of one request.

        Args:
            decisions: the members of each line.
            common: members that all of them have: request id, trace, key name.

        Raises:
            OSError: the file takes no more.
        """
        head = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "info",
            "logger": "attest.decision",
            "message": "decision",
            **common,
        }
        opening = encode(head)[:-1]
        for decision in decisions:
            self._waiting.append(b"%b,%b\n" % (opening, encode(decision)[1:]))
        if not self._is_collecting or len(self._waiting) > MAX_WAITING:
            self.flush()
        elif not self._is_pending.is_set():
            self._is_pending.set()

    def flush(self) -> None:
        """Write the lines that wait.

        Raises:
            OSError: the file takes no more; what it did not take is lost.
        """
        with self._writing:
            piece = b""
            while self._waiting:
                line = self._waiting.popleft()
                if piece and len(piece) + len(line) > PIPE_BUF:
                    self._write(piece)
                    piece = b""
                piece += line
            self._write(piece)

    def _run(self) -> None:
        while True:
            self._is_pending.wait()
            time.sleep(COLLECT_SECONDS)
            self._is_pending.clear()
            self._try_flush()

    def _try_flush(self) -> None:
        with contextlib.suppress(OSError):  # the request that finds too many lines waiting says so
            self.flush()

    def _write(self, piece: bytes) -> None:
        while piece:
            piece = piece[os.write(self._descriptor, piece) :]


def configure(level: str) -> None:
    """Send the service's messages to standard error as JSON; gunicorn's go there by itself."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("attest")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
