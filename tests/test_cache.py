"""Tests of attest.cache."""

from __future__ import annotations

import threading

import pytest

from attest.cache import BoundedCache


def test_oldest_entry_leaves_first() -> None:
    """The cache never holds more than its size, and forgets in the order of putting."""
    cache = BoundedCache[str, int](2)
    for key, value in [("a", 1), ("b", 2), ("c", 3)]:
        cache.put(key, value)
    assert [cache.get(key) for key in "abc"] == [None, 2, 3]
    assert len(cache) == 2


def test_putting_again_makes_an_entry_the_newest() -> None:
    """A new value replaces the old one, takes no second place, and starts anew in the order."""
    cache = BoundedCache[str, int](2)
    for key, value in [("a", 1), ("b", 2), ("a", 3), ("c", 4)]:
        cache.put(key, value)
    assert [cache.get(key) for key in "abc"] == [3, None, 4]


@pytest.mark.parametrize("size", [0, -1])
def test_size_must_be_positive(size: int) -> None:
    """A cache without room is a mistake of its maker."""
    with pytest.raises(ValueError, match="at least 1"):
        BoundedCache[str, int](size)


def test_threads_never_overfill_it() -> None:
    """Concurrent writers keep the bound and break nothing."""
    cache = BoundedCache[int, int](8)

    def write(start: int) -> None:
        for key in range(start, start + 2000):
            cache.put(key, key)
            assert cache.get(key) in {None, key}
            assert len(cache) <= 8

    failures: list[object] = []

    def guarded(start: int) -> None:
        try:
            write(start)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(n * 1000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(cache) == 8
