"""``attest chain``."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click
from cryptography import x509
from rich.text import Text

from attest import cms
from attest.certificates import load_certificates, readable_certificates
from attest.chain import ChainResult, check_chain
from attest.cli import options
from attest.cli.issuers import fetch_issuers_option
from attest.cli.output import console, print_json, print_path, printable, refuse, revocation_rows
from attest.clouds import Cloud
from attest.errors import AttestError, Code
from attest.evidence import decode_evidence
from attest.extensions import ca_issuers
from attest.path import IssuerSource
from attest.signer import load_certificate
from attest.times import rfc3339


@click.command()
@click.argument("file", type=options.InputFile("rb"), metavar="CERT")
@click.option(
    "--untrusted",
    "untrusted_path",
    type=click.Path(path_type=Path),
    help="CA certificates that may be links of the path (PEM, DER, folder).",
)
@options.at_option
@click.option("--name", help="A host name that the certificate must cover.  [default: its own]")
@click.option(
    "--cloud",
    type=click.Choice([str(cloud) for cloud in Cloud]),
    help="The cloud whose anchors count.  [default: the one that its name belongs to]",
)
@options.trust_option
@fetch_issuers_option
@options.crl_option
@options.revocation_option
@options.format_option
def chain(  # noqa: PLR0913 - one parameter an option
    *,
    file: BinaryIO,
    untrusted_path: Path | None,
    at: datetime | None,
    name: str | None,
    cloud: str | None,
    trust_path: Path | None,
    issuers: IssuerSource | None,
    crl_path: Path | None,
    revocation: str | None,
    output: str,
) -> int:
    """Build and check the path of the certificate in CERT to a pinned anchor.

    CERT is a certificate (PEM or DER; further ones in the file are possible links), or an
    attested document, whose signer certificate is taken.
    """
    certificate, bystanders = _read_certificate(options.read_evidence(file))
    strictness = options.chosen_revocation(revocation, crl_path)
    store = options.read_store(trust_path, (cloud,) if cloud else tuple(Cloud))
    untrusted = [*bystanders, *options.read_certificates(untrusted_path)]
    try:
        result = check_chain(
            store,
            certificate,
            at=options.or_now(at),
            name=name,
            cloud=Cloud(cloud) if cloud else None,
            untrusted=untrusted,
            crls=options.read_crls(crl_path),
            revocation=strictness,
            issuers=issuers,
        )
    except AttestError as error:
        status = refuse(error, output, options.trust_note(trust_path), "valid")
        if error.code is Code.ISSUER_UNKNOWN:
            _say_where_issuer_is(certificate)
        return status
    if output == "json":
        print_json(result.to_dict() | options.trust_note(trust_path))
    else:
        _print(result, trust_path)
    return 0


def _read_certificate(data: str | bytes) -> tuple[x509.Certificate, list[x509.Certificate]]:
    raw = data.encode() if isinstance(data, str) else data
    with contextlib.suppress(ValueError):
        certificate, *bystanders = load_certificates(raw)
        return certificate, bystanders
    try:
        signed_data = cms.parse_signed_data(decode_evidence(data))
        certificate = load_certificate(cms.select_signer(signed_data))
    except AttestError:
        raise click.ClickException("CERT is neither a certificate nor a document") from None
    return certificate, list(readable_certificates(signed_data.certificates))


def _say_where_issuer_is(certificate: x509.Certificate) -> None:
    for url in ca_issuers(certificate):
        click.echo(f"attest: its issuer is said to be at {printable(url)}", err=True)


def _print(result: ChainResult, trust_path: Path | None) -> None:
    to = console()
    to.print(
        Text.assemble(
            ("Valid path", "bold green"),
            f" for {result.name}, cloud {result.cloud}, at {rfc3339(result.checked_at)};"
            f" it holds until {rfc3339(result.path.not_after)}",
        )
    )
    if trust_path is not None:
        to.print(Text(options.trust_warning(trust_path), style="yellow"))
    for name, value in revocation_rows(result.revocation):
        to.print(Text(f"{name} {value}"))
    to.print()
    print_path(to, result.path, result.checked_at)
