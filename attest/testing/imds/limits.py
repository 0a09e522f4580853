"""How many requests a second the endpoint takes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

_SECOND = timedelta(seconds=1)


class RateLimit:
    """At most so many requests in any second (a sliding window); safe to share among threads.

    Args:
        per_second: how many; ``None`` for no limit.
        clock: returns the current time, aware.
    """

    def __init__(self, per_second: int | None, clock: Callable[[], datetime]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._admitted: deque[datetime] = deque()

    def admit(self) -> bool:
        """Count one request, and tell whether it is within the limit."""
        if self._per_second is None:
            return True
        with self._lock:
            now = self._clock()
            while self._admitted and now - self._admitted[0] >= _SECOND:
                self._admitted.popleft()
            if len(self._admitted) >= self._per_second:
                return False
            self._admitted.append(now)
            return True
