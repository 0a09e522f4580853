"""The counters of the rate limits, where they live in a worker's memory."""

from __future__ import annotations

import threading

from limits.storage import MemoryStorage

LOCKED_MEMORY = "locked-memory://"


class LockedMemoryStorage(MemoryStorage):
    """Counts one request at a time.

    The storage of ``limits`` starts a timer for its sweeps without a lock: of two threads that
    find it idle, the second one's request dies of "threads can only be started once".
    """

    STORAGE_SCHEME = ["locked-memory"]  # noqa: RUF012 - the registry of limits wants a list

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **_: str) -> None:  # noqa: FBT001, FBT002 - its signature
        self._counting = threading.Lock()
        super().__init__(uri, wrap_exceptions=wrap_exceptions)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count a request; return how many there are in the window."""
        with self._counting:
            return super().incr(key, expiry, amount)
