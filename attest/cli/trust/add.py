"""``attest trust add``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from attest.approval import ApprovalError, prove_intermediates
from attest.cli import options
from attest.cli.lazy import load_settings
from attest.cli.trust.quarantine import (
    chosen_folder,
    config_option,
    folder_option,
    is_read,
    nothing_added,
    service_store,
    show,
    with_folder,
    write,
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@config_option
@folder_option
def add(file: Path, config: Path | None, folder: Path | None) -> int:
    """Add the CA certificates in FILE (PEM, DER, folder) as links, never as anchors.

    Each must lead to an anchor, through the others where needed, or nothing is written and the
    exit status is 1.  With --dir alone, the anchors are the package's own; otherwise those of the
    service's settings.
    """
    settings = None
    if folder is not None and config is None:
        store = with_folder(options.read_store(None, ()), folder)
    else:
        settings = load_settings(config)
        folder = chosen_folder(folder, settings)
        store = service_store(settings, folder)
    certificates = options.read_certificates(file)
    try:
        found = prove_intermediates(store, certificates, now=datetime.now(UTC))
    except ApprovalError as error:
        return nothing_added(error)
    for proven in found:
        show(proven)
    if not write(found, folder):
        click.echo("Nothing is missing: the store has all of them")
    if settings is not None:
        is_read(folder, settings)
    return 0
