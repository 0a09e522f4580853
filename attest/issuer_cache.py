"""Remembers fetched issuers for a day: in memory, and in a folder that processes share.

An entry holds CA certificates whose signatures led to a pinned anchor when they were put, by the
name and key identifier that a certificate gives for its issuer.  Nobody else's certificate gets
in, so there are as many entries as there are real CAs.  None is trusted for being in the cache:
every one passes the gate of :func:`attest.certificates.issued_under` and path validation whenever
it is used, so that a folder which somebody wrote into can at worst cost a download.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest.cache import BoundedCache
from attest.certificates import UNREADABLE, load_certificates
from attest.extensions import authority_key_identifier

DAY = 24 * 60 * 60.0
FIVE_MINUTES = 5 * 60.0

_MAX_ENTRIES = 256
_MAX_FILE = 64 * 1024
_LOCKS = 16
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """What a certificate says of its issuer.

    Attributes:
        name: the issuer name, DER.
        key_identifier: the keyIdentifier of its authorityKeyIdentifier, if it has one.
    """

    name: bytes
    key_identifier: bytes | None

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Self:
        """Return the key for the issuer of a certificate."""
        return cls(certificate.issuer.public_bytes(), authority_key_identifier(certificate))

    def digest(self) -> str:
        """Return a name for files, in hexadecimal."""
        length = len(self.name).to_bytes(4, "big")
        identifier = b"" if self.key_identifier is None else b"\1" + self.key_identifier
        return hashlib.sha256(length + self.name + identifier).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of an issuer.

    Attributes:
        certificates: its CA certificates.
        put_at: when they were put, in seconds of the wall clock.
    """

    certificates: tuple[x509.Certificate, ...]
    put_at: float

    def is_fresh(self, now: float) -> bool:
        """Tell whether the entry need not be fetched anew.

        A day, or five minutes where no certificate of it is valid any more: its successor may
        be published at any moment.  An entry from the future is of a clock that was wrong.
        """
        alive = any(one.not_valid_after_utc.timestamp() > now for one in self.certificates)
        return 0 <= now - self.put_at < (DAY if alive else FIVE_MINUTES)


class IssuerCache:
    """A bounded cache of fetched issuers.  Safe to share among threads, its folder by processes.

    Reading or writing the folder never fails: what cannot be read is not there, and what cannot
    be written is kept in memory.
    """

    def __init__(
        self, folder: Path | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Make a cache.

        Args:
            folder: where to keep the entries of all processes; made with mode 0700 if missing.
            clock: the time, in seconds since 1970.
        """
        self._folder = folder
        self._clock = clock
        self._entries = BoundedCache[IssuerKey, Entry](_MAX_ENTRIES)
        self._mutex = threading.Lock()
        self._locks: dict[IssuerKey, _SharedLock] = {}

    def get(self, key: IssuerKey) -> Entry | None:
        """Return what is remembered of an issuer, fresh or not."""
        known = self._entries.get(key)
        if known is not None and known.is_fresh(self._clock()):
            return known
        stored = self._read(key)
        if stored is None or (known is not None and stored.put_at <= known.put_at):
            return known
        self._entries.put(key, stored)
        return stored

    def put(self, key: IssuerKey, certificates: Sequence[x509.Certificate]) -> None:
        """Remember an issuer's certificates, from now on and in place of earlier ones."""
        entry = Entry(tuple(certificates), self._clock())
        self._entries.put(key, entry)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._write(self._folder, key, entry)
                _prune(self._folder)

    @contextlib.contextmanager
    def lock(self, key: IssuerKey, timeout: float) -> Iterator[bool]:
        """Let one thread at a time, of all processes, look for an issuer.

        A process that stopped while it held the lock keeps others waiting for half of the time,
        and no longer.

        Args:
            key: whose issuer.
            timeout: how many seconds to wait.

        Yields:
            Whether the thread may go on; ``False`` when another of this process is at it.
        """
        with self._mutex:
            shared = self._locks.setdefault(key, _SharedLock())
            shared.users += 1
        end = time.monotonic() + timeout
        held = shared.lock.acquire(timeout=timeout)
        try:
            if not held:
                yield False
                return
            with self._file_lock(key, (end - time.monotonic()) / 2):
                yield True
        finally:
            if held:
                shared.lock.release()
            with self._mutex:
                shared.users -= 1
                if not shared.users:
                    del self._locks[key]

    @contextlib.contextmanager
    def _file_lock(self, key: IssuerKey, timeout: float) -> Iterator[None]:
        if self._folder is None:
            yield
            return
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                _make(self._folder)
                # A few files for all issuers: attackers name as many issuers as they like.
                number = int(key.digest()[:8], 16) % _LOCKS
                file = stack.enter_context((self._folder / f"lock-{number}").open("wb"))
                end = time.monotonic() + timeout
                while not _locked(file.fileno()) and time.monotonic() < end:
                    time.sleep(_POLL)
            yield  # closing the file releases the lock

    def _read(self, key: IssuerKey) -> Entry | None:
        if self._folder is None:
            return None
        try:
            with (self._folder / f"{key.digest()}.pem").open("rb") as file:
                put_at = os.fstat(file.fileno()).st_mtime
                data = file.read(_MAX_FILE + 1)
            if len(data) > _MAX_FILE:
                return None
            return Entry(tuple(load_certificates(data)), put_at)
        except (OSError, *UNREADABLE):
            return None

    def _write(self, folder: Path, key: IssuerKey, entry: Entry) -> None:
        _make(folder)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as file:
            try:
                file.writelines(one.public_bytes(Encoding.PEM) for one in entry.certificates)
                file.flush()
                os.utime(file.name, (entry.put_at, entry.put_at))
                Path(file.name).replace(folder / f"{key.digest()}.pem")
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise


class _SharedLock:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _prune(folder: Path) -> None:
    """Remove the oldest files where there are too many; what a crash left behind is one too."""
    files = [file for file in folder.iterdir() if file.suffix in {".pem", ".tmp"}]
    if len(files) > _MAX_ENTRIES:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[:-_MAX_ENTRIES]:
            file.unlink(missing_ok=True)
