"""The CRLs that the service consults: the operator's files, and fetched ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from attest import CrlSet, CrlSource, Revocation
from attest.crls import FetchingCrlSource
from attest.path import CertificatePath
from service.housekeeping import Task
from service.settings import Settings, SettingsError
from service.trust import load_crls

RELOAD_SECONDS = 30.0
REFRESH_SECONDS = 60.0
_LOG = logging.getLogger("attest.service")
_Stamp = frozenset[tuple[str, int, int, int]]


class CrlFiles:
    """The operator's CRLs: a file, or a folder of them."""

    def __init__(self, path: Path) -> None:
        """Read them.

        Raises:
            SettingsError: a file cannot be read, or there is none.
        """
        self._path = path
        self._stamp = _stamp(path)
        self._crls = CrlSet(load_crls(path))

    def crls_for(self, path: CertificatePath, at: datetime) -> CrlSet:  # noqa: ARG002 - protocol
        """Return what was read last."""
        return self._crls

    def reload(self) -> None:
        """Read them anew where something changed.

        What cannot be read replaces nothing: the CRLs read before stay in force until they end,
        each attempt says so, and the next one tries again.
        """
        stamp = _stamp(self._path)  # first: what changes while it is read is read again
        if stamp == self._stamp:
            return
        try:
            crls = CrlSet(load_crls(self._path))
        except SettingsError as error:
            _LOG.error("%s; those read before stay in force", error)
            return
        self._stamp, self._crls = stamp, crls
        _LOG.info("read %d CRLs anew from %s", len(crls), self._path)


@dataclass(frozen=True, slots=True)
class ServiceCrls:
    """What the verifier asks, and what keeps it up to date.

    Attributes:
        source: the files, or what fetches where these do not suffice.
        files: the operator's files, if any.
        fetched: the fetching source, if it is on.
    """

    source: CrlSource
    files: CrlFiles | None = None
    fetched: FetchingCrlSource | None = None

    def crls_for(self, path: CertificatePath, at: datetime) -> CrlSet:
        """Return the CRLs to consult for a path."""
        return self.source.crls_for(path, at)

    def local_tasks(self) -> tuple[Task, ...]:
        """Return what each worker does by the clock with the files."""
        files = self.files
        return () if files is None else (Task("reading CRLs", RELOAD_SECONDS, files.reload),)

    def network_tasks(self, clock: Callable[[], datetime]) -> tuple[Task, ...]:
        """Return what each worker does by the clock with what is fetched."""
        fetched = self.fetched
        if fetched is None:
            return ()
        return (Task("fetching CRLs", REFRESH_SECONDS, lambda: fetched.refresh(clock())),)


def crl_source(settings: Settings) -> ServiceCrls | None:
    """Return what to consult by these settings, ``None`` where revocation is off.

    Raises:
        SettingsError: a file of CRLs cannot be read, or there is none.
    """
    if settings.effective_revocation is Revocation.OFF:
        return None
    files = None if settings.crls is None else CrlFiles(settings.crls)
    fetched = FetchingCrlSource(files=files or CrlSet()) if settings.fetch_crls else None
    source = fetched or files
    return None if source is None else ServiceCrls(source, files, fetched)


def _stamp(path: Path) -> _Stamp:
    """Return what changes whenever a file of this folder, or this file, does."""
    try:
        files = [path, *path.iterdir()] if path.is_dir() else [path]
        states = [(file.name, file.stat()) for file in files]
    except OSError:
        return frozenset()  # something is amiss: reading tells what
    return frozenset((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in states)
