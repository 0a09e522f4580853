"""``attest doctor``: on one screen, does this VM's document verify, and for how long?"""

from __future__ import annotations

import secrets
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from attest.certificates import common_name
from attest.cli import options
from attest.cli.issuers import fetch_issuers_option
from attest.cli.output import console, print_json, printable, styled
from attest.cli.trust.shared import read_extended_store, trust_dir_option, warn_days_option
from attest.diagnosis import CLOCK_TOLERANCE, Diagnosis, diagnose
from attest.imds import ENDPOINT, ImdsClient, ImdsError
from attest.inspection import TITLES
from attest.path import IssuerSource, Origin
from attest.result import document_to_dict, path_to_list, rejection_to_dict
from attest.times import rfc3339

_RETRY_SECONDS = 10.0
_WIDTH = 80
_LABEL_WIDTH = 11
_MAX_VALUE = 200
_NAME_WIDTH = 50
_ORIGINS = {
    Origin.PINNED: "is pinned with this release",
    Origin.OPERATOR: "was added by the operator",
    Origin.EVIDENCE: "came with the document and is not pinned",
    Origin.FETCHED: "was fetched and is not pinned",
}


@dataclass(frozen=True, slots=True)
class _Visit:
    endpoint: str
    milliseconds: int
    diagnosis: Diagnosis
    warn_days: int

    @property
    def is_healthy(self) -> bool:
        return self.diagnosis.error is None and not self.diagnosis.ends_within(self.warn_days)


@click.command()
@click.option(
    "--endpoint",
    metavar="URL",
    default=ENDPOINT,
    show_default=True,
    help="The metadata endpoint, or an emulator's address.",
)
@options.cloud_option("Accept signers of")
@options.trust_option
@trust_dir_option
@fetch_issuers_option
@warn_days_option("Exit with 1 when documents of this issuer stop verifying within so many days.")
@options.format_option
def doctor(
    *,
    endpoint: str,
    clouds: tuple[str, ...],
    trust_path: Path | None,
    folders: tuple[Path, ...],
    issuers: IssuerSource | None,
    warn_days: int,
    output: str,
) -> int:
    """Fetch a fresh document, verify it, and explain what would break, and when.

    Run it inside an Azure VM.  Exits with 0 when the document verifies and will for a while, with
    1 when it is refused or its issuer ends soon, with 2 when the endpoint gives none.
    """
    store = read_extended_store(folders, trust_path, clouds)
    nonce = secrets.token_hex(16)
    try:
        client = ImdsClient(endpoint, retry_seconds=_RETRY_SECONDS)
        started = time.perf_counter()
        evidence = client.attested_document(nonce)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--endpoint") from None
    except ImdsError as error:
        if output == "json":
            print_json({"healthy": False, "endpoint": endpoint, "unreachable": error.detail})
        raise click.ClickException(printable(error.detail)) from None
    milliseconds = round((time.perf_counter() - started) * 1000)
    diagnosis = diagnose(
        store,
        evidence,
        at=datetime.now(UTC),
        nonce=nonce,
        clouds=options.chosen_clouds(clouds),
        issuers=issuers,
    )
    visit = _Visit(client.endpoint, milliseconds, diagnosis, warn_days)
    if output == "json":
        print_json(_to_dict(visit) | options.trust_note(trust_path))
    else:
        _print(visit, trust_path)
    return 0 if visit.is_healthy else 1


def _to_dict(visit: _Visit) -> dict[str, object]:
    found = visit.diagnosis
    ahead = found.clock_ahead
    return {
        "healthy": visit.is_healthy,
        "endpoint": visit.endpoint,
        "milliseconds": visit.milliseconds,
        "checked_at": rfc3339(found.checked_at),
        "refusal": None if found.error is None else rejection_to_dict(found.error),
        "cloud": None if found.signer is None else str(found.signer.cloud),
        "document": None if found.document is None else document_to_dict(found.document),
        "clock_ahead_seconds": None if ahead is None else round(ahead.total_seconds()),
        "chain": None if found.path is None else path_to_list(found.path),
        "issuer_verifies_until": None
        if found.issuer_until is None
        else rfc3339(found.issuer_until),
        "issuer_is_newest": found.is_newest,
        "missing_issuer": found.missing_issuer,
        "missing_issuer_urls": list(found.missing_urls),
        "advice": found.advice(visit.warn_days),
        "commands": found.commands(),
    }


def _print(visit: _Visit, trust_path: Path | None) -> None:
    to, found = console(), visit.diagnosis
    to.print(_row("Endpoint", f"{visit.endpoint} answered in {visit.milliseconds} ms"))
    _print_verdict(to, found)
    if trust_path is not None:
        to.print(Text(options.trust_warning(trust_path), style="yellow"))
    for name, value in _document_rows(found):
        to.print(_row(name, value))
    to.print()
    _print_path(to, found)
    for sentence in _explain(found):
        _print_wrapped(to, sentence)
    to.print(Text("Next", style="bold"))
    for sentence in found.advice(visit.warn_days) or ["Nothing to do."]:
        _print_wrapped(to, sentence, indent=2)
    for command in found.commands():
        to.print(styled(f"    {command}", "cyan"))


def _print_verdict(to: Console, found: Diagnosis) -> None:
    if found.error is None:
        to.print(_row("Verdict", f"verified for {rfc3339(found.checked_at)}", "bold green"))
        return
    where = f"step {found.error.step}, {TITLES[found.error.step]}"
    to.print(_row("Verdict", f"REFUSED: {found.error.code} ({where})", "bold red"))
    if found.missing_issuer is None:
        _print_wrapped(to, found.error.detail, indent=_LABEL_WIDTH)
        return
    to.print(_row("Missing", found.missing_issuer))
    for url in found.missing_urls:
        to.print(_row("  is at", url))


def _row(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{name:<{_LABEL_WIDTH}}", "cyan"), styled(value[:_MAX_VALUE], style))


def _print_wrapped(to: Console, sentence: str, *, indent: int = 0) -> None:
    blank = " " * indent
    for line in textwrap.wrap(
        printable(sentence), _WIDTH, initial_indent=blank, subsequent_indent=blank
    ):
        to.print(Text(line))


def _document_rows(found: Diagnosis) -> Iterator[tuple[str, str]]:
    document = found.document
    if document is None:
        return
    yield "VM", str(document.vm_id)
    if document.plan is not None:
        plan = (document.plan.publisher, document.plan.product, document.plan.name)
        yield "Plan", " / ".join(part or "-" for part in plan)
    if document.created_on is not None and document.expires_on is not None:
        yield "Times", f"{rfc3339(document.created_on)} to {rfc3339(document.expires_on)}"
    yield "Clock", _clock(found)


def _clock(found: Diagnosis) -> str:
    if found.clock_ahead is None:
        return "not compared: the document is not the answer to this nonce"
    seconds = round(found.clock_ahead.total_seconds())
    if abs(found.clock_ahead) <= CLOCK_TOLERANCE:
        return f"agrees with Azure's (about {seconds} s after createdOn)"
    return f"about {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} Azure's"


def _print_path(to: Console, found: Diagnosis) -> None:
    path = found.path
    if path is None:
        return
    to.print(Text(f"{'Path':<{_NAME_WIDTH + 2}}{'origin':<10}{'days left':>9}", style="bold"))
    for certificate, origin in zip(path.certificates, path.origins, strict=True):
        name = printable(common_name(certificate.subject))[:_NAME_WIDTH]
        days = (certificate.not_valid_after_utc - found.checked_at).days
        style = "bold" if certificate == found.ends_first else ""
        to.print(Text(f"  {name:<{_NAME_WIDTH}}{origin:<10}{days:>9}", style=style))


def _explain(found: Diagnosis) -> Iterator[str]:
    """Say who ends first and where the issuer came from."""
    first, until, origin = found.ends_first, found.issuer_until, found.issuer_origin
    if first is None or until is None or origin is None:
        return
    name, end = common_name(first.subject), first.not_valid_after_utc
    sentence = f"Of the CAs, {name} ends first, on {rfc3339(end)[:10]}"
    if until > end:
        yield f"{sentence}; another path of its issuer holds until {rfc3339(until)[:10]}."
    else:
        yield f"{sentence}: then documents of this issuer are refused."
    newest = " and is of the newest generation known" if found.is_newest else ""
    yield f"The issuer {_ORIGINS[origin]}{newest}.  Azure renews signers by itself."
