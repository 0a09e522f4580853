"""What a worker does by the clock: small tasks in one thread, each of which may fail alone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.errors import UnavailableError

_LOG = logging.getLogger("attest.service")


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do again and again.

    Attributes:
        name: what it is, for the log.
        seconds: how long after one run has ended the next begins.
        run: does it; what it raises is logged, and the next run tries again.
    """

    name: str
    seconds: float
    run: Callable[[], None]

    def run_logged(self) -> None:
        """Run once; raise nothing."""
        try:
            self.run()
        except UnavailableError as error:
            _LOG.warning("%s failed: %s", self.name, error)
        except Exception:  # noqa: BLE001 - the thread must live on, and there is nobody to tell
            _LOG.exception("%s failed", self.name)


def start_housekeeping(
    tasks: Sequence[Task], stop: threading.Event | None = None
) -> threading.Thread:
    """Start the thread of this process that runs the tasks, one at a time.

    Args:
        tasks: what to do; each for the first time after its own ``seconds``.
        stop: ends the thread when set; without it, it ends with the process.
    """
    arguments = (tasks, stop or threading.Event())
    thread = threading.Thread(target=_keep_house, args=arguments, name="housekeeping", daemon=True)
    thread.start()
    return thread


def _keep_house(tasks: Sequence[Task], stop: threading.Event) -> None:
    due = {task: time.monotonic() + task.seconds for task in tasks}
    while due:
        task = min(due, key=due.__getitem__)
        if stop.wait(due[task] - time.monotonic()):
            return
        task.run_logged()
        due[task] = time.monotonic() + task.seconds
