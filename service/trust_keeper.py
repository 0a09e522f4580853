"""Keeps the trust store in step with the operator's folders, while requests go on.

A request takes the current generation once and finishes with it, whatever happens meanwhile.  A
new one takes its place by one assignment, with everything built on it: the caches of the old
generation die with it.  Folders that cannot be used change nothing but the log, a metric and
what ``/readyz`` says.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from attest import TrustStore, TrustStoreError
from attest.operator_folder import read_files
from service import trust_metrics
from service.settings import SettingsError

_LOG = logging.getLogger("attest.service")
_Built = TypeVar("_Built")


@dataclass(frozen=True, slots=True)
class Generation(Generic[_Built]):
    """A trust store and what is built on it.

    Attributes:
        store: the store.
        built: made from the store, for as long as it is in use.
    """

    store: TrustStore
    built: _Built


class TrustKeeper(Generic[_Built]):
    """Holds the current generation of one process."""

    def __init__(
        self, base: TrustStore, folders: Sequence[Path], build: Callable[[TrustStore], _Built]
    ) -> None:
        """Read the folders for the first time.

        Args:
            base: the store that the folders extend.
            folders: the operator's folders.
            build: makes what is used together with a store.

        Raises:
            SettingsError: nothing can be built on the store.
            TrustStoreError: the folders cannot be used.
        """
        self._base = base
        self._folders = tuple(folders)
        self._build = build
        self._lock = threading.Lock()
        files = read_files(self._folders)
        self._generation = self._make(files.extend(base))
        self._state = files.state
        self._problem: str | None = None
        # In the master, too, whose files are read with those of its workers.
        trust_metrics.RELOAD_OK.set(1)

    @property
    def generation(self) -> Generation[_Built]:
        """The current generation; take it once for what belongs together."""
        return self._generation

    @property
    def problem(self) -> str | None:
        """Why the folders, as they are now, cannot be used; ``None`` where they are in use."""
        return self._problem

    def check(self) -> None:
        """Read the folders, and put what they hold to use if it has changed; raise nothing."""
        with self._lock:
            try:
                files = read_files(self._folders)
                if files.state != self._state:
                    self._use(files.extend(self._base))
                    self._state = files.state
            except (TrustStoreError, SettingsError) as error:
                self._refuse(str(error))
                return
            trust_metrics.RELOAD_OK.set(1)
            if self._problem is not None:
                self._problem = None
                _LOG.info("the trust folders can be used again: %s", self._shown())

    def _use(self, store: TrustStore) -> None:
        if store.generation == self._generation.store.generation:
            return  # other files of the same content: nothing that is known has become wrong
        self._generation = self._make(store)
        trust_metrics.RELOADS.inc()
        _LOG.info("the trust store is reloaded: %s", self._shown())

    def _refuse(self, problem: str) -> None:
        trust_metrics.RELOAD_OK.set(0)
        if problem != self._problem:  # told once, not at each look
            self._problem = problem
            trust_metrics.RELOAD_FAILURES.inc()
            _LOG.error("trust folders refused, %s stays: %s", self._shown(), problem)

    def _make(self, store: TrustStore) -> Generation[_Built]:
        return Generation(store, self._build(store))

    def _shown(self) -> str:
        return f"generation {self._generation.store.generation[:16]}"
