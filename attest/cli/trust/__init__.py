"""``attest trust``: what is trusted, until when it will do, and how it is brought up to date.

Each command has a module of its own.
"""

from __future__ import annotations

import click

from attest.cli.trust.add import add
from attest.cli.trust.approve import approve
from attest.cli.trust.check import check
from attest.cli.trust.export import export
from attest.cli.trust.importing import import_
from attest.cli.trust.list import list_
from attest.cli.trust.pending import dismiss, pending
from attest.cli.trust.sign import sign

__all__ = ["trust"]


@click.group()
def trust() -> None:
    """Show, check and update whom to trust."""


for command in (list_, check, pending, approve, dismiss, add, export, sign, import_):
    trust.add_command(command)
