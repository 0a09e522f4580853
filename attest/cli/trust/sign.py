"""``attest trust sign``."""

from __future__ import annotations

from pathlib import Path

import click

from attest.bundle import BundleError
from attest.bundle_import import read_bundle
from attest.certificates import common_name, fingerprint
from attest.cli.output import printable
from attest.cli.trust import shared
from attest.dsse import load_private_key
from attest.manifest import Role
from attest.times import rfc3339


@click.command()
@click.argument("file", type=shared.PATH)
@click.option(
    "--sign",
    "keys",
    type=shared.PATH,
    multiple=True,
    required=True,
    metavar="KEY",
    help="Sign with this Ed25519 private key (PEM); may be repeated.",
)
def sign(file: Path, keys: tuple[Path, ...]) -> int:
    """Add a signature to the bundle in FILE, and say what it is that was signed.

    So n people can sign one bundle on n machines, one after the other.
    """
    signers = shared.read_keys(keys, load_private_key)
    try:
        with file.open("rb") as stream:
            envelope, bundle = read_bundle(shared.read_envelope(stream))
    except OSError as error:
        raise click.ClickException(f"cannot read {file}: {error.strerror}") from None
    except BundleError as error:
        return shared.refuse_bundle(error)
    for key in signers:
        envelope = envelope.signed_with(key)
    shared.write(file, envelope.encode())
    click.echo(f"signed version {bundle.version}, which expires on {rfc3339(bundle.expires)}")
    for item in bundle.of_role(Role.ANCHOR):
        name, clouds = common_name(item.certificate.subject), ",".join(sorted(item.clouds))
        click.echo(f"anchor {fingerprint(item.certificate)} {clouds} {printable(name)}")
    click.echo(f"{len(bundle.of_role(Role.INTERMEDIATE))} intermediates")
    click.echo(f"{len(envelope.signatures)} signatures in all, those of others not verified")
    return 0
