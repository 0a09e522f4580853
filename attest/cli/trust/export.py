"""``attest trust export``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from attest.bundle import MAX_VERSION, PAYLOAD_TYPE, BundleError, bundle_of
from attest.cli import options
from attest.cli.trust import shared
from attest.dsse import Envelope, load_private_key


@click.command()
@shared.trust_dir_option
@click.option(
    "--version",
    type=click.IntRange(1, MAX_VERSION),
    metavar="N",
    required=True,
    help="The version: greater than that of every bundle before.",
)
@click.option(
    "--expires",
    metavar="RFC3339",
    required=True,
    callback=options.parse_time,
    help="Until when the bundle may be imported, such as 2026-12-31T00:00:00Z.",
)
@click.option(
    "--sign",
    "keys",
    type=shared.PATH,
    multiple=True,
    metavar="KEY",
    help="Sign with this Ed25519 private key (PEM); may be repeated.",
)
@click.option("--output", type=shared.PATH, help="Where to write.  [default: standard output]")
def export(
    folders: tuple[Path, ...],
    version: int,
    expires: datetime,
    keys: tuple[Path, ...],
    output: Path | None,
) -> None:
    """Write the trust store as one file, a bundle that others can import.

    The pinned store, and what the folders named with --trust-dir add to it.  A bundle that is not
    signed yet can be, with attest trust sign.
    """
    store = shared.read_extended_store(folders)
    signers = shared.read_keys(keys, load_private_key)
    try:
        bundle = bundle_of(store, version=version, created=datetime.now(UTC), expires=expires)
    except BundleError as error:
        raise click.ClickException(f"this is no bundle: {error.detail}") from None
    envelope = Envelope(PAYLOAD_TYPE, bundle.encode())
    for key in signers:
        envelope = envelope.signed_with(key)
    if output is None:
        click.echo(envelope.encode(), nl=False)
    else:
        shared.write(output, envelope.encode())
