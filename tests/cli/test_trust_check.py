"""``attest trust check``: until when new evidence will verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from attest.cli.trust.shared import short_names
from attest.testing import FakeAuthority
from tests.cli.conftest import Attest
from tests.support.pki import AT, pem_of, pki


def test_healthy(attest: Attest) -> None:
    """The newest issuers come first, one line a cloud; what retires beside them is no alarm."""
    outcome = attest("trust", "check", "--at", "2026-11-22T00:00:00Z")
    assert outcome.status == 0
    assert outcome.err == ""
    first = outcome.out.splitlines()[:3]
    assert [line.partition(":")[0] for line in first] == ["china", "public", "usgov"]
    assert first[1].startswith(
        "public: newest issuers (Microsoft TLS G2 RSA CA OCSP nn, since 2025-08-01) "
        "verify until 2029-06-03; the last path of all until 2031-"
    )
    assert "1 expired twin, no alarm: another path is live" in outcome.out
    assert "retired, kept for old evidence: no alarm" in outcome.out
    assert "  yes  DigiCert Global Root G2" in outcome.out


def test_older_issuers_that_end_are_no_alarm(attest: Attest) -> None:
    """Their successors are pinned: told in the details, for nobody to get up at night."""
    arguments = ("trust", "check", "--at", "2028-04-01T00:00:00Z")
    quiet = attest(*arguments)
    assert (quiet.status, quiet.err) == (0, "")
    assert "ENDS SOON" in quiet.out
    as_json = json.loads(attest(*arguments, "--format", "json").out)
    ending = {item["subject"] for item in as_json["ending_soon"]}
    assert "CN=Microsoft Azure RSA TLS Issuing CA 08,O=Microsoft Corporation,C=US" in ending


def test_newest_issuers_that_end_are_an_alarm(attest: Attest) -> None:
    """Exit status 1 within --warn-days of the end, and after it."""
    arguments = ("trust", "check", "--cloud", "public", "--at", "2029-05-01T00:00:00Z")
    soon = attest(*arguments)
    assert soon.status == 1
    assert soon.err == (
        "attest: public: the paths of its newest issuers end in 33 days, on 2029-06-03: "
        "look for an update\n"
    )
    assert attest(*arguments, "--warn-days", "33").status == 0
    ended = attest("trust", "check", "--cloud", "public", "--at", "2029-07-01T00:00:00Z")
    assert ended.status == 1
    assert ") verified until 2029-06-03" in ended.out
    assert "newest issuers ended on 2029-06-03" in ended.err
    alarm = json.loads(attest(*arguments, "--format", "json").out)["newest"]
    assert [item["cloud"] for item in alarm] == ["public"]
    assert alarm[0]["since"] == "2025-08-01T20:02:59Z"
    assert alarm[0]["verify_until"] == "2029-06-03T20:02:59Z"
    assert alarm[0]["days_left"] == 33
    assert alarm[0]["last_path_until"].startswith("2031-")
    assert len(alarm[0]["issuers"]) == 8
    assert alarm[0]["issuers"][0].startswith("CN=Microsoft TLS G2 RSA CA OCSP ")


@pytest.mark.parametrize("moment", ["2060-01-01T00:00:00Z", "1999-01-01T00:00:00Z"])
def test_a_cloud_without_live_paths_is_an_alarm(attest: Attest, moment: str) -> None:
    """Every path has ended, or none has begun."""
    arguments = ("trust", "check", "--cloud", "public", "--at", moment)
    outcome = attest(*arguments)
    assert outcome.status == 1
    assert outcome.err == "attest: no live path is left for the cloud public\n"
    assert json.loads(attest(*arguments, "--format", "json").out)["ended"] == ["public"]


def test_own_trust(attest: Attest, tmp_path: Path) -> None:
    """A store of the operator's own is looked at in the same way; one of a root alone, too."""
    root = tmp_path / "root.pem"
    root.write_bytes(pem_of(pki().root.certificate))
    at = AT.isoformat()
    arguments = ("trust", "check", "--trust", root, "--cloud", "public", "--at", at)
    outcome = attest(*arguments)
    assert outcome.status == 0
    assert "newest issuers (Test Root G1, since" in outcome.out
    root.write_bytes(pem_of(pki().root.certificate, pki().intermediate.certificate))
    assert "newest issuers (Test Issuing CA 01, since" in attest(*arguments).out


def test_short_names() -> None:
    """Numbers fold, and a long list ends."""
    assert short_names(["CA 01", "CA 02"]) == "CA nn"
    assert short_names(["CA 01", "Other"]) == "CA 01, Other"
    assert short_names("ABCDE") == "A, B, C and 2 more"


@pytest.mark.parametrize("command", ["check", "list"])
def test_folders_of_the_operator(attest: Attest, tmp_path: Path, command: str) -> None:
    """What was added by hand counts, and a folder that cannot be used is an error."""
    authority = FakeAuthority()
    anchors = tmp_path / "anchors" / "public"
    anchors.mkdir(parents=True)
    for anchor in authority.anchors:
        (anchors / "fake.pem").write_bytes(anchor.public_bytes(Encoding.PEM))
    for number, link in enumerate(authority.intermediates):
        (tmp_path / f"{number}.pem").write_bytes(link.public_bytes(Encoding.PEM))
    plain = attest("trust", command, "--cloud", "public", "--format", "json")
    more = attest(
        "trust", command, "--cloud", "public", "--format", "json", "--trust-dir", tmp_path
    )
    assert (plain.status, more.status) == (0, 0)
    assert json.loads(more.out)["generation"] != json.loads(plain.out)["generation"]
    assert "Fake" in more.out
    assert "Fake" not in plain.out
    missing = attest("trust", command, "--trust-dir", tmp_path / "none")
    assert missing.status == 2
    assert missing.err.count("\n") == 1
