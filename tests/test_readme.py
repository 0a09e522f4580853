"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """Return the fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def steady(text: str) -> str:
    """Replace what no two runs have in common: nonces, request ids and times."""
    text = re.sub(r"[0-9a-f]{32}", "<random>", text)
    return re.sub(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>", text)


def run(command: str) -> str:
    """Run a shell command at the root of the project; return both outputs, errors last."""
    scripts = f"{sysconfig.get_path('scripts')}:{Path(sys.executable).parent}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}"},
        timeout=120,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "session",
    [block for block in blocks("console") if block.startswith("$ attest")],
    ids=lambda block: block.partition("\n")[0],
)
def test_session(session: str) -> None:
    """Each session of the command line prints what the README prints."""
    command, _, expected = session.partition("\n")
    assert run(command.removeprefix("$ ")) == expected


def test_demo_session() -> None:
    """``make demo`` prints what the README prints, in whatever environment it runs."""
    (session,) = (block for block in blocks("console") if block.startswith("$ make demo"))
    real = "tests/vectors/real/regular_2026_06_tls_g2_rsa_ca_ocsp_02.json"
    command = f"bash .ci/demo {real} tests/vectors/forged_subscription.json 2>&1; echo; "
    command += f"{sys.executable} .ci/demo-service"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"REAL := {real}\n" in makefile
    assert "bash .ci/demo $(REAL) $(FORGED)" in makefile
    assert "$(BIN)/python .ci/demo-service" in makefile
    over_http = session.index("* Starting")
    shown = session.removeprefix("$ make demo\n")
    printed = run(command)
    assert printed.partition("* Starting")[0] == shown.partition("* Starting")[0]
    assert steady(printed.partition("* Starting")[2]) == steady(session[over_http:][10:])


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of Python runs, and its assertions hold."""
    monkeypatch.chdir(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_emulator_session(tmp_path: Path) -> None:
    """The loop with the emulator ends in a verified document; only the port is another."""
    (block,) = (block for block in blocks("bash") if "attest emulator" in block)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [line for line in block.replace("8169", str(port)).splitlines() if "pip" not in line]
    outcome = run("\n".join(["trap 'kill %1' EXIT", f"cd {tmp_path}", *lines]))
    assert "Verified for " in outcome
    assert "nonce            1234567890" in outcome


def test_links() -> None:
    """Each relative link leads to a file of the project."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target
