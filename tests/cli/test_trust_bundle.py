"""``attest trust export``, ``sign`` and ``import``: a bundle on its way, by hand if need be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from attest import TrustStore
from attest.certificates import fingerprint
from attest.cli import main
from attest.dsse import parse_envelope
from attest.operator_folder import BUNDLE
from attest.testing import FakeAuthority
from tests.cli.conftest import Attest
from tests.test_dsse import private_pem, public_pem

EXPIRES = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Keys(NamedTuple):
    """Files with the keys of three people."""

    private: tuple[Path, ...]
    public: tuple[Path, ...]


@pytest.fixture(name="keys")
def keys_(tmp_path: Path) -> Keys:
    """Return new keys."""
    made = [Ed25519PrivateKey.generate() for _ in range(3)]
    keys = Keys(
        tuple(tmp_path / f"{number}.key" for number in range(3)),
        tuple(tmp_path / f"{number}.pub" for number in range(3)),
    )
    for key, private, public in zip(made, *keys, strict=True):
        private.write_bytes(private_pem(key))
        public.write_bytes(public_pem(key))
    return keys


@pytest.fixture(name="folder")
def folder_(tmp_path: Path) -> Path:
    """Return the folder of the machine that imports."""
    folder = tmp_path / "trust"
    folder.mkdir()
    return folder


def export(attest: Attest, file: Path, *keys: Path, version: int = 1) -> None:
    """Write the pinned store into a bundle that these keys sign."""
    signers = [word for key in keys for word in ("--sign", key)]
    words = ["--version", str(version), "--expires", EXPIRES, *signers, "--output", file]
    assert attest("trust", "export", *words) == (0, "", "")


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def write_authority(folder: Path, authority: FakeAuthority) -> None:
    """Make an operator's folder of a fake authority's certificates."""
    anchors = folder / "anchors" / "public"
    anchors.mkdir(parents=True)
    for number, certificate in enumerate(authority.anchors):
        (anchors / f"{number}.pem").write_bytes(pem(certificate))
    for number, certificate in enumerate(authority.intermediates):
        (folder / f"{number}.pem").write_bytes(pem(certificate))


def test_air_gapped_round_trip(attest: Attest, tmp_path: Path, folder: Path, keys: Keys) -> None:
    """Exported here, signed by two people there, imported where there is no network."""
    authority = FakeAuthority()
    write_authority(tmp_path / "source", authority)
    file = tmp_path / "bundle"
    done = attest(
        *["trust", "export", "--trust-dir", tmp_path / "source", "--version", "1"],
        *["--expires", EXPIRES, "--sign", keys.private[0], "--output", file],
    )
    assert done == (0, "", "")
    signed = attest("trust", "sign", file, "--sign", keys.private[1])
    assert signed.status == 0
    assert signed.out.startswith("signed version 1, which expires on ")
    for anchor in authority.anchors:
        assert f"anchor {fingerprint(anchor)} public " in signed.out
    assert "2 signatures in all" in signed.out
    call = ["trust", "import", file, "--key", keys.public[0], "--key", keys.public[1]]
    refused = attest(*call, "--to", folder)
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith("attest: refused: bundle_anchor_new: ")
    assert refused.err.count("\n") == 1
    assert list(folder.iterdir()) == []
    # As OpenSSL writes a fingerprint, and as this command line does.
    sha256 = fingerprint(authority.anchors[0]).upper()
    accept = [":".join(sha256[i : i + 2] for i in range(0, 64, 2))]
    accept += [fingerprint(anchor) for anchor in authority.anchors[1:]]
    options = [word for value in accept for word in ("--accept-anchor", value)]
    imported = attest(*call, "--to", folder, *options)
    assert (imported.status, imported.err) == (0, "")
    assert imported.out.startswith(f"imported version 1 into {folder}: ")
    again = attest(*call, "--to", folder)
    assert (again.status, again.err) == (0, "")
    assert again.out == "version 1 was imported before; nothing has changed\n"
    exported = attest(
        "trust", "export", "--trust-dir", folder, "--version", "2", "--expires", EXPIRES
    )
    first, second = (
        json.loads(parse_envelope(data).payload)["certificates"]
        for data in (file.read_bytes(), exported.out.encode())
    )
    assert first == second


def test_what_was_imported_stays_when_it_expires(
    attest: Attest, tmp_path: Path, folder: Path, keys: Keys
) -> None:
    """A word on standard error, and success: there is nothing to undo."""
    file = tmp_path / "bundle"
    export(attest, file, keys.private[0], version=3)
    call = ["trust", "import", file, "--key", keys.public[0], "--to", folder]
    late = ["--at", "2199-01-01T00:00:00Z"]
    assert attest(*call, *late).err.startswith("attest: refused: bundle_expired: it expired on 20")
    assert attest(*call).status == 0
    outcome = attest(*call, *late)
    assert outcome.status == 0
    assert "its certificates stay" in outcome.err
    assert outcome.err.count("\n") == 1
    older = tmp_path / "older"
    export(attest, older, keys.private[0], version=2)
    call[2] = older
    outcome = attest(*call)
    assert outcome.status == 1
    assert outcome.err.startswith("attest: refused: bundle_rolled_back: ")


def test_thresholds(attest: Attest, tmp_path: Path, folder: Path, keys: Keys) -> None:
    """All of the keys, unless fewer are asked for; never more than there are."""
    file = tmp_path / "bundle"
    export(attest, file, keys.private[0], keys.private[2])
    named = [word for key in keys.public for word in ("--key", key)]
    call = ["trust", "import", file, "--to", folder, *named]
    outcome = attest(*call)
    assert outcome.status == 1
    assert "bundle_signatures_missing: 2 of the given keys signed it, and 3 must" in outcome.err
    assert attest(*call, "--threshold", "4").status == 2
    assert attest(*call, "--threshold", "0").status == 2
    same = ["--key", keys.public[0], "--key", keys.public[0], "--threshold", "2"]
    assert attest("trust", "import", file, "--to", folder, *same).status == 2
    assert list(folder.iterdir()) == []
    assert attest(*call, "--threshold", "2").status == 0


def test_what_cannot_be_read(attest: Attest, tmp_path: Path, folder: Path, keys: Keys) -> None:
    """One line and exit status 2, whichever file it is."""
    file = tmp_path / "bundle"
    export(attest, file, keys.private[0])
    words = ["trust", "export", "--version", "1", "--expires", EXPIRES]
    junk, none = tmp_path / "junk", tmp_path / "none"
    junk.write_text("junk")
    key = ["--key", keys.public[0]]
    for arguments, why in (
        ([*words, "--sign", none], "cannot read"),
        ([*words, "--sign", keys.public[0]], "not an Ed25519 private key"),
        ([*words, "--sign", "/dev/zero"], "not a regular file"),
        ([*words, "--trust-dir", none], "--trust-dir cannot be used"),
        ([*words, "--output", none / "file"], "cannot write"),
        ([*words[:-1], "2020-01-01T00:00:00Z"], "expires before it was created"),
        ([*words[:-1], "tomorrow"], "is not a time"),
        (["trust", "sign", none, "--sign", keys.private[0]], "cannot read"),
        (["trust", "sign", folder, "--sign", keys.private[0]], "cannot read"),
        (["trust", "sign", junk, "--sign", keys.private[0]], "bundle_malformed"),
        (["trust", "import", junk, *key, "--to", folder], "bundle_malformed"),
        (["trust", "import", "/dev/zero", *key, "--to", folder], "octets"),
        (["trust", "import", file, "--key", keys.private[0], "--to", folder], "public key"),
        (["trust", "import", file, "--key", none, "--to", folder], "cannot read"),
        (["trust", "import", file, *key, "--to", none], "cannot be read"),
        (["trust", "import", file, *key, "--to", folder, "--accept-anchor", "ab"], "fingerprint"),
    ):
        outcome = attest(*arguments)
        assert (outcome.status, outcome.out) == (2, ""), arguments
        assert why in outcome.err
        assert outcome.err.startswith("attest: ")
        assert outcome.err.count("\n") == 1, outcome.err
    assert junk.read_text() == "junk"
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
def test_keys_of_openssl(attest: Attest, tmp_path: Path, folder: Path) -> None:
    """Keys are made with a tool that everybody has, and signatures verify with it."""
    private, public, file = tmp_path / "a.key", tmp_path / "a.pub", tmp_path / "bundle"
    calls: list[list[str | Path]] = [
        ["genpkey", "-algorithm", "ed25519", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    ]
    for call in calls:
        subprocess.run(["openssl", *call], check=True, capture_output=True, timeout=30)
    export(attest, file, private)
    assert attest("trust", "import", file, "--key", public, "--to", folder).status == 0
    assert (folder / BUNDLE).exists()
    envelope = parse_envelope(file.read_bytes())
    kind = b"application/vnd.imds-attest.trust-bundle+json"
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(envelope.payload), envelope.payload)
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "sig").write_bytes(envelope.signatures[0].sig)
    call = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"]
    call += ["-in", tmp_path / "message", "-sigfile", tmp_path / "sig"]
    done = subprocess.run(call, check=True, capture_output=True, timeout=30)
    assert b"Verified Successfully" in done.stdout


def test_standard_input_and_output(
    capfdbinary: pytest.CaptureFixture[bytes], folder: Path, keys: Keys
) -> None:
    """A bundle may come through a pipe."""
    words = ["--version", "1", "--expires", EXPIRES, "--sign", str(keys.private[0])]
    with pytest.raises(SystemExit) as stopped:
        main(["trust", "export", *words])
    assert stopped.value.code == 0
    data = capfdbinary.readouterr().out
    command: list[str | Path] = [sys.executable, "-m", "attest", "trust", "import", "-"]
    command += ["--key", keys.public[0], "--to", folder]
    done = subprocess.run(command, input=data, capture_output=True, timeout=30, check=True)
    assert done.stdout.startswith(b"imported version 1 into ")
    assert TrustStore.bundled().generation.encode() in done.stdout
