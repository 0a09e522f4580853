"""``attest trust check``."""

from __future__ import annotations

from collections.abc import Mapping
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
from attest.cli.trust.shared import (
    day,
    print_trust_warning,
    read_extended_store,
    short_names,
    trust_dir_option,
    warn_days_option,
)
from attest.clouds import Cloud
from attest.lifetimes import CaLifetime, Outlook, ca_lifetimes, outlook
from attest.times import rfc3339
from attest.trust import TrustStore


@click.command()
@warn_days_option("Exit with 1 when the newest issuers' paths end within so many days.")
@options.at_option
@options.cloud_option("Check")
@options.trust_option
@trust_dir_option
@options.format_option
def check(
    warn_days: int,
    at: datetime | None,
    clouds: tuple[str, ...],
    trust_path: Path | None,
    folders: tuple[Path, ...],
    output: str,
) -> int:
    """Tell until when new evidence will verify; exit with 1 when that ends soon.

    Per cloud, the newest issuing CAs decide: what they sign from today verifies until the last
    path through the first of them ends.  A CA counts by its key: an expired certificate is no
    alarm while a cross-signed or renewed twin of it still leads to an anchor, nor is a CA that
    retires while newer ones are pinned.
    """
    at = options.or_now(at)
    store = read_extended_store(folders, trust_path, clouds)
    chosen = sorted(options.chosen_clouds(clouds))
    by_cloud = {cloud: ca_lifetimes(store, cloud) for cloud in chosen}
    outlooks = {cloud: outlook(lifetimes, at) for cloud, lifetimes in by_cloud.items()}
    alarms = [_alarm(cloud, found, at, warn_days) for cloud, found in outlooks.items()]
    lifetimes = [item for found in by_cloud.values() for item in found]
    live = [item for item in lifetimes if item.live_until >= at]
    soon = [item for item in live if item.live_until - at < timedelta(days=warn_days)]
    if output == "json":
        print_json(
            {
                "checked_at": rfc3339(at),
                "generation": store.generation,
                "newest": [_outlook_json(found, at) for found in outlooks.values() if found],
                "ended": [str(c) for c, found in outlooks.items() if _has_ended(found, at)],
                "ending_soon": [_lifetime_json(item) for item in soon],
                "live": [_lifetime_json(item) for item in live],
                "retired": len(lifetimes) - len(live),
                "anchors_in_certifi": _anchors_in_certifi(store),
            }
            | options.trust_note(trust_path)
        )
    else:
        print_trust_warning(console(), trust_path)
        _print_outlooks(outlooks, at, warn_days)
        _print_check(store, at, lifetimes, soon)
    for alarm in filter(None, alarms):
        click.echo(f"attest: {alarm}", err=True)
    return 1 if any(alarms) else 0


def _has_ended(found: Outlook | None, at: datetime) -> bool:
    return found is None or found.last_until < at


def _alarm(cloud: Cloud, found: Outlook | None, at: datetime, warn_days: int) -> str | None:
    """Say in one line what is wrong with a cloud, if anything is."""
    if found is None or _has_ended(found, at):
        return f"no live path is left for the cloud {cloud}"
    left = found.newest_until - at
    if left >= timedelta(days=warn_days):
        return None
    when = f"on {day(found.newest_until)}"
    ends = f"ended {when}" if left < timedelta() else f"end in {left.days} days, {when}"
    return f"{cloud}: the paths of its newest issuers {ends}: look for an update"


def _outlook_json(found: Outlook, at: datetime) -> dict[str, object]:
    return {
        "cloud": str(found.cloud),
        "issuers": [describe(item.certificates[0]).subject for item in found.newest],
        "since": rfc3339(found.since),
        "verify_until": rfc3339(found.newest_until),
        "days_left": (found.newest_until - at).days,
        "last_path_until": rfc3339(found.last_until),
    }


def _print_outlooks(outlooks: Mapping[Cloud, Outlook | None], at: datetime, warn_days: int) -> None:
    to = console()
    for cloud, found in outlooks.items():
        if found is None:
            continue
        names = short_names(common_name(item.certificates[0].subject) for item in found.newest)
        alarm = _alarm(cloud, found, at, warn_days)
        verified = "verified" if found.newest_until < at else "verify"
        to.print(
            Text.assemble(
                (f"{cloud}", "bold"),
                f": newest issuers ({printable(names)}, since {day(found.since)}) {verified} ",
                (f"until {day(found.newest_until)}", "bold red" if alarm else "bold green"),
                f"; the last path of all until {day(found.last_until)}",
            )
        )
    to.print()


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
            day(item.live_until),
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
