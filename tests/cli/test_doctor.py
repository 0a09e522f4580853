"""``attest doctor`` against the emulator: one screen that explains."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from attest.cli import issuers
from attest.testing.imds import FakeImds, VirtualMachine
from tests.cli.conftest import Attest
from tests.support.pki import pem_of

PLAN = {"name": "gold", "product": "suite", "publisher": "acme"}


def vm() -> VirtualMachine:
    """Return a VM with a plan."""
    return VirtualMachine.from_mapping({"compute": {"plan": PLAN}})


@pytest.fixture(scope="module")
def imds() -> Iterator[FakeImds]:
    """Serve a VM."""
    with FakeImds(vm()) as server:
        yield server


@pytest.fixture(name="trust")
def trust_(imds: FakeImds, tmp_path: Path) -> Path:
    """Return the roots and intermediates of its authority."""
    file = tmp_path / "trust.pem"
    file.write_bytes(imds.authority.trust_pem())
    return file


@pytest.fixture(name="roots")
def roots_(imds: FakeImds, tmp_path: Path) -> Path:
    """Return its roots alone, as before a rotation."""
    file = tmp_path / "roots.pem"
    file.write_bytes(pem_of(*imds.authority.anchors))
    return file


def fits_a_screen(text: str) -> bool:
    """Tell whether a terminal of 80 columns and 24 lines shows all of it."""
    lines = text.splitlines()
    return len(lines) <= 24 and all(
        len(line) <= 80 for line in lines if "INSTEAD OF" not in line and "http" not in line
    )


def test_healthy(attest: Attest, imds: FakeImds, trust: Path) -> None:
    """Document, clock, path and what ends first; nothing to do."""
    outcome = attest("doctor", "--endpoint", imds.url, "--trust", trust)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"Endpoint   {imds.url} answered in " in outcome.out
    assert "Verdict    verified for " in outcome.out
    assert "Plan       acme / suite / gold" in outcome.out
    assert "Clock      agrees with Azure's" in outcome.out
    assert "  metadata.azure.com                                evidence        149" in outcome.out
    assert "Of the CAs, Microsoft TLS G2 RSA CA OCSP 02 ends first, on " in outcome.out
    assert "is of the newest generation known" in outcome.out
    assert outcome.out.endswith("Next\n  Nothing to do.\n")
    assert fits_a_screen(outcome.out)


def test_json(attest: Attest, imds: FakeImds, trust: Path) -> None:
    """The same for programs."""
    outcome = attest("doctor", "--endpoint", imds.url, "--trust", trust, "--format", "json")
    found = json.loads(outcome.out)
    assert found["healthy"] is True
    assert found["refusal"] is None
    assert found["cloud"] == "public"
    assert found["document"]["plan"] == PLAN
    assert abs(found["clock_ahead_seconds"]) <= 5
    assert [link["origin"] for link in found["chain"]] == ["evidence", *["operator"] * 3]
    assert found["issuer_verifies_until"] == found["chain"][1]["not_after"]
    assert found["issuer_is_newest"] is True
    assert found["advice"] == found["commands"] == []
    assert found["trust"] == str(trust)


def test_an_end_that_comes_near(attest: Attest, imds: FakeImds, trust: Path) -> None:
    """Exit status 1 when documents of the issuer stop verifying within --warn-days."""
    arguments = ["doctor", "--endpoint", imds.url, "--trust", trust, "--warn-days"]
    outcome = attest(*arguments, "1200")
    assert outcome.status == 1
    assert "Verdict    verified for " in outcome.out
    assert "Update imds-attest before that day" in outcome.out
    assert attest(*arguments, "1000").status == 0


def test_unknown_issuer(attest: Attest, imds: FakeImds, roots: Path) -> None:
    """Who is missing, where it is said to be, and the commands."""
    arguments = ["doctor", "--endpoint", imds.url, "--trust", roots]
    outcome = attest(*arguments)
    assert outcome.status == 1
    assert "Verdict    REFUSED: issuer_unknown (step 8, path)" in outcome.out
    assert "Missing    CN=Microsoft TLS G2 RSA CA OCSP 02,O=Fake Microsoft" in outcome.out
    assert f"  is at    {imds.url}/pkiops/certs/" in outcome.out
    assert "    attest doctor --fetch-issuers\n    attest trust pending\n" in outcome.out
    # The emulator's own address is none that an operator should download CAs from.
    assert "curl" not in outcome.out
    assert fits_a_screen(outcome.out)
    found = json.loads(attest(*arguments, "--format", "json").out)
    assert found["healthy"] is False
    assert found["refusal"]["code"] == "issuer_unknown"
    assert found["missing_issuer"].startswith("CN=Microsoft TLS G2 RSA CA OCSP 02")
    assert len(found["missing_issuer_urls"]) == 2
    assert found["commands"][-1] == "attest trust approve FINGERPRINT"


class Published:
    """A source of issuers that finds what the authority publishes."""

    def __init__(self, imds: FakeImds) -> None:
        self._imds = imds

    def candidates(
        self, certificate: x509.Certificate, trusted: Sequence[x509.Certificate]
    ) -> Sequence[x509.Certificate]:
        """Return all of it."""
        return list(self._imds.authority.certificates_by_url().values())


def test_a_fetched_issuer(
    attest: Attest, imds: FakeImds, roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It verifies here, and will not where fetching is not allowed."""
    monkeypatch.setattr(issuers, "aia_source", lambda: Published(imds))
    outcome = attest("doctor", "--endpoint", imds.url, "--trust", roots, "--fetch-issuers")
    assert outcome.status == 0
    assert "The issuer was fetched and is not pinned" in outcome.out
    assert "verifiers that may not fetch refuse this VM's documents" in " ".join(
        outcome.out.split()
    )
    assert fits_a_screen(outcome.out)


def test_an_operators_folder(attest: Attest, imds: FakeImds, tmp_path: Path) -> None:
    """What the operator added counts, and is told apart from what is pinned."""
    folder = tmp_path / "trust.d"
    anchors = folder / "anchors" / "public"
    anchors.mkdir(parents=True)
    (anchors / "root.pem").write_bytes(pem_of(*imds.authority.anchors))
    (folder / "links.pem").write_bytes(pem_of(*imds.authority.intermediates))
    outcome = attest("doctor", "--endpoint", imds.url, "--trust-dir", folder)
    assert outcome.status == 0
    assert "The issuer was added by the operator" in outcome.out
    broken = attest("doctor", "--endpoint", imds.url, "--trust-dir", tmp_path / "none")
    assert broken.status == 2
    assert broken.err.startswith("attest: --trust-dir cannot be used: ")


@pytest.mark.parametrize(
    ("seconds", "code", "word"),
    [
        (-60, None, "ahead of"),
        (60, None, "behind"),
        (3600, "document_not_yet_valid", "behind"),
        (-7 * 3600, "document_expired", "ahead of"),
    ],
)
def test_a_wrong_clock(
    attest: Attest, tmp_path: Path, seconds: int, code: str | None, word: str
) -> None:
    """The endpoint's time and ours differ: it is told, and it is said what to set."""

    def azures() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds)

    with FakeImds(vm(), clock=azures) as server:
        trust = tmp_path / "trust.pem"
        trust.write_bytes(server.authority.trust_pem())
        outcome = attest("doctor", "--endpoint", server.url, "--trust", trust)
    told = re.search(rf"^Clock      about (\d+) s {word} Azure's$", outcome.out, re.MULTILINE)
    assert told is not None
    assert abs(int(told[1]) - abs(seconds)) <= 5
    assert outcome.status == (0 if code is None else 1)
    assert code is None or f"REFUSED: {code} (step 7, freshness)" in outcome.out
    assert "Set this machine's clock" in outcome.out
    assert fits_a_screen(outcome.out)


def test_an_earlier_document(attest: Attest, tmp_path: Path) -> None:
    """IMDS may answer from its cache: no verdict on any clock then."""
    with FakeImds(vm(), cache_nonce=True) as server:
        trust = tmp_path / "trust.pem"
        trust.write_bytes(server.authority.trust_pem())
        arguments = ["doctor", "--endpoint", server.url, "--trust", trust]
        assert attest(*arguments).status == 0
        outcome = attest(*arguments)
    assert outcome.status == 1
    assert "REFUSED: nonce_mismatch" in outcome.out
    assert "Clock      not compared" in outcome.out
    assert "ask again in some minutes" in outcome.out


def test_a_forged_document(attest: Attest, tmp_path: Path) -> None:
    """What is no rotation is no riddle either: code and detail, and where to look."""
    with FakeImds(vm(), fault="name_foreign") as server:
        trust = tmp_path / "trust.pem"
        trust.write_bytes(server.authority.trust_pem())
        outcome = attest("doctor", "--endpoint", server.url, "--trust", trust)
    assert outcome.status == 1
    assert "REFUSED: signer_name_mismatch (step 4, signer name, key, usages)" in outcome.out
    assert "attest fetch | attest inspect" in outcome.out


def test_nothing_answers(attest: Attest) -> None:
    """Exit status 2, in one line; JSON on standard output where asked for."""
    arguments = ["doctor", "--endpoint", "http://127.0.0.1:1"]
    outcome = attest(*arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("attest: nothing answers at http://127.0.0.1:1")
    assert outcome.err.count("\n") == 1
    found = json.loads(attest(*arguments, "--format", "json").out)
    assert found["healthy"] is False
    assert "nothing answers" in found["unreachable"]


def test_no_endpoint(attest: Attest) -> None:
    """An address that cannot be meant is a usage error."""
    outcome = attest("doctor", "--endpoint", "ftp://host")
    assert outcome.status == 2
    assert "--endpoint" in outcome.err
