"""A core for each worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from service.cores import choose_core, usable_cores
from tests.service.live import Starter
from tests.service.test_live import wait_for

CORES = usable_cores()


def test_each_core_gets_as_many() -> None:
    """The least used one, and the first of those."""
    taken: list[int] = []
    for _ in range(2 * len(CORES)):
        core = choose_core(2 * len(CORES), taken)
        assert core is not None
        taken.append(core)
    assert sorted(taken) == sorted(2 * CORES)
    taken.remove(CORES[-1])
    assert choose_core(2 * len(CORES), taken) == CORES[-1]


@pytest.mark.skipif(len(CORES) < 2, reason="there is one core")
def test_none_where_cores_would_be_idle() -> None:
    """One worker on a machine with two cores is better off unpinned: the other may be busy."""
    assert choose_core(len(CORES) - 1, []) is None
    assert choose_core(len(CORES) + 1, []) is None


def test_workers_are_pinned(sqlite_start: Starter) -> None:
    """Each to a core of its own, threads and all; a new one gets that of the one it replaces."""
    live = sqlite_start(workers=len(CORES))
    wait_for(lambda: len(live.workers()) == len(CORES))
    assert sorted(map(only_core, live.workers())) == CORES
    killed = live.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in live.workers() and len(live.workers()) == len(CORES))
    wait_for(lambda: sorted(map(only_core, live.workers())) == CORES)


def test_workers_are_left_alone(sqlite_start: Starter) -> None:
    """When told so."""
    live = sqlite_start(workers=len(CORES), pin_workers=False)
    assert all(os.sched_getaffinity(pid) == set(CORES) for pid in live.workers())


def only_core(pid: int) -> int:
    """Return the core of a process all of whose threads have the same one, -1 for others."""
    threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    allowed = {core for thread in threads for core in os.sched_getaffinity(thread)}
    return allowed.pop() if len(allowed) == 1 else -1
