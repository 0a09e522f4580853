"""``attest trust approve``: one command heals an unknown issuer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from attest import cms
from attest.approval import ApprovalError, ProvenPath, prove_signer
from attest.certificates import readable_certificates
from attest.cli import issuers, options
from attest.cli.lazy import load_settings
from attest.cli.trust.quarantine import (
    chosen_folder,
    config_option,
    find,
    folder_option,
    is_read,
    nothing_added,
    opened_quarantine,
    service_store,
    show,
    write,
)
from attest.errors import AttestError
from attest.evidence import decode_evidence
from attest.signer import load_certificate
from attest.trust import TrustStore

_ADVICE = "; `attest trust add FILE` takes the CA's certificate from its maker"


@click.command()
@click.argument("fingerprint")
@config_option
@folder_option
@click.option(
    "--from",
    "file",
    type=click.Path(path_type=Path),
    help="Take the missing CA certificates from here (PEM, DER, folder), and fetch nothing.",
)
def approve(fingerprint: str, config: Path | None, folder: Path | None, file: Path | None) -> int:
    """Add the missing links of a pending issuer, if they lead to a pinned anchor.

    FINGERPRINT is the SHA-256 of the pending signer, or how that begins (8 digits or more).
    Without --from, CA certificates are looked for in the evidence itself and then fetched from
    where the certificates say they are (Microsoft's and DigiCert's hosts only).  Exits with 1 and
    writes nothing when no path leads to an anchor.
    """
    settings = load_settings(config)
    folder = chosen_folder(folder, settings)
    store = service_store(settings, folder)
    with opened_quarantine(settings) as quarantine:
        record = find(quarantine, fingerprint)
        try:
            proven = _prove_any(store, quarantine.specimens(record), file)
        except (ApprovalError, AttestError) as error:
            return nothing_added(error, _ADVICE)
        show(proven)
        write([proven], folder)
        outcome = "its record is removed" if proven.missing else "no link was missing any more"
        if is_read(folder, settings):
            quarantine.remove(record)
        else:
            outcome = "its record stays"
    click.echo(f"{record.issuer}: {outcome}")
    return 0


def _prove_any(store: TrustStore, specimens: Sequence[Any], file: Path | None) -> ProvenPath:
    """Prove the path of one specimen: another may be forged in the same issuer's name."""
    refusals = []
    for specimen in specimens:
        try:
            return _prove(store, specimen, file)
        except (ApprovalError, AttestError) as error:
            refusals.append(error)
    if not refusals:
        raise click.ClickException("the record is gone: somebody else has decided on it")
    raise refusals[0]


def _prove(store: TrustStore, specimen: Any, file: Path | None) -> ProvenPath:  # noqa: ANN401 - service.issuer_records
    return prove_signer(
        store,
        load_certificate(specimen.signer_certificate),
        _bag(specimen.evidence) if file is None else options.read_certificates(file),
        now=datetime.now(UTC),
        evidence=specimen.evidence,
        issuers=issuers.aia_source() if file is None else None,
    )


def _bag(evidence: str) -> list[x509.Certificate]:
    signed_data = cms.parse_signed_data(decode_evidence(evidence))
    return list(readable_certificates(signed_data.certificates))
