"""What docs/trust.md tells an operator to do works, in its order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from attest.download import CRL_HOSTS, ISSUER_HOSTS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/trust.md").read_text(encoding="utf-8")
ISSUER = ROOT / "certs/intermediates/microsoft_tls_g2_rsa_ca_ocsp_02.pem"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here")
def test_examples(tmp_path: Path) -> None:
    """Every block for the shell, one after the other, in one folder."""
    (tmp_path / "trust").mkdir()
    (tmp_path / "imported").mkdir()
    shutil.copy(ISSUER, tmp_path / "issuer.crt")
    blocks = re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    scripts = f"{sysconfig.get_path('scripts')}:{Path(sys.executable).parent}"
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + "\n".join(blocks)],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "the store has all of them" in done.stdout
    assert (tmp_path / "trust-check.txt").read_text().startswith("public: newest issuers")
    assert json.loads((tmp_path / "imported/bundle.json").read_text())


def test_hosts() -> None:
    """The hosts that a firewall must let through are the ones in the code."""
    section = TEXT.partition("## What is fetched")[2].partition("## When fetching")[0]
    for rule in (*ISSUER_HOSTS, *CRL_HOSTS):
        assert f"`{rule.host}`" in section
    named = set(re.findall(r"`([a-z0-9.]+\.(?:com|cn))`", section))
    assert named == {rule.host for rule in (*ISSUER_HOSTS, *CRL_HOSTS)}
