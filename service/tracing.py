"""What ties a request to its log lines: a request id, and W3C Trace Context (level 1)."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Trace:
    """The identity of a request.

    Attributes:
        request_id: the caller's X-Request-ID where it is fit, or a fresh one.
        trace_id: the caller's trace, or a fresh one.
        span_id: this request's own span.
        parent_id: the caller's span, ``None`` where there is none.
        flags: the caller's trace flags.
    """

    request_id: str
    trace_id: str
    span_id: str
    parent_id: str | None
    flags: str

    @property
    def traceparent(self) -> str:
        """The header that hands this span on."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def read_trace(request_id: str | None, traceparent: str | None) -> Trace:
    """Read the two headers; what is not well-formed is replaced."""
    # Identifiers, not secrets: the generator of this process does (it is seeded anew after a fork),
    # while the system's would cost each request a system call, at which its thread has to let
    # others run.
    fresh = f"{random.getrandbits(320):080x}"
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = fresh[48:]
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or not _is_valid(match):
        return Trace(request_id, fresh[:32], fresh[32:48], None, "00")
    return Trace(request_id, match["trace"], fresh[32:48], match["parent"], match["flags"])


def _is_valid(match: re.Match[str]) -> bool:
    """Tell whether a header of the right shape means something (Trace Context section 3.2)."""
    if match["version"] == "ff" or (match["version"] == "00" and match["more"]):
        return False
    return match["trace"] != "0" * 32 and match["parent"] != "0" * 16
