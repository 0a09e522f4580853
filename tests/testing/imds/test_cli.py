"""``attest fetch``, ``attest emulator``, and the commands of docs/emulator.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from attest.cli.emulator import emulator
from attest.cli.fetch import fetch
from attest.imds import ImdsClient
from attest.testing.imds import FakeImds, load_vms, signing

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "emulator.md"
MAIN = f"""#!{sys.executable}
from attest.cli import cli, main
from attest.cli.emulator import emulator
from attest.cli.fetch import fetch

cli.add_command(fetch)
cli.add_command(emulator)
main()
"""


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert isinstance(port, int)
        return port


def _install(folder: Path) -> dict[str, str]:
    """Put the program on the path of a child."""
    program = folder / "bin" / "attest"
    program.parent.mkdir()
    program.write_text(MAIN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def test_fetch_prints_the_evidence(live: FakeImds) -> None:
    """On one line, as IMDS writes it."""
    done = CliRunner().invoke(fetch, ["--endpoint", live.url, "--nonce", "1234567890"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["encoding"] == "pkcs7"
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--endpoint", "http://127.0.0.1:1"], "is this an Azure VM"),
        (["--endpoint", "https://127.0.0.1"], "http://HOST"),
        (["--nonce", "a b", "--endpoint", "http://127.0.0.1:1"], "letters and digits"),
    ],
)
def test_fetch_fails_in_one_line(arguments: list[str], message: str) -> None:
    """No trace of the program's own."""
    done = CliRunner().invoke(fetch, arguments)
    assert done.exit_code != 0
    assert message in done.stderr
    assert "Traceback" not in done.output


def test_fetch_asks_for_the_version_it_is_told(live: FakeImds) -> None:
    """An api-version that is not supported is not replaced."""
    arguments = ["--endpoint", live.url, "--api-version", "2018-04-02"]
    assert "status 400" in CliRunner().invoke(fetch, arguments).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vm", "other"], "there is no VM 'other'"),
        (["--fault", "nothing"], "no mutation"),
        (["--shape", "nothing"], "nothing"),
        (["--config", "{bad}"], "unknown keys"),
        (["--config", "{listen}"], "HOST:PORT"),
    ],
)
def test_the_emulator_refuses_to_start(tmp_path: Path, arguments: list[str], message: str) -> None:
    """A wrong option or file is told before anything is served."""
    (tmp_path / "bad.toml").write_text("[web]")
    (tmp_path / "listen.toml").write_text("[vm.a]\n[vm.b]\nlisten = 'here'")
    names = {"bad": tmp_path / "bad.toml", "listen": tmp_path / "listen.toml"}
    words = [word.format(**names) for word in arguments]
    done = CliRunner().invoke(emulator, ["--port", "0", *words])
    assert done.exit_code != 0
    assert message in done.stderr


def test_the_emulator_lists_its_faults() -> None:
    """Every name of the catalogue."""
    done = CliRunner().invoke(emulator, ["--fault", "list"])
    assert done.stdout.split() == list(signing.fault_names())


def test_the_emulator_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """Two VMs at two addresses, one authority; SIGTERM ends it with status 0."""
    first, second = _free_port(), _free_port()
    config = tmp_path / "vm.toml"
    config.write_text(f"[vm.a]\n[vm.b]\nlisten = '127.0.0.1:{second}'\ncompute.sku = 'second'")
    command = ["attest", "emulator", "--port", str(first), "--config", str(config)]
    environment = _install(tmp_path)
    with subprocess.Popen(
        [shutil.which("attest", path=environment["PATH"]) or "attest", *command[1:]],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        client = ImdsClient(f"http://127.0.0.1:{second}")
        compute = client.instance()["compute"]
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=20)
    assert [line.split()[1] for line in lines] == ["a:", "b:"]
    assert isinstance(compute, dict)
    assert compute["sku"] == "second"
    assert status == 0


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    """Every bash block of docs/emulator.md, in order, in one shell."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    (config,) = _blocks("toml")
    first, second = str(_free_port()), str(_free_port())
    (tmp_path / "vm.toml").write_text(config.replace("8170", second))
    commands = "\n".join(_blocks("bash")).replace("8169", first)
    script = f"set -euo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n{commands}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=_install(tmp_path),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "02aab8a4-74ef-476e-8182-f6d2ba4166a6" in done.stdout
    assert "signature_empty_text" in done.stdout
    assert json.loads((tmp_path / "evidence.json").read_text())["encoding"] == "pkcs7"


def test_the_python_of_the_page() -> None:
    """The example runs as it stands."""
    (code,) = _blocks("python")
    exec(compile(code, str(PAGE), "exec"), {})


def test_the_file_of_the_page(tmp_path: Path) -> None:
    """The TOML reference names every table and loads."""
    (config,) = _blocks("toml")
    path = tmp_path / "vm.toml"
    path.write_text(config)
    machines = load_vms(path)
    assert list(machines) == ["web", "db"]
    assert machines["web"].compute["sku"] == "2022-datacenter"
    assert set(tomllib.loads(config)["vm"]["web"]) == {
        "classic",
        "compute",
        "events",
        "identities",
        "loadbalancer",
        "network",
        "tags",
        "tenant_id",
    }
