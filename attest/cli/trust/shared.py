"""What the commands of ``attest trust`` share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
from rich.console import Console
from rich.text import Text

from attest.bundle import BundleCode, BundleError
from attest.cli import options
from attest.cli.output import printable
from attest.dsse import MAX_ENVELOPE, MAX_KEY_FILE
from attest.errors import TrustStoreError
from attest.files import read_bounded, write_whole
from attest.operator_folder import read_operator_folders
from attest.times import rfc3339
from attest.trust import TrustStore

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
_SHOWN_NAMES = 3


def print_trust_warning(to: Console, trust_path: Path | None) -> None:
    """Say that the pinned store was replaced, where it was."""
    if trust_path is not None:
        to.print(Text(options.trust_warning(trust_path), style="yellow"))


def trust_dir_option(function: _F) -> _F:
    """Add ``--trust-dir``."""
    return click.option(
        "--trust-dir",
        "folders",
        type=PATH,
        multiple=True,
        help="Take in what this folder of the operator's adds; may be repeated.",
    )(function)


def warn_days_option(what: str) -> Callable[[_F], _F]:
    """Return what adds ``--warn-days``; ``what`` says what ends within so many."""
    return click.option(
        "--warn-days",
        metavar="DAYS",
        type=click.IntRange(0, 36_500),
        default=90,
        show_default=True,
        help=what,
    )


def read_extended_store(
    folders: Sequence[Path], trust_path: Path | None = None, clouds: tuple[str, ...] = ()
) -> TrustStore:
    """Load the pinned store, or what replaces it, and what the operator's folders add to it.

    Raises:
        click.ClickException: it cannot be loaded.
    """
    try:
        return read_operator_folders(folders, options.read_store(trust_path, clouds))
    except TrustStoreError as error:
        raise click.ClickException(f"--trust-dir cannot be used: {error}") from None


def read_keys(paths: Sequence[Path], load: Callable[[bytes], _T]) -> list[_T]:
    """Read key files.

    Raises:
        click.ClickException: one cannot be read, or is no such key.
    """
    keys = []
    for path in paths:
        try:
            keys.append(load(read_bounded(path, MAX_KEY_FILE)))
        except OSError as error:
            raise click.ClickException(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise click.ClickException(f"cannot read {path}: {error}") from None
    return keys


def read_envelope(stream: BinaryIO) -> bytes:
    """Read a bundle, and no more than could be one.

    Raises:
        click.ClickException: the stream cannot be read.
    """
    try:
        return stream.read(MAX_ENVELOPE + 1)
    except OSError as error:
        raise click.ClickException(f"cannot read {stream.name}: {error.strerror}") from None


def write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        click.ClickException: it cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from None


def refuse_bundle(error: BundleError) -> int:
    """Say why a bundle is refused.

    Returns:
        The exit status: 2 where it is none, 1 where it is not to be trusted.
    """
    unreadable = error.code in {BundleCode.MALFORMED, BundleCode.TYPE_UNSUPPORTED}
    click.echo(f"attest: refused: {error.code}: {printable(error.detail)}", err=True)
    return 2 if unreadable else 1


def day(moment: datetime) -> str:
    """Return the day of a time, in UTC."""
    return rfc3339(moment)[:10]


def short_names(names: Iterable[str]) -> str:
    """Join the names of CAs; those that differ by a number alone stand once, with ``nn``."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(re.sub(r"[0-9]+$", "nn", name), []).append(name)
    shown = [stem if len(group) > 1 else group[0] for stem, group in groups.items()]
    more = len(shown) - _SHOWN_NAMES
    return ", ".join(shown[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
