"""Structured logs: one JSON object a line, on standard error.

A decision on evidence is one line.  No line holds an API key, a nonce's owner's secret or a whole
document: nothing here is given one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from select import PIPE_BUF

from service.encoding import encode

STDERR = 2


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

    Whole lines go out in pieces that a pipe takes at once (POSIX ``PIPE_BUF``), so that neither
    threads nor processes which write to the same one can mix theirs, and no thread waits for
    another's lock.
    """

    def __init__(self, descriptor: int = STDERR) -> None:
        """Make a log.

        Args:
            descriptor: the open file to write to, by default standard error.
        """
        self._descriptor = descriptor

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
        piece = b""
        for decision in decisions:
            line = b"%b,%b\n" % (opening, encode(decision)[1:])
            if piece and len(piece) + len(line) > PIPE_BUF:
                self._write(piece)
                piece = b""
            piece += line
        self._write(piece)

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
