"""``attest trust list``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from cryptography import x509
from rich.table import Table
from rich.text import Text

from attest.certificates import common_name, describe
from attest.cli import options
from attest.cli.output import console, print_json, styled
from attest.cli.trust.shared import print_trust_warning, read_extended_store, trust_dir_option
from attest.clouds import Cloud
from attest.result import certificate_to_dict
from attest.times import rfc3339
from attest.trust import TrustStore


@click.command("list")
@options.at_option
@options.cloud_option("List", default="every cloud of the store")
@options.trust_option
@trust_dir_option
@options.format_option
def list_(
    at: datetime | None,
    clouds: tuple[str, ...],
    trust_path: Path | None,
    folders: tuple[Path, ...],
    output: str,
) -> int:
    """List anchors and intermediates per cloud, with the days that each has left."""
    at = options.or_now(at)
    store = read_extended_store(folders, trust_path, clouds)
    chosen = [c for c in Cloud if (str(c) in clouds if clouds else store.anchors_for(c))]
    if output == "json":
        listed = {"generation": store.generation, "clouds": _list_json(store, chosen, at)}
        print_json(listed | options.trust_note(trust_path))
        return 0
    to = console()
    to.print(Text(f"Trust store, generation {store.generation[:16]}", style="bold"))
    print_trust_warning(to, trust_path)
    for cloud in chosen:
        to.print()
        to.print(Text(f"{cloud} ({cloud.signer_domain})", style="bold"))
        table = Table("role", "subject", "issuer", "not after", "days left", box=None)
        for role, certificate in _members(store, cloud):
            days = (certificate.not_valid_after_utc - at).days
            table.add_row(
                role,
                styled(common_name(certificate.subject)),
                styled("-" if role == "anchor" else common_name(certificate.issuer)),
                str(rfc3339(certificate.not_valid_after_utc))[:10],
                Text("expired", style="dim") if days < 0 else str(days),
            )
        to.print(table)
    return 0


def _members(store: TrustStore, cloud: Cloud) -> list[tuple[str, x509.Certificate]]:
    anchors = [("anchor", certificate) for certificate in store.anchors_for(cloud)]
    return anchors + [("intermediate", item) for item in store.intermediates_for(cloud)]


def _list_json(store: TrustStore, clouds: list[Cloud], at: datetime) -> dict[str, object]:
    return {
        str(cloud): [
            {
                "role": role,
                **certificate_to_dict(describe(certificate)),
                "days_left": (certificate.not_valid_after_utc - at).days,
            }
            for role, certificate in _members(store, cloud)
        ]
        for cloud in clouds
    }
