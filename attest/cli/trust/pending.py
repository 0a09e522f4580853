"""``attest trust pending`` and ``attest trust dismiss``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from attest.cli import options
from attest.cli.lazy import load_settings
from attest.cli.output import console, print_fields, print_json
from attest.cli.trust.quarantine import config_option, find, opened_quarantine
from attest.times import rfc3339

_SHOWN_DIGITS = 16


@click.command()
@config_option
@options.format_option
def pending(config: Path | None, output: str) -> None:
    """List the issuers that evidence named and no path leads from.

    Evidence comes here when everything else about it is good.  Anybody can make such evidence, so
    a record proves nothing: `attest trust approve` looks for a path to a pinned anchor.
    """
    with opened_quarantine(load_settings(config)) as quarantine:
        found = quarantine.pending()
    if output == "json":
        print_json({"pending": [_describe(record) for record in found]})
        return
    to = console()
    to.print(Text(f"{len(found)} unknown issuer{'s' * (len(found) != 1)}", style="bold"))
    for record in found:
        to.print()
        rows: list[tuple[str, object]] = [
            ("signer", record.signer_subject),
            ("names", ", ".join(record.signer_names) or None),
            ("sha256", record.signer_sha256),
            *([("newest", record.newest_sha256)] if record.newest_sha256 else ()),
            ("seen", "once" if record.count == 1 else f"{record.count} times"),
            ("first", rfc3339(record.first_seen)),
            ("last", rfc3339(record.last_seen)),
            *(("issuer at", url) for url in record.aia_urls),
            ("to add it", f"attest trust approve {record.signer_sha256[:_SHOWN_DIGITS]}"),
        ]
        print_fields(to, record.issuer, rows)


@click.command()
@click.argument("fingerprint")
@config_option
def dismiss(fingerprint: str, config: Path | None) -> None:
    """Take an issuer that is nobody's off the list, until another signer names it.

    FINGERPRINT is the SHA-256 of its signer, or how that begins (8 digits or more).
    """
    with opened_quarantine(load_settings(config)) as quarantine:
        record = find(quarantine, fingerprint)
        quarantine.dismiss(record)
    click.echo(f"dismissed: {record.issuer}")


def _describe(record: Any) -> dict[str, object]:  # noqa: ANN401 - service.issuer_records
    return {
        "issuer": record.issuer,
        "signer_sha256": record.signer_sha256,
        "signer_subject": record.signer_subject,
        "signer_names": list(record.signer_names),
        "newest_signer_sha256": record.newest_sha256,
        "aia_urls": list(record.aia_urls),
        "count": record.count,
        "first_seen": rfc3339(record.first_seen),
        "last_seen": rfc3339(record.last_seen),
    }
