"""``attest fetch``: ask the metadata endpoint for the attested document."""

from __future__ import annotations

import json

import click

from attest.imds import ENDPOINT, ImdsClient, ImdsError


@click.command()
@click.option(
    "--endpoint",
    metavar="URL",
    default=ENDPOINT,
    show_default=True,
    help="The metadata endpoint, or an emulator's address.",
)
@click.option("--nonce", metavar="TEXT", help="1 to 32 letters and digits to be signed.")
@click.option(
    "--api-version", metavar="DATE", help="The api-version to ask for.  [default: chosen]"
)
@click.option(
    "--retry-seconds",
    metavar="N",
    type=click.FloatRange(min=0),
    default=70.0,
    show_default=True,
    help="For how long to try again while the endpoint is busy.",
)
def fetch(endpoint: str, nonce: str | None, api_version: str | None, retry_seconds: float) -> None:
    """Print the VM's attested document, as IMDS gives it and unverified.

    Run it inside an Azure VM, and hand what it prints to whoever verifies it.
    """
    try:
        client = ImdsClient(endpoint, api_version=api_version, retry_seconds=retry_seconds)
        document = client.attested_document(nonce)
    except (ImdsError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(document, separators=(",", ":")))
