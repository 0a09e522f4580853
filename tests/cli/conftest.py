"""The command line in this process: arguments in, exit status and text out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from attest.cli import main


class Outcome(NamedTuple):
    """What one call of the command gave."""

    status: int
    out: str
    err: str


Attest = Callable[..., Outcome]


@pytest.fixture(name="attest")
def attest_(capsys: pytest.CaptureFixture[str]) -> Attest:
    """Call the command in this process."""

    def call(*arguments: str | Path) -> Outcome:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        assert "Traceback" not in captured.err
        return Outcome(stopped.value.code, captured.out, captured.err)

    return call
