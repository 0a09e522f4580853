"""``attest trust check``."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import certifi
import click
from cryptography.hazmat.primitives.serialization import Encoding
from rich.table import Table
from rich.text import Text

from attest.certificates import common_name, describe
from attest.cli import options
from attest.cli.output import console, print_json, printable, styled
from attest.cli.trust.shared import print_trust_warning
from attest.lifetimes import CaLifetime, ca_lifetimes
from attest.times import rfc3339
from attest.trust import TrustStore


@click.command()
@click.option(
    "--warn-days",
    metavar="DAYS",
    type=click.IntRange(0, 36_500),
    default=90,
    show_default=True,
    help="Exit with 1 when a live path ends within so many days.",
)
@options.at_option
@options.cloud_option("Check")
@options.trust_option
@options.format_option
def check(
    warn_days: int,
    at: datetime | None,
    clouds: tuple[str, ...],
    trust_path: Path | None,
    output: str,
) -> int:
    """Tell when the pinned paths end; exit with 1 when one does so soon.

    A CA counts by its key: an expired certificate is no alarm while a cross-signed or renewed
    twin of it still leads to an anchor, nor is a CA that has retired for good.  A cloud of which
    every path has ended is one.
    """
    at = options.or_now(at)
    store = options.read_store(trust_path, clouds)
    chosen = options.chosen_clouds(clouds)
    lifetimes = [item for cloud in sorted(chosen) for item in ca_lifetimes(store, cloud)]
    live = [item for item in lifetimes if item.live_until >= at]
    soon = [item for item in live if item.live_until - at < timedelta(days=warn_days)]
    dead = sorted(chosen - {item.cloud for item in live})
    if output == "json":
        print_json(
            {
                "checked_at": rfc3339(at),
                "generation": store.generation,
                "ended": [str(cloud) for cloud in dead],
                "ending_soon": [_lifetime_json(item) for item in soon],
                "live": [_lifetime_json(item) for item in live],
                "retired": len(lifetimes) - len(live),
                "anchors_in_certifi": _anchors_in_certifi(store),
            }
            | options.trust_note(trust_path)
        )
    else:
        print_trust_warning(console(), trust_path)
        _print_check(store, at, lifetimes, soon)
    if soon:
        click.echo(f"attest: {len(soon)} live paths end within {warn_days} days", err=True)
    for cloud in dead:
        click.echo(f"attest: no live path is left for the cloud {cloud}", err=True)
    return 1 if soon or dead else 0


def _lifetime_json(item: CaLifetime) -> dict[str, object]:
    return {
        "cloud": str(item.cloud),
        "role": item.role,
        "subject": describe(item.certificates[0]).subject,
        "live_until": rfc3339(item.live_until),
    }


def _anchors_in_certifi(store: TrustStore) -> dict[str, bool]:
    # The bundle is compared as text: some of its certificates are ones that we would not parse.
    bundle = Path(certifi.where()).read_bytes()
    return {
        common_name(anchor.certificate.subject): anchor.certificate.public_bytes(Encoding.PEM)
        in bundle
        for anchor in store.anchors
    }


def _print_check(
    store: TrustStore, at: datetime, lifetimes: list[CaLifetime], soon: list[CaLifetime]
) -> None:
    to = console()
    table = Table("cloud", "role", "certificate authority", "live until", "days", "", box=None)
    for item in lifetimes:
        days = (item.live_until - at).days
        if days < 0:
            continue
        twins = len(item.expired_twins(at))
        note = "ENDS SOON" if item in soon else ""
        if twins:
            note += f" {twins} expired twin{'s' * (twins > 1)}, no alarm: another path is live"
        table.add_row(
            str(item.cloud),
            item.role,
            styled(common_name(item.certificates[0].subject)),
            str(rfc3339(item.live_until))[:10],
            Text(str(days), style="bold red" if item in soon else ""),
            note.strip(),
        )
    to.print(table)
    retired = sum(item.live_until < at for item in lifetimes)
    to.print(Text(f"{retired} retired, kept for old evidence: no alarm", style="dim"))
    to.print()
    to.print(Text("Anchors that the public bundle (certifi) still carries", style="bold"))
    for name, carried in _anchors_in_certifi(store).items():
        to.print(Text(f"  {'yes' if carried else 'no':<4} {printable(name)}"))
