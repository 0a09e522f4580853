"""What the commands print: JSON for programs, text for people.

Text is in colour on a terminal and plain when piped.  Nothing that evidence says reaches a
terminal but as printable characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

import click
from rich.console import Console
from rich.text import Text

from attest.certificates import CertificateInfo, describe
from attest.errors import AttestError
from attest.inspection import TITLES
from attest.path import CertificatePath
from attest.result import rejection_to_dict
from attest.revocation import RevocationStatus
from attest.times import rfc3339

Row = tuple[str, object]


def console() -> Console:
    """Return a console on standard output; when piped, lines are never broken."""
    made = Console(highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made = Console(highlight=False, soft_wrap=True, width=200)
    return made


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object, in ASCII."""
    click.echo(json.dumps(value, indent=2))


def refuse(
    error: AttestError, output: str, note: dict[str, object], verdict: str = "verified"
) -> int:
    """Say why evidence was refused; JSON holds the ``note`` as well.

    Returns:
        The exit status.
    """
    if output == "json":
        print_json(rejection_to_dict(error, verdict) | note)
    where = f"step {error.step}, {TITLES[error.step]}"
    click.echo(f"attest: refused: {error.code} ({where}): {printable(error.detail)}", err=True)
    return 1


def printable(value: object) -> str:
    """Return a text in which every unprintable character is escaped."""
    text = str(value)
    return text if text.isprintable() else ascii(text)[1:-1]


def styled(value: object, style: str = "") -> Text:
    """Return a text as it is: no markup in it means anything."""
    return Text(printable(value), style=style)


def print_fields(to: Console, title: str, rows: Iterable[Row]) -> None:
    """Print names and values, one a line; a value that is ``None`` as a dash."""
    to.print(Text(title, style="bold"))
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        shown = styled("-", "dim") if value is None else styled(value)
        to.print(Text.assemble((f"  {name:<{width}}  ", "cyan"), shown))


def document_rows(document: Mapping[str, object]) -> list[Row]:
    """Return a document, as JSON values, as names and values to print."""
    rows: list[Row] = []
    for name, value in document.items():
        if name == "plan" and isinstance(value, dict):
            rows += [(f"plan {part}", text) for part, text in value.items()]
        elif name == "extra":
            rows += [(f"extra {key}", json.dumps(item)) for key, item in _items(value)]
        else:
            rows.append((name.replace("_", " "), value))
    return rows


def revocation_rows(revocation: RevocationStatus) -> list[Row]:
    """Return what to print of revocation: nothing where no CRL was consulted."""
    match revocation:
        case RevocationStatus.UNCHECKED:
            return []
        case RevocationStatus.GOOD:
            return [("revocation", "good: no certificate of the path is revoked")]
        case RevocationStatus.UNKNOWN:
            return [("revocation", "UNKNOWN: no CRL speaks for some certificate of the path")]


def _items(value: object) -> list[tuple[str, object]]:
    if not isinstance(value, dict):
        return []
    return [(printable(key), item) for key, item in value.items()]


def print_path(to: Console, path: CertificatePath, at: datetime) -> None:
    """Print a path: the signer certificate first, the anchor last."""
    to.print(Text("Path", style="bold"))
    for depth, (certificate, origin) in enumerate(
        zip(path.certificates, path.origins, strict=True)
    ):
        info = describe(certificate)
        role = "anchor" if depth == len(path.certificates) - 1 else "certificate"
        to.print(Text.assemble("  " * depth, "  ", styled(info.subject), style="green"))
        print_certificate(to, info, at, indent="  " * depth + "    ", note=f"{role}, {origin}")


def print_certificate(
    to: Console, info: CertificateInfo, at: datetime, *, indent: str, note: str
) -> None:
    """Print dates and fingerprint of a certificate."""
    if info.not_before <= at < info.not_after:
        state = f"{(info.not_after - at).days} days left"
    else:
        state = "expired" if info.not_after < at else "not yet valid"
    dates = f"{rfc3339(info.not_before)} to {rfc3339(info.not_after)}, {state}"
    to.print(Text(f"{indent}{note}; {dates}", style="dim"))
    to.print(Text(f"{indent}sha256 {info.sha256}", style="dim"))
