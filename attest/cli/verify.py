"""``attest verify``."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from attest.cli.options import EvidenceRequest, evidence_command, trust_note, trust_warning
from attest.cli.output import (
    console,
    document_rows,
    print_fields,
    print_json,
    print_path,
    refuse,
    revocation_rows,
)
from attest.errors import AttestError
from attest.result import AttestationResult, document_to_dict
from attest.times import rfc3339


@evidence_command
def verify(request: EvidenceRequest) -> int:
    """Verify the attested document in FILE, or on standard input.

    FILE holds what IMDS answers: its JSON, or the base64, DER or PEM of the signature in it.
    Exits with 0 only when the document is verified, with 1 when it is refused.
    """
    try:
        result = request.verifier.verify(request.evidence, at=request.at, **request.demands)
    except AttestError as error:
        return refuse(error, request.output, trust_note(request.trust_path))
    if request.output == "json":
        print_json(result.to_dict() | trust_note(request.trust_path))
    else:
        _print(result, request.trust_path)
    return 0


def _print(result: AttestationResult, trust_path: Path | None) -> None:
    to = console()
    to.print(Text.assemble(("Verified", "bold green"), f" for {rfc3339(result.verified_at)}"))
    if trust_path is not None:
        to.print(Text(trust_warning(trust_path), style="yellow"))
    to.print()
    rows = document_rows(document_to_dict(result.document))
    rows += [("cloud", result.cloud), ("region", result.region)]
    rows += [("valid until", rfc3339(result.valid_until))]
    rows += revocation_rows(result.revocation)
    print_fields(to, "Document", rows)
    to.print()
    print_path(to, result.path, result.verified_at)
