"""The command line as a user meets it: arguments in, exit status and text out."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from attest.cli import options
from tests.cli.conftest import Attest

VECTORS = Path(__file__).parent.parent / "vectors"
REAL = VECTORS / "real" / "regular_2026_06_tls_g2_rsa_ca_ocsp_02.json"
AT = "2026-06-25T18:57:45Z"
FORGERIES = VECTORS / "forgeries"
FORGERY_AT = "2026-07-28T14:00:00Z"


def real_signature() -> str:
    """Return the base64 of the real document."""
    signature = json.loads(REAL.read_text())["signature"]
    assert isinstance(signature, str)
    return signature


@pytest.mark.parametrize("form", ["imds", "base64", "wrapped base64", "der", "pem", "cms pem"])
def test_verify_reads_every_form(attest: Attest, tmp_path: Path, form: str) -> None:
    """IMDS JSON, base64, DER and PEM of one document all verify."""
    signature = real_signature()
    wrapped = "\n".join(textwrap.wrap(signature, 64)) + "\n"
    forms = {
        "imds": json.dumps({"encoding": "pkcs7", "signature": signature}).encode(),
        "base64": signature.encode(),
        "wrapped base64": wrapped.encode(),
        "der": base64.b64decode(signature),
        "pem": f"-----BEGIN PKCS7-----\n{wrapped}-----END PKCS7-----\n".encode(),
        "cms pem": f"-----BEGIN CMS-----\n{wrapped}-----END CMS-----\n".encode(),
    }
    file = tmp_path / "evidence"
    file.write_bytes(forms[form])
    outcome = attest("verify", file, "--at", AT)
    assert outcome.status == 0
    assert outcome.out.startswith("Verified for 2026-06-25T18:57:45Z\n")
    assert outcome.err == ""


def test_verify_json(attest: Attest) -> None:
    """The JSON result has the keys of the contract."""
    outcome = attest("verify", REAL, "--at", AT, "--format", "json")
    result = json.loads(outcome.out)
    assert outcome.status == 0
    assert list(result) == [
        "verified",
        "cloud",
        "region",
        "document",
        "signer",
        "chain",
        "verified_at",
        "valid_until",
        "revocation",
    ]
    assert result["verified"] is True
    assert result["cloud"] == "public"
    assert result["region"] == "eastus"
    assert result["document"] == {
        "vm_id": "dc18de58-292f-4794-9a5d-a4192bad0039",
        "subscription_id": "05e8b285-4ce1-46a3-b4c9-f51ba67d6acc",
        "sku": "20_04-lts-gen2",
        "license_type": None,
        "plan": None,
        "nonce": "20260626-005645",
        "created_on": "2026-06-25T18:56:45Z",
        "expires_on": "2026-06-26T00:56:45Z",
        "extra": {},
    }
    assert [link["origin"] for link in result["chain"]] == ["evidence", "pinned", "pinned"]
    assert result["chain"][0]["sha256"] == result["signer"]["sha256"]
    assert result["verified_at"] == "2026-06-25T18:57:45Z"
    assert result["valid_until"] == "2026-06-26T00:56:45Z"


@pytest.mark.parametrize(
    ("arguments", "code", "step"),
    [
        (["--nonce", "1234567890"], "nonce_mismatch", 7),
        (["--at", "2026-06-28T18:57:45Z"], "document_expired", 7),
        (["--cloud", "usgov", "--cloud", "china"], "cloud_not_allowed", 4),
        (["--max-age", "59"], "document_too_old", 7),
        (
            ["--subscription", "00000000-0000-0000-0000-000000000000"],
            "subscription_not_allowed",
            10,
        ),
        (["--at", "2026-06-25T18:56:44Z"], "document_not_yet_valid", 7),
    ],
)
def test_verify_refuses(attest: Attest, arguments: list[str], code: str, step: int) -> None:
    """Each option's demand is made; JSON on one output, one line on the other, exit status 1."""
    outcome = attest("verify", REAL, "--format", "json", "--at", AT, *arguments)
    assert outcome.status == 1
    rejection = json.loads(outcome.out)
    assert (rejection["verified"], rejection["code"], rejection["step"]) == (False, code, step)
    assert outcome.err.startswith(f"attest: refused: {code} (step {step}, ")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonce", "20260626-005645"],
        ["--max-age", "60"],
        ["--subscription", "05E8B285-4ce1-46a3-b4c9-f51ba67d6acc", "--subscription", "another"],
        ["--cloud", "public"],
        ["--at", "2026-06-25T20:57:45+02:00"],
        ["--at", "2026-06-25T18:56:15Z", "--skew", "30"],
    ],
)
def test_verify_accepts(attest: Attest, arguments: list[str]) -> None:
    """A demand that is met changes nothing."""
    assert attest("verify", REAL, "--at", AT, *arguments).status == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["verify", "no/such/file"], "no/such/file"),
        (["verify", "."], "directory"),
        (["verify", str(REAL), "--at", "yesterday"], "yesterday"),
        (["verify", str(REAL), "--at", "2026-06-25T18:57:45"], "2026-06-25T18:57:45"),
        (["verify", str(REAL), "--at", "9999-12-31T23:59:59-01:00"], "9999-12-31"),
        (["verify", str(REAL), "--skew", "86401"], "86401"),
        (["inspect", str(REAL), "--max-age", "99999999999999999"], "99999999999999999"),
        (["trust", "check", "--warn-days", "9999999999"], "9999999999"),
        (["verify", str(REAL), "--trust", "no/file"], "loaded: no/file: No such file"),
        (["verify", str(REAL), "--intermediates", str(FORGERIES.parent)], "no file of it"),
        (["verify", str(REAL), "--cloud", "mars"], "mars"),
        (["verify", str(REAL), "--max-age", "-1"], "-1"),
        (["verify", str(REAL), "--trust", "no/such/file"], "no/such/file"),
        (["verify", str(REAL), "--trust", str(REAL)], "--trust"),
        (["verify", str(REAL), "--intermediates", "no/such/file"], "no/such/file"),
        (["verify", str(REAL), "--crl", "no/such/file"], "no/such/file"),
        (["verify", str(REAL), "--crl", str(FORGERIES / "root.pem")], "CRL"),
        (["verify", str(REAL), "--no-such-option"], "--no-such-option"),
        (["chain", str(FORGERIES / "enc_zeros.der")], "neither"),
        (["no-such-command"], "no-such-command"),
    ],
)
def test_usage_errors(attest: Attest, arguments: list[str], word: str) -> None:
    """What cannot be read as a file or option: exit status 2, one line that names it."""
    outcome = attest(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith("attest: ")
    assert outcome.err.count("\n") == 1
    assert word in outcome.err


def test_empty_folder_of_crls_is_no_way_around_revocation(attest: Attest, tmp_path: Path) -> None:
    """``--crl`` with a folder without CRLs is an error, not a verification without CRLs."""
    outcome = attest("verify", REAL, "--at", AT, "--crl", tmp_path)
    assert outcome.status == 2
    assert outcome.err == f"attest: cannot read {tmp_path}: no file of it ends in .crl or .pem\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "evidence_malformed"),
        (b"!!!", "evidence_not_base64"),
        (b'{"encoding":"pkcs7"}', "evidence_malformed"),
        (b"\x30\x82\xff\xff", "cms_malformed"),
        (b"\xff\xfe", "cms_malformed"),
        (b"A" * 10_000_000, "evidence_too_large"),
        (b"\x30" * 10_000_000, "evidence_too_large"),
        (b'{"a":' * 16_000, "evidence_malformed"),
        (b"-----BEGIN PKCS7-----\nAAAA\n-----END CMS-----\n", "evidence_malformed"),
    ],
)
def test_bad_input(attest: Attest, tmp_path: Path, content: bytes, code: str) -> None:
    """What is read and refused: exit status 1 with a code, never a traceback."""
    file = tmp_path / "evidence"
    file.write_bytes(content)
    outcome = attest("verify", file)
    assert outcome.status == 1
    assert outcome.err.startswith(f"attest: refused: {code} ")
    inspected = attest("inspect", file)
    assert inspected.status == 0
    assert code in inspected.out


def test_own_trust_says_so(attest: Attest) -> None:
    """``--trust`` replaces the pinned store, and the output says that it did."""
    folder = VECTORS / "forgeries"
    good = folder / "good.der"
    arguments = ["--at", FORGERY_AT, "--trust", folder / "root.pem"]
    intermediate = ["--intermediates", folder / "intermediate.pem"]
    assert attest("verify", good, "--at", FORGERY_AT).status == 1
    refused = attest("verify", good, *arguments)
    assert "issuer_unknown" in refused.err
    refusal = json.loads(attest("verify", good, *arguments, "--format", "json").out)
    assert (refusal["verified"], refusal["trust"]) == (False, str(folder / "root.pem"))
    for command in ("list", "check"):
        store = ["trust", command, "--trust", folder / "root.pem"]
        assert "INSTEAD OF the pinned store" in attest(*store).out
        shown = json.loads(attest(*store, "--format", "json").out)
        assert shown["trust"] == str(folder / "root.pem")
    verified = attest("verify", good, *arguments, *intermediate)
    assert verified.status == 0
    assert "INSTEAD OF the pinned store" in verified.out
    as_json = attest("verify", good, *arguments, *intermediate, "--format", "json")
    assert json.loads(as_json.out)["trust"] == str(folder / "root.pem")
    assert attest("verify", REAL, "--at", AT, "--trust", folder / "root.pem").status == 1


def test_inspect_is_plain_when_piped_and_never_a_verdict(attest: Attest) -> None:
    """No escape sequence reaches a pipe, and a forged document still exits with 0."""
    outcome = attest("inspect", VECTORS / "forged_subscription.json", "--at", AT)
    assert outcome.status == 0
    assert "\x1b" not in outcome.out
    assert "failed   signature_invalid" in outcome.out
    assert "not a verdict" in outcome.out
    as_json = attest("inspect", REAL, "--at", AT, "--format", "json")
    inspection = json.loads(as_json.out)
    assert "verified" not in inspection
    assert [step["status"] for step in inspection["steps"]].count("passed") == 9
    assert inspection["unverified_document"]["sku"] == "20_04-lts-gen2"


def test_chain_of_document_and_of_certificate(attest: Attest, tmp_path: Path) -> None:
    """The chain check takes the document, or its signer certificate alone."""
    as_json = attest("chain", REAL, "--at", AT, "--format", "json")
    chain = json.loads(as_json.out)
    assert as_json.status == 0
    assert chain["valid"] is True
    assert [link["origin"] for link in chain["chain"]] == ["evidence", "pinned", "pinned"]
    text = attest("chain", REAL, "--at", AT)
    assert text.out.startswith("Valid path for eastus.metadata.azure.com, cloud public")
    certificate = FORGERIES / "leaf.pem"
    refused = attest("chain", certificate, "--at", FORGERY_AT)
    assert refused.status == 1
    assert "issuer_unknown" in refused.err
    assert "its issuer is said to be at http://www.microsoft.com/pkiops/certs/" in refused.err
    own = ["--trust", FORGERIES / "root.pem", "--untrusted", FORGERIES / "intermediate.pem"]
    assert attest("chain", certificate, "--at", FORGERY_AT, *own).status == 0
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificate.read_bytes() + (FORGERIES / "intermediate.pem").read_bytes())
    assert attest("chain", bundle, "--at", FORGERY_AT, *own[:2]).status == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--name", "evil.example"], "path_invalid"),
        (["--cloud", "china"], "cloud_not_allowed"),
        (["--at", "2027-06-25T18:57:45Z"], "certificate_expired"),
        (["--at", "2025-06-25T18:57:45Z"], "certificate_not_yet_valid"),
    ],
)
def test_chain_refuses(attest: Attest, arguments: list[str], code: str) -> None:
    """A name, a cloud or a time that the path does not serve."""
    outcome = attest("chain", REAL, "--at", AT, *arguments, "--format", "json")
    assert outcome.status == 1
    refusal = json.loads(outcome.out)
    assert (refusal["valid"], refusal["code"]) == (False, code)


def test_trust_list(attest: Attest) -> None:
    """Per cloud: anchors first, with the days that each certificate has left."""
    outcome = attest("trust", "list", "--cloud", "china", "--at", AT)
    assert outcome.status == 0
    assert "china (metadata.azure.cn)" in outcome.out
    assert "public" not in outcome.out
    everything = json.loads(attest("trust", "list", "--at", AT, "--format", "json").out)
    assert set(everything["clouds"]) == {"public", "usgov", "china", "germany"}
    roles = [entry["role"] for entry in everything["clouds"]["china"]]
    assert roles[:2] == ["anchor", "anchor"]
    assert set(roles[2:]) == {"intermediate"}


def test_damaged_installation(attest: Attest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged certs folder is said in one line, which names the file."""
    monkeypatch.setattr("attest.manifest.load_certificates", lambda _: [])
    outcome = attest("verify", REAL)
    assert outcome.status == 2
    assert "the pinned trust store cannot be loaded: anchors/" in outcome.err
    assert outcome.err.count("\n") == 1


def test_help(attest: Attest) -> None:
    """Each command explains itself."""
    for command in (["verify"], ["inspect"], ["chain"], ["trust"], ["trust", "check"], []):
        outcome = attest(*command, "--help")
        assert outcome.status == 0
        assert "Usage: attest" in outcome.out


def test_version(attest: Attest) -> None:
    """The version is the package's."""
    outcome = attest("--version")
    assert outcome.status == 0
    assert outcome.out.startswith("attest, version ")


@pytest.mark.parametrize("arguments", [[], ["trust"]])
def test_help_where_no_command_is_given(attest: Attest, arguments: list[str]) -> None:
    """The help alone, and the exit status of a usage error."""
    outcome = attest(*arguments)
    assert outcome.status in {0, 2}
    assert (outcome.out + outcome.err).startswith("Usage: attest ")


def test_now_is_when_the_evidence_has_been_read(
    attest: Attest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document signed after the command was started is not from the future."""
    read = options.read_evidence
    times: list[datetime] = []

    def read_slowly(stream: BinaryIO) -> str | bytes:
        evidence = read(stream)
        time.sleep(0.01)
        times.append(datetime.now(UTC))
        return evidence

    monkeypatch.setattr(options, "read_evidence", read_slowly)
    file = tmp_path / "evidence"
    file.write_bytes(REAL.read_bytes())
    detail = json.loads(attest("verify", file, "--format", "json").out)["detail"]
    before = datetime.fromisoformat(detail.rpartition(" before ")[2])
    assert before >= times[0]


@pytest.mark.parametrize(
    "shell",
    [
        "verify {real} --at {at} >/dev/full",
        "verify {real} --at {at} --format json >/dev/full",
        "verify {real} --format json >/dev/full",
        "inspect {real} >/dev/full",
        "trust list >/dev/full",
        "--help >/dev/full",
        "verify <&-",
        "chain - <&-",
    ],
)
def test_unusable_standard_streams(shell: str) -> None:
    """An output that cannot be written or a closed input: one line, exit status 2."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = shell.format(real=REAL, at=AT)
    done = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m attest {words}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("attest: ")
    assert done.stderr.count("\n") == 1
