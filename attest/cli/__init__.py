"""The command line: ``attest``.

Exit status 0: verified, or done; 1: the evidence or the chain was refused; 2: a usage error, or
input that cannot be read.  Whatever goes wrong is said in one line on standard error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence

import click

from attest.cli.chain import chain
from attest.cli.db import db
from attest.cli.doctor import doctor
from attest.cli.emulator import emulator
from attest.cli.fetch import fetch
from attest.cli.inspect import inspect
from attest.cli.keys import keys
from attest.cli.serve import serve
from attest.cli.trust import trust
from attest.cli.verify import verify

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="imds-attest", prog_name="attest")
def cli() -> None:
    """Verify Azure IMDS attested documents.

    Exit status: 0 verified or done, 1 refused, 2 usage error or unreadable input.
    """


for command in (verify, inspect, chain, trust, fetch, doctor, emulator, serve, db, keys):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        arguments: the words after the program's name, by default the process's own.
    """
    # cryptography warns of odd names in certificates; evidence shall not write on our stderr.
    warnings.simplefilter("ignore", UserWarning)
    try:
        status = cli.main(arguments, prog_name="attest", standalone_mode=False)
    except click.ClickException as error:
        status = _fail(error.format_message())
    except click.Abort:
        status = _fail("interrupted")
    except OSError as error:
        # Each command names the input that it cannot read; what is left is the output.
        status = _fail(f"cannot write the output: {error.strerror}")
        _drop_output()
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> int:
    """Say what went wrong, where it can be said; a command without arguments shows its help."""
    with contextlib.suppress(OSError):
        click.echo(message if message.startswith("Usage: ") else f"attest: {message}", err=True)
    return 2


def _drop_output() -> None:
    """Send what could not be written nowhere, or Python tries again at its end and complains."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
