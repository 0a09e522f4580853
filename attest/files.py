"""Files read within bounds, and written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a regular file.

    Links are followed, as Kubernetes' volumes are made of them.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, or longer than ``limit`` octets.
    """
    # Not blocking, so that a pipe is found out instead of waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"more than {limit} octets")
    return data


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that everybody may read, so that a crash leaves the old one or the new one.

    Raises:
        OSError: it cannot be written, or what has the name, or is linked to, is no regular file.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):  # such as /dev/null, which root could replace
            raise OSError(errno.EEXIST, "not a regular file", str(path))
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    # The new name is only as durable as the folder that holds it.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
