"""The counters of the rate limits."""

from __future__ import annotations

import threading

from limits.storage import storage_from_string

from service.rates import LOCKED_MEMORY, LockedMemoryStorage


def test_threads_count_together() -> None:
    """Many threads at once: each is counted, and none dies of another's timer."""
    storage = storage_from_string(LOCKED_MEMORY)
    assert isinstance(storage, LockedMemoryStorage)
    failures: list[BaseException] = []

    def count() -> None:
        try:
            for _ in range(500):
                storage.incr("somebody", 60)
        except RuntimeError as error:
            failures.append(error)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert storage.get("somebody") == 4000
