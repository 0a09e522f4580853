"""Bounds what others can make this process do: so much at a time, and so much in a minute."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator


class Throttle:
    """Grants permits.  Safe to share among threads."""

    def __init__(self, *, concurrent: int, burst: int, regain: float) -> None:
        """Make one.

        Args:
            concurrent: how many permits may be held at a time.
            burst: how many may be granted one after the other (a token bucket).
            regain: how many of these come back in a second.
        """
        self._slots = threading.BoundedSemaphore(concurrent)
        self._burst, self._regain = float(burst), regain
        self._left, self._since = float(burst), time.monotonic()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def permit(self, patience: float) -> Iterator[bool]:
        """Ask for a permit, to be held until the end of the block.

        Args:
            patience: how many seconds to wait until another one is given back; there is no
                waiting where the rate is what stands against it.

        Yields:
            Whether it is granted.
        """
        if not self._take() or not self._slots.acquire(timeout=patience):
            yield False
            return
        try:
            yield True
        finally:
            self._slots.release()

    def _take(self) -> bool:
        with self._lock:
            now = time.monotonic()
            regained = (now - self._since) * self._regain
            self._left, self._since = min(self._burst, self._left + regained), now
            if self._left < 1:
                return False
            self._left -= 1
            return True
