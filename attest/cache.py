"""A small bounded mapping for facts that may be forgotten at any time."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Holds at most ``size`` entries; the one that was put first leaves first."""

    def __init__(self, size: int) -> None:
        """Make an empty cache.

        Raises:
            ValueError: the size is less than 1.
        """
        if size < 1:
            msg = f"the cache size must be at least 1, not {size}"
            raise ValueError(msg)
        self._size = size
        self._entries: dict[K, V] = {}
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value, or ``None``."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Store a value; forget the oldest one where there is no room."""
        with self._lock:
            self._entries.pop(key, None)
            while len(self._entries) >= self._size:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = value

    def __len__(self) -> int:
        return len(self._entries)
