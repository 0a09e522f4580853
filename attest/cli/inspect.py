"""``attest inspect``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from attest.cli.options import EvidenceRequest, evidence_command, trust_note, trust_warning
from attest.cli.output import (
    console,
    document_rows,
    print_certificate,
    print_fields,
    print_json,
    print_path,
    printable,
    styled,
)
from attest.result import Inspection, StepOutcome, document_to_dict
from attest.times import rfc3339

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


@evidence_command
def inspect(request: EvidenceRequest) -> int:
    """Show everything that FILE says and how each step of verification goes.

    Never a verdict: exits with 0 whenever FILE can be read.  To decide anything, use verify.
    """
    inspection = request.verifier.inspect(request.evidence, at=request.at, **request.demands)
    if request.output == "json":
        print_json(inspection.to_dict() | trust_note(request.trust_path))
    else:
        _print(inspection, request.at, request.trust_path)
    return 0


def _print(inspection: Inspection, at: datetime, trust_path: Path | None) -> None:
    to = console()
    to.print(Text(f"Inspected for {rfc3339(at)}; this is not a verdict", style="bold"))
    if trust_path is not None:
        to.print(Text(trust_warning(trust_path), style="yellow"))
    to.print()
    to.print(Text("Steps", style="bold"))
    for outcome in inspection.steps:
        _print_step(to, outcome)
    to.print()
    if inspection.unverified_document is not None:
        rows = document_rows(document_to_dict(inspection.unverified_document))
        print_fields(to, "Document, as whoever made the evidence wrote it", rows)
        to.print()
    to.print(Text("Certificates in the evidence", style="bold"))
    for info in inspection.certificates:
        to.print(Text.assemble("  ", styled(info.subject)))
        to.print(Text.assemble("    issued by ", styled(info.issuer)))
        if info.dns_names:
            to.print(Text.assemble("    names ", styled(", ".join(info.dns_names))))
        print_certificate(to, info, at, indent="    ", note=f"serial {info.serial_number}")
    if inspection.path is not None:
        to.print()
        print_path(to, inspection.path, at)


def _print_step(to: Console, outcome: StepOutcome) -> None:
    code = f"{outcome.code}: " if outcome.code else ""
    to.print(
        Text.assemble(
            f"  {outcome.step:>2}  {outcome.title:<26} ",
            (f"{outcome.status:<8}", _STYLES[outcome.status]),
            f" {code}{printable(outcome.detail)}",
        )
    )
