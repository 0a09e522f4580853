"""The page's own commands, unchanged but for the address."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from attest.testing import Shape
from attest.testing.imds import FakeImds, VirtualMachine
from tests.testing.imds import page

AZURE = "http://169.254.169.254"
# What the page shows as the answer, by the end of the path.
SHOWN = {
    "/vmId": "5c08b38e-4d57-4c23-ac45-aca61037f084",
    "/platformFaultDomain": "0",
    "/azEnvironment": "AzurePublicCloud",
    "/tags": "Department:IT;Environment:Test;Role:WebRole",
}


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def _run(line: str, url: str) -> str:
    words = shlex.split(line.replace(AZURE, url))
    done = subprocess.run([*words, "-sS"], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout


def test_the_page_has_thirteen_lines() -> None:
    """None was lost when the page was copied."""
    assert len(page.curl_lines()) == 13


@pytest.mark.parametrize("line", page.curl_lines())
def test_a_curl_line(live: FakeImds, line: str) -> None:
    """A sample request of the page answers as the page shows."""
    _need("curl")
    output = _run(line, live.url)
    path, _, query = line.rstrip('"').partition(AZURE)[2].partition("?")
    if not query:
        assert len(json.loads(output)["newest-versions"]) == 3
    elif "format=text" in query:
        shown = [text for end, text in SHOWN.items() if path.endswith(end)]
        assert output == shown[0] if shown else output
    else:
        assert "error" not in json.loads(output)


def test_jq_reads_the_answer(live: FakeImds) -> None:
    """The page's filter for the signature."""
    _need("curl", "jq")
    (line,) = (line for line in page.curl_lines() if "attested" in line)
    answer = _run(line, live.url)
    done = subprocess.run(
        ["jq", "-r", '.["signature"]'], input=answer, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("MII")


def _recipe(url: str, trust: Path) -> str:
    recipe = (page.DATA / "page_recipe.sh").read_text()
    changed = recipe.replace(AZURE, url)
    return changed.replace("/etc/ssl/certs/Baltimore_CyberTrust_Root.pem", str(trust))


@pytest.mark.parametrize("shape", [Shape.BALTIMORE, Shape.RSA_XSIGN])
def test_the_openssl_recipe(tmp_path: Path, shape: Shape) -> None:
    """Sample 2 of "Attested data", whole: the signature, the names and the chain."""
    _need("bash", "curl", "jq", "openssl", "base64", "awk", "grep")
    vm = VirtualMachine.from_mapping({"compute": {"sku": "RS3-Pro"}})
    with FakeImds(vm, shape=shape) as imds:
        trust = tmp_path / "trust.pem"
        trust.write_bytes(imds.authority.trust_pem())
        script = f"set -euo pipefail\n{_recipe(imds.url, trust)}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert '"sku":"RS3-Pro"' in done.stdout
    assert "CN = metadata.azure.com" in done.stdout or "CN=metadata.azure.com" in done.stdout
    assert "signer.pem: OK" in done.stdout
    assert "successful" in done.stderr


def test_two_aia_addresses_break_the_recipe(live: FakeImds, tmp_path: Path) -> None:
    """Signers of 2026 name two issuers' addresses; the recipe's curl takes one."""
    _need("bash", "curl", "jq", "openssl", "base64", "awk", "grep")
    script = f"set -euo pipefail\n{_recipe(live.url, tmp_path / 'trust.pem')}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 3, "curl: URL malformed"
    assert (tmp_path / "signer.pem").exists()
    assert not (tmp_path / "intermediate.cer").exists()
