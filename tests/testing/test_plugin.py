"""The pytest plugin, and the worked example of docs/testing.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import attest
from attest.testing.mutations import FORGERIES

pytest_plugins = ["pytester"]

DOCS = Path(__file__).parent.parent.parent / "docs" / "testing.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
LICENSING, TESTS, CONFTEST, SCRIPT = BLOCKS
INSTALLED = any(
    point.value == "attest.testing.plugin" for point in metadata.entry_points(group="pytest11")
)
PLUGIN = [] if INSTALLED else ["-p", "attest.testing.plugin"]


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the tests of the temporary folder in a process of their own."""
    return pytester.runpytest_subprocess(*PLUGIN, "-p", "no:cacheprovider", *arguments)


@pytest.fixture(autouse=True)
def _same_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes of their own import the package that is under test here."""
    root = Path(attest.__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", str(root), prepend=os.pathsep)


@pytest.fixture
def vendor(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the vendor's code and tests, as the docs show them."""
    pytester.makepyfile(licensing=LICENSING, test_licensing=TESTS)
    pytester.syspathinsert()
    return pytester


def test_worked_example(vendor: pytest.Pytester) -> None:
    """The vendor's tests pass, one for each forgery among them."""
    run(vendor, "-W", "error").assert_outcomes(passed=5 + len(FORGERIES))


def test_a_check_that_does_not_verify_is_caught(vendor: pytest.Pytester) -> None:
    """Code that believes the document without verifying it fails the vendor's tests."""
    code = LICENSING.replace(
        "Verifier(trust, POLICY).verify(answer, at=at, nonce=nonce)",
        "Verifier(trust, POLICY).inspect(answer, at=at, nonce=nonce)",
    ).replace("result.document.vm_id", "result.unverified_document.vm_id")
    vendor.makepyfile(licensing=code)
    outcomes = run(vendor, "-k", "forged").parseoutcomes()
    assert outcomes["failed"] > len(FORGERIES) / 2


def test_conftest_replaces_the_authority(pytester: pytest.Pytester) -> None:
    """A vendor's own fake_authority reaches the other fixtures."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        from attest import Verifier

        def test_cloud(fake_authority, attested_document):
            verifier = Verifier(fake_authority.trust_store())
            result = verifier.verify(attested_document().json, at=fake_authority.now())
            assert (result.cloud, fake_authority.shape) == ("usgov", "rsa_xsign")
        """
    )
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=1)


def test_forge_document_takes_fields(pytester: pytest.Pytester) -> None:
    """The forging function runs once for each forgery, with the document's fields."""
    pytester.makepyfile(
        """
        def test_fields(forge_document):
            sku = "scanner-gold"
            assert forge_document(sku=sku).evidence != forge_document().evidence
        """
    )
    result = pytester.runpytest_inprocess(*PLUGIN, "-k", "vm_id_replaced or json_nan")
    result.assert_outcomes(passed=2, deselected=len(FORGERIES) - 2)


def test_script() -> None:
    """The example without pytest runs, and its assertions hold."""
    exec(compile(SCRIPT, str(DOCS), "exec"), {})  # our own documentation


def test_imports_no_flask() -> None:
    """Whoever only installs the plugin does not pay for Flask."""
    code = "import sys, attest.testing.plugin; sys.exit('flask' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
