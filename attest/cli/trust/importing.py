"""``attest trust import``."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click

from attest.bundle import BundleError
from attest.bundle_import import ImportResult, import_bundle
from attest.cli import options
from attest.cli.trust import shared
from attest.dsse import key_id, load_public_key
from attest.errors import TrustStoreError
from attest.manifest import Role
from attest.times import rfc3339

_SHA256 = re.compile("[0-9a-f]{64}")


def _parse_fingerprints(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> frozenset[str]:
    """Read fingerprints as this command line and as OpenSSL write them."""
    plain = [value.replace(":", "").lower() for value in values]
    for value in plain:
        if _SHA256.fullmatch(value) is None:
            raise click.BadParameter(f"{value!r} is not a SHA-256 fingerprint, 64 hex digits")
    return frozenset(plain)


@click.command("import")
@click.argument("file", type=options.InputFile("rb"))
@click.option(
    "--key",
    "keys",
    type=shared.PATH,
    multiple=True,
    required=True,
    help="Whose signature counts: an Ed25519 public key (PEM); may be repeated.",
)
@click.option(
    "--threshold",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many of the keys must have signed.  [default: all of them]",
)
@click.option(
    "--to",
    "folder",
    type=shared.PATH,
    required=True,
    help="The folder to write to: one of those of the service's setting trust_dirs.",
)
@click.option(
    "--accept-anchor",
    "accepted",
    multiple=True,
    metavar="SHA256",
    callback=_parse_fingerprints,
    help="Accept this new anchor of the bundle; may be repeated.",
)
@options.at_option
def import_(
    file: BinaryIO,
    keys: tuple[Path, ...],
    threshold: int | None,
    folder: Path,
    accepted: frozenset[str],
    at: datetime | None,
) -> int:
    """Check the signed bundle in FILE, and put it into an operator's folder.

    Refused are a bundle that too few of the keys signed, one that has expired or is older than
    the one imported last, and one with an anchor that is not trusted so far: nothing received
    becomes an anchor unless it is named with --accept-anchor.  What was imported stays when the
    bundle expires; its certificates have dates of their own.
    """
    trusted = {key_id(key): key for key in shared.read_keys(keys, load_public_key)}
    if threshold is not None and threshold > len(trusted):
        raise click.UsageError(f"--threshold {threshold}, and {len(trusted)} different keys")
    try:
        result = import_bundle(
            shared.read_envelope(file),
            keys=list(trusted.values()),
            threshold=len(trusted) if threshold is None else threshold,
            folder=folder,
            store=options.read_store(None, ()),
            at=options.or_now(at),
            accepted_anchors=accepted,
        )
    except BundleError as error:
        return shared.refuse_bundle(error)
    except TrustStoreError as error:
        raise click.ClickException(str(error)) from None
    _print(result, folder)
    return 0


def _print(result: ImportResult, folder: Path) -> None:
    bundle = result.bundle
    if result.changed:
        anchors, links = map(len, map(bundle.of_role, Role))
        click.echo(
            f"imported version {bundle.version} into {folder}:"
            f" {anchors} anchors and {links} intermediates, generation {result.store.generation}"
        )
    else:
        click.echo(f"version {bundle.version} was imported before; nothing has changed")
    if result.expired:
        click.echo(
            f"attest: it expired on {rfc3339(bundle.expires)}; its certificates stay,"
            " and it is time for a newer bundle",
            err=True,
        )
