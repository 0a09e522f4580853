"""Deployment files and documents: linted as far as that goes without the things they are for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from attest import TrustStore
from attest.testing import FakeAuthority
from service import metrics
from service.metrics import TrustCollector
from service.settings import Settings
from service.state import system_clock
from service.trust_metrics import NewestEvidenceCollector, QuarantineCollector
from tests.service.live import Starter

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "docs" / "deploy"
SERVICE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_dockerfile() -> None:
    """Slim, not root, nothing from registries of our own; what it copies exists."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
    names = [name for name, *_ in lines]
    assert names[0] == "FROM"
    assert [value for name, value in lines if name == "FROM"][-1].endswith("-slim")
    user = next(value for name, value in lines if name == "USER")
    assert user.split(":")[0] != "0" and user != "root"  # noqa: PT018 - one demand
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "--require-hashes" in text
    for path in re.findall(r"^COPY (\S+) \S+$", text, re.MULTILINE):
        assert (ROOT / path).exists()
    for path in re.findall(r"-r (\S+)", text):
        assert (ROOT / path).exists()
    variables = set(re.findall(r"ATTEST_[A-Z_]+", text))
    assert variables <= {f"ATTEST_{name.upper()}" for name in Settings.model_fields}


def test_compose() -> None:
    """Two instances of one image, read-only and without capabilities, behind nginx."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    for name in ("attest1", "attest2"):
        instance = services[name]
        assert instance["read_only"] is True
        assert instance["cap_drop"] == ["ALL"]
        assert "ports" not in instance
        assert (DEPLOY / instance["build"]["context"]).resolve() == ROOT
        known = {f"ATTEST_{field.upper()}" for field in Settings.model_fields}
        assert set(instance["environment"]) <= known
    assert all(port.startswith("127.0.0.1:") for port in services["nginx"]["ports"])
    text = (DEPLOY / "nginx.conf").read_text()
    assert set(re.findall(r"server (\w+):8080", text)) == {"attest1", "attest2"}
    assert text.count("{") == text.count("}")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_unit(tmp_path: Path) -> None:
    """The unit is one that systemd takes, with little exposure."""
    unit = tmp_path / "attest.service"
    text = (DEPLOY / "attest.service").read_text()
    unit.write_text(text.replace("/opt/attest/bin/attest", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert "attest.service:" not in done.stderr
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.search(r"exposure level for attest.service: ([\d.]+)", done.stdout)
    assert match is not None
    assert float(match[1]) < 2


def test_settings_are_documented() -> None:
    """The table has every setting, with its default."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", SERVICE, re.MULTILINE))
    assert {name: rows.get(name) for name in Settings.model_fields} == {
        name: shown_default(name) for name in Settings.model_fields
    }


def shown_default(name: str) -> str:
    """Return how the table writes a setting's default."""
    special = {"workers": "one a core", "data_dir": "`~/.local/state/imds-attest`"}
    if name in special:
        return special[name]
    default = Settings.model_fields[name].default
    if default in {None, ()}:
        return "none"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`"
    return f"`{json.dumps(default) if isinstance(default, bool) else default}`"


def test_toml_example() -> None:
    """The example is a settings file."""
    (example,) = re.findall(r"^```toml\n(.*?)^```$", SERVICE, re.MULTILINE | re.DOTALL)
    Settings(**tomllib.loads(example))


def test_metrics_are_documented() -> None:
    """The table of metrics is whole, and the alerts ask for nothing else."""
    told = set(re.findall(r"^\| `(attest_\w+)", OPERATIONS, re.MULTILINE))
    store, clock = TrustStore.bundled(), system_clock
    looked_at = (
        TrustCollector(store),
        NewestEvidenceCollector(store, clock),
        QuarantineCollector(int),
    )
    families = text_string_to_metric_families(metrics.render(*looked_at).decode())
    suffixes = {"counter": "_total", "info": "_info"}
    names = {
        family.name + suffixes.get(family.type, "")
        for family in families
        if family.name.startswith("attest_")
    }
    # In the text of one process alone, a counter brings a gauge of when it was made.
    names = {name for name in names if not name.endswith("_created")}
    assert told == names
    (rules,) = re.findall(r"^```yaml\n(.*?)^```$", OPERATIONS, re.MULTILINE | re.DOTALL)
    for rule in yaml.safe_load(rules)["groups"][0]["rules"]:
        (used,) = set(re.findall(r"attest_\w+", rule["expr"]))
        assert used.removesuffix("_bucket") in names


@pytest.fixture(name="imds")
def imds_(authority: FakeAuthority) -> Iterator[str]:
    """Serve signed documents, as a VM would send them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
            body = authority.sign(nonce=nonce).json.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/?nonce="
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not here")
def test_curl_examples(tmp_path: Path, trust_pem: Path, imds: str) -> None:
    """The examples of docs/service.md, in their order, do what the text says."""
    url = f"sqlite:///{tmp_path}/attest.db"
    start = Starter(tmp_path, {"ATTEST_TEST_TRUST": str(trust_pem), "ATTEST_DATABASE_URL": url})
    blocks = re.findall(r"^```bash\n(.*?)^```$", SERVICE, re.MULTILINE | re.DOTALL)
    try:
        live = start(workers=1)
        script = f'set -euo pipefail\nattested_document() {{ curl -s "{imds}$1"; }}\n'
        script += "echo ======\n".join(blocks).replace("127.0.0.1:8080", f"127.0.0.1:{live.port}")
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    finally:
        start.stop()
    issued, verified, again, ready = done.stdout.split("======\n")
    assert set(json.loads(issued)) == {"nonce", "expires_at"}
    result, status = verified.strip().rsplit("\n", 1)
    assert (json.loads(result)["verified"], status) == (True, "200")
    problem, status = again.strip().rsplit("\n", 1)
    assert (json.loads(problem)["code"], status) == ("challenge_used", "422")
    assert json.loads(ready.splitlines()[0])["ready"] is True
    assert ready.split("\n")[-4:] == ["200", "200", "200", ""]
