"""What is shipped: the wheel holds all that it needs, the locks hold what they should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from attest import Code
from attest.bundle import BundleCode
from service.errors import ServiceCode

ROOT = Path(__file__).parent.parent
VERIFY = """
import json, pathlib, sys
from datetime import datetime
import attest, certs
assert pathlib.Path(attest.__file__).is_relative_to(sys.argv[1]), attest.__file__
assert pathlib.Path(certs.__file__).is_relative_to(sys.argv[1]), certs.__file__
real = json.load(open(sys.argv[2]))
verifier = attest.Verifier(attest.TrustStore.bundled())
print(verifier.verify(real["signature"], at=datetime.fromisoformat(real["at"])).cloud)
"""


def test_wheel_verifies_by_itself(tmp_path: Path) -> None:
    """The built wheel, and nothing of the source tree, verifies a real document."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(unpacked)
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "attest",
        "certs",
        "imds_attest",
        "service",
    }
    assert {"attest/py.typed", "certs/manifest.json"} <= set(names)
    assert sum(name.endswith(".pem") for name in names) == len(list(ROOT.glob("certs/*/*.pem")))
    real = ROOT / "tests/vectors/real/2021_01_rsa_tls_ca_01.json"
    done = subprocess.run(
        [sys.executable, "-c", VERIFY, str(unpacked), str(real)],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        timeout=60,
    )
    assert done.stdout == "public\n", done.stderr


@pytest.mark.parametrize("lock", sorted(ROOT.glob(".ci/locked/*.txt")), ids=lambda path: path.name)
def test_lock(lock: Path) -> None:
    """Each requirement is pinned and hashed, and no registry is named."""
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert len(requirements) > 10
    for requirement in requirements:
        assert re.match(r"[a-z0-9.-]+==\S+", requirement)
        assert "--hash=sha256:" in requirement


def test_codes_are_documented() -> None:
    """docs/codes.md lists each code with its step."""
    rows = re.findall(
        r"^\| (\d+) \| `(\w+)` \|", (ROOT / "docs/codes.md").read_text(), re.MULTILINE
    )
    codes = [(code.step, code.value) for code in Code] + [(7, code.value) for code in ServiceCode]
    assert sorted((int(step), code) for step, code in rows) == sorted(codes)


def test_bundle_codes_are_documented() -> None:
    """docs/codes.md lists each code that an import can end with."""
    text = (ROOT / "docs/codes.md").read_text()
    rows = re.findall(r"^\| `(bundle_\w+)` \|", text, re.MULTILINE)
    assert rows == [str(code) for code in BundleCode]
