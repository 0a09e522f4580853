"""A core for each worker.

Threads of one Python process take turns with its interpreter.  Where the system may run them on
any core, each turn moves the interpreter, and what it works on, to another core's caches: with
two cores that halves what a worker does.  Pinned, it loses nothing, for it could not use more than
one core anyway.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable


def usable_cores() -> list[int]:
    """Return the cores that this process may run on; none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def choose_core(workers: int, taken: Iterable[int]) -> int | None:
    """Return the core that the fewest workers have.

    Args:
        workers: how many workers there are meant to be.
        taken: the cores of those that run.

    Returns:
        ``None`` where pinning would leave cores idle: unless there is the same number of
        workers for each.
    """
    cores = usable_cores()
    if not cores or workers % len(cores):
        return None
    load = Counter(taken)
    return min(cores, key=lambda core: (load[core], core))


def pin(core: int) -> None:
    """Keep this process, and every thread that it starts, on one core."""
    os.sched_setaffinity(0, {core})
