"""Housekeeping: tasks by the clock, none of which can stop another."""

from __future__ import annotations

import logging
import threading

import pytest

from service.errors import UnavailableError
from service.housekeeping import Task, start_housekeeping


def fail() -> None:
    """Fail as nobody expects."""
    raise ZeroDivisionError


def fail_for_the_database() -> None:
    """Fail as a database that is down does."""
    raise UnavailableError("gone")


def test_each_task_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A task that fails is tried again, and the others run as if nothing had happened."""
    done, stop = threading.Semaphore(0), threading.Event()
    tasks = [
        Task("failing", 0.001, fail),
        Task("reaching", 0.001, fail_for_the_database),
        Task("working", 0.01, done.release),
        Task("rare", 3600, lambda: pytest.fail("an hour has not passed")),
    ]
    with caplog.at_level(logging.WARNING, "attest.service"):
        thread = start_housekeeping(tasks, stop)
        for _ in range(5):
            assert done.acquire(timeout=10)
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    assert thread.daemon
    messages = [(record.levelname, record.message) for record in caplog.records]
    assert messages.count(("ERROR", "failing failed")) > 1
    assert messages.count(("WARNING", "reaching failed: gone")) > 1
    assert {message.split()[0] for _, message in messages} == {"failing", "reaching"}


def test_no_tasks() -> None:
    """A worker without tasks needs no thread for long."""
    thread = start_housekeeping([])
    thread.join(10)
    assert not thread.is_alive()
