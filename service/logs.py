"""Structured logs: one JSON object a line, on standard error.

A decision on evidence is one line.  No line holds an API key, a nonce's owner's secret or a whole
document: nothing here is given one.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TextIO

LOGGER = logging.getLogger("attest.service")


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
        return json.dumps(line)


class DecisionLog:
    """Writes one line for each decision.

    A batch makes a thousand of them, so that they go out together, past the machinery of
    :mod:`logging`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Make a log.

        Args:
            stream: where lines go, by default to what is standard error at the time.
        """
        self._stream = stream
        self._lock = threading.Lock()

    def write(
        self, decisions: Iterable[Mapping[str, object]], common: Mapping[str, object]
    ) -> None:
        """Write decisions of one request.

        Args:
            decisions: the members of each line.
            common: members that all of them have: request id, trace, key name.
        """
        head = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "info",
            "logger": "attest.decision",
            "message": "decision",
            **common,
        }
        opening = _encode(head)[:-1]
        text = "".join([f"{opening}, {_encode(decision)[1:]}\n" for decision in decisions])
        stream = sys.stderr if self._stream is None else self._stream
        with self._lock:
            stream.write(text)
            stream.flush()


_encode = json.JSONEncoder().encode


def configure(level: str) -> None:
    """Send the service's messages to standard error as JSON; gunicorn's go there by itself."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("attest")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())
