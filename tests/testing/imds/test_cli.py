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
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner
from cryptography import x509

from attest import AppraisalPolicy, Cloud, TrustStore, Verifier
from attest.cli.emulator import emulator
from attest.cli.fetch import fetch
from attest.imds import ImdsClient, ImdsTimeoutError
from attest.testing.imds import FakeImds, load_vms, signing

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "emulator.md"
MAIN = f"""#!{sys.executable}
from attest.cli import main

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
        (["--config", "{port}"], "HOST:PORT"),
        (["--config", "{port}"], "VM c: not served"),
        (["--host", ""], "the address is empty"),
    ],
)
def test_the_emulator_refuses_to_start(tmp_path: Path, arguments: list[str], message: str) -> None:
    """A wrong option or file is told before anything is served."""
    (tmp_path / "bad.toml").write_text("[web]")
    (tmp_path / "listen.toml").write_text("[vm.a]\n[vm.b]\nlisten = 'here'")
    (tmp_path / "port.toml").write_text("[vm.a]\n[vm.b]\nlisten = '127.0.0.1:65536'\n[vm.c]")
    names = {name: tmp_path / f"{name}.toml" for name in ("bad", "listen", "port")}
    words = [word.format(**names) for word in arguments]
    done = CliRunner().invoke(emulator, ["--port", "0", *words])
    assert done.exit_code != 0
    assert message in done.stderr


def test_the_emulator_lists_its_faults() -> None:
    """Every name of the catalogue."""
    done = CliRunner().invoke(emulator, ["--fault", "list"])
    assert done.stdout.split() == list(signing.fault_names())


def _trust_of(pem: bytes) -> TrustStore:
    certificates = x509.load_pem_x509_certificates(pem)
    return TrustStore.from_certificates(
        anchors=[one for one in certificates if one.issuer == one.subject],
        intermediates=[one for one in certificates if one.issuer != one.subject],
        clouds={Cloud.USGOV},
    )


def test_the_emulator_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """Two VMs at two addresses, in two regions, of one authority; SIGTERM ends it with status 0."""
    first, second = _free_port(), _free_port()
    config = tmp_path / "vm.toml"
    config.write_text(
        f"[vm.a]\n[vm.b]\nlisten = '127.0.0.1:{second}'\n"
        "compute = { sku = 'second', location = 'northeurope' }"
    )
    command = ["attest", "emulator", "--port", str(first), "--config", str(config)]
    command += ["--rate-limit", "3", "--cloud", "usgov", "--shape", "ecdsa", "--cache-nonce"]
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
        evidence = [client.attested_document(nonce) for nonce in ("1", "2")]
        hasty = ImdsClient(client.endpoint, retry_seconds=0)
        with pytest.raises(ImdsTimeoutError, match="429"):
            [hasty.instance() for _ in range(4)]
        with urlopen(f"http://127.0.0.1:{first}/_fake/trust.pem", timeout=10) as answer:
            store = _trust_of(answer.read())
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=20)
    assert [line.split()[1] for line in lines] == ["a:", "b:"]
    assert isinstance(compute, dict)
    assert compute["sku"] == "second"
    assert evidence[0] == evidence[1], "--cache-nonce"
    verifier = Verifier(store, AppraisalPolicy(clouds={Cloud.USGOV}))
    assert verifier.verify(evidence[0], at=datetime.now(UTC)).region == "northeurope"
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
