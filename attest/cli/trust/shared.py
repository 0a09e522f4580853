"""What the commands of ``attest trust`` share."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from attest.cli import options


def print_trust_warning(to: Console, trust_path: Path | None) -> None:
    """Say that the pinned store was replaced, where it was."""
    if trust_path is not None:
        to.print(Text(options.trust_warning(trust_path), style="yellow"))
