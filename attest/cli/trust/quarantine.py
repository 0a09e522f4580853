"""The service's quarantine, opened for one command; and the folder that approval writes to."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.text import Text

from attest.approval import ProvenPath
from attest.certificates import common_name
from attest.cli.lazy import import_service
from attest.cli.output import console, print_path, printable, styled
from attest.errors import TrustStoreError
from attest.operator_folder import add_intermediate, read_operator_folders
from attest.trust import TrustStore

_F = TypeVar("_F", bound=Callable[..., Any])
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")


def config_option(function: _F) -> _F:
    """Add ``--config``."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="The service's settings file (TOML).  [default: the one that ATTEST_CONFIG names]",
    )(function)


def folder_option(function: _F) -> _F:
    """Add ``--dir``."""
    return click.option(
        "--dir",
        "folder",
        type=click.Path(path_type=Path),
        help="The operator's folder to write to.  [default: the first of trust_dirs]",
    )(function)


@contextlib.contextmanager
def opened_quarantine(settings: Any) -> Iterator[Any]:  # noqa: ANN401 - of the service
    """Lend the ``service.quarantine.Quarantine`` of the service with these settings.

    Raises:
        click.ClickException: its database cannot be used.
    """
    database = import_service("database").Database(settings.database)
    clock = import_service("state").system_clock
    try:
        import_service("migrate").upgrade(settings.database)
        yield import_service("quarantine").Quarantine(database, clock=clock)
    except import_service("settings").SettingsError as error:
        raise click.ClickException(str(error)) from None
    except import_service("errors").UnavailableError as error:
        raise click.ClickException(f"the database does not answer: {error}") from None
    finally:
        database.close()


def find(quarantine: Any, fingerprint: str) -> Any:  # noqa: ANN401 - of the service
    """Return the pending record whose signer's fingerprint begins like this.

    Raises:
        click.ClickException: there is none, or more than one.
    """
    prefix = fingerprint.replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(prefix):
        msg = "FINGERPRINT is 8 to 64 hexadecimal digits of the signer's SHA-256"
        raise click.ClickException(msg)
    found = [item for item in quarantine.pending() if item.signer_sha256.startswith(prefix)]
    if len(found) != 1:
        how_many = "no pending signer's" if not found else f"{len(found)} pending signers'"
        raise click.ClickException(f"{how_many} SHA-256 begins with {prefix}")
    return found[0]


def service_store(settings: Any, folder: Path) -> TrustStore:  # noqa: ANN401 - of the service
    """Load what the service trusts, and what the folder adds.

    Raises:
        click.ClickException: it cannot be loaded.
    """
    try:
        return with_folder(import_service("trust").load_trust(settings), folder)
    except import_service("settings").SettingsError as error:
        raise click.ClickException(str(error)) from None


def with_folder(store: TrustStore, folder: Path) -> TrustStore:
    """Add what the folder holds already.

    Raises:
        click.ClickException: a file of it cannot be used.
    """
    try:
        return read_operator_folders([folder], store)
    except TrustStoreError as error:
        raise click.ClickException(str(error)) from None


def chosen_folder(folder: Path | None, settings: Any) -> Path:  # noqa: ANN401 - of the service
    """Return the folder to write to.

    Raises:
        click.ClickException: there is none.
    """
    if folder is not None:
        return folder
    if not settings.trust_dirs:
        raise click.ClickException("there is no folder to write to: set trust_dirs, or give --dir")
    first: Path = settings.trust_dirs[0]
    return first


def is_read(folder: Path, settings: Any) -> bool:  # noqa: ANN401 - of the service
    """Tell whether the service reads a folder; say so where it does not."""
    if folder.resolve() in {read.resolve() for read in settings.trust_dirs}:
        return True
    note = f"{printable(folder)} is none of trust_dirs: the service does not read it"
    click.echo(f"attest: note: {note}", err=True)
    return False


def nothing_added(error: Exception, advice: str = "") -> int:
    """Say why nothing is added, and what else helps; return the exit status."""
    click.echo(f"attest: nothing is added: {printable(error)}{advice}", err=True)
    return 1


def show(proven: ProvenPath) -> None:
    """Print a proven path."""
    to = console()
    print_path(to, proven.path, proven.proven_at)
    to.print()


def write(found: Iterable[ProvenPath], folder: Path) -> bool:
    """Write what is missing, the certificate next to the anchor first, and tell the files.

    Returns:
        Whether anything was missing.

    Raises:
        click.ClickException: a file cannot be written.
    """
    to = console()
    missing = dict.fromkeys(certificate for proven in found for certificate in proven.missing)
    for certificate in missing:
        try:
            file = add_intermediate(folder, certificate)
        except TrustStoreError as error:
            raise click.ClickException(str(error)) from None
        name = common_name(certificate.subject)
        to.print(Text.assemble(("Added ", "bold green"), styled(f"{name}: {file}")))
    return bool(missing)
