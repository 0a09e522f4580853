"""``attest trust``: what is pinned, and until when it will do.

Each command has a module of its own.
"""

from __future__ import annotations

import click

from attest.cli.trust.check import check
from attest.cli.trust.list import list_

__all__ = ["trust"]


@click.group()
def trust() -> None:
    """Show and check the pinned trust store."""


for command in (list_, check):
    trust.add_command(command)
