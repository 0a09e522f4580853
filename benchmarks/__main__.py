"""``make bench``: what the verification core costs, mostly in units of an RSA verification."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import resource
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from attest import AppraisalPolicy, AttestError, Cloud, TrustStore, Verifier, cms
from attest.certificates import is_issued_by, load_certificates
from benchmarks.timing import best, report

VECTORS = Path(__file__).parent.parent / "tests" / "vectors"
REAL = VECTORS / "real" / "regular_2026_06_tls_g2_rsa_ca_ocsp_02.json"
FORGERIES = VECTORS / "forgeries"


def main() -> None:
    """Run everything and print it."""
    real = json.loads(REAL.read_text())
    evidence, at = real["signature"], datetime.fromisoformat(real["at"])
    print("A document of June 2026 (base64); 'RSA' is one RSA-2048 verify of its signature")
    verification(evidence, at, real["nonce"])
    print("\nHostile input, one call each, nothing cached")
    hostile_input()
    print("\nProcesses and memory")
    processes()
    memory(evidence, at)


def verification(evidence: str, at: datetime, nonce: str) -> None:
    """Warm and cold verification against the RSA verifications in them."""
    store = TrustStore.bundled()
    warm = Verifier(store)
    certificates = warm.verify(evidence, at=at, nonce=nonce).path.certificates
    der = base64.b64decode(evidence)
    signed_data = cms.parse_signed_data(der)
    signature, content = signed_data.signer_info.signature, signed_data.content
    key = certificates[0].public_key()
    if not isinstance(key, RSAPublicKey):
        raise TypeError("this benchmark is about an RSA signer")
    padding, digest = PKCS1v15(), hashes.SHA256()
    # The four: the document, its signer, the issuing CA, and that CA's own issuer's cross-sign.
    pool = (*store.anchors_for(Cloud.PUBLIC), *store.intermediates_for(Cloud.PUBLIC))
    links = list(itertools.pairwise(certificates))
    links += [
        (twin, issuer)
        for twin in pool
        for issuer in pool
        if twin.subject == certificates[-1].subject != twin.issuer and is_issued_by(twin, issuer)
    ][:1]

    def one_rsa() -> None:
        key.verify(signature, content, padding, digest)

    def four_rsa() -> None:
        one_rsa()
        for certificate, issuer in links:
            certificate.verify_directly_issued_by(issuer)

    seconds = best(
        {
            "rsa": one_rsa,
            "four": four_rsa,
            "warm": lambda: warm.verify(evidence, at=at, nonce=nonce),
            "warm, DER": lambda: warm.verify(der, at=at, nonce=nonce),
            "cold": lambda: Verifier(store).verify(evidence, at=at, nonce=nonce),
        },
        rounds=40,
        calls=100,
    )
    report("warm: same signer seen before", seconds["warm"] / seconds["rsa"], "RSA", 3)
    report("warm, evidence given as DER", seconds["warm, DER"] / seconds["rsa"], "RSA", 3)
    report(
        f"cold: new verifier, per its {1 + len(links)} RSA verifies",
        seconds["cold"] / seconds["four"],
        "x",
        3,
    )
    print(f"(here one RSA verify took {seconds['rsa'] * 1e6:.1f} microseconds)")


def hostile_input() -> None:
    """The slowest answers, in milliseconds; the best of five for each input."""
    at = datetime.fromisoformat(
        json.loads((FORGERIES / "index.json").read_text())["verification_time"]
    )
    store = TrustStore.from_certificates(
        anchors=load_certificates((FORGERIES / "root.pem").read_bytes()),
        intermediates=load_certificates((FORGERIES / "intermediate.pem").read_bytes()),
        clouds={Cloud.PUBLIC},
    )
    huge = "A" * 10_000_000
    report("10 MB of input, refused", 1e3 * _once(store, huge, at), "ms", 5)
    slowest = max((_once(store, evidence, at), name) for name, evidence in _hostile_evidence())
    report(f"slowest of the hostile corpus ({slowest[1]})", 1e3 * slowest[0], "ms", 50)


def _hostile_evidence() -> Iterator[tuple[str, str | bytes]]:
    for file in sorted(FORGERIES.glob("*.der")):
        yield file.stem, file.read_bytes()
    yield "64 KiB of zeros", bytes(65536)
    yield "64 KiB at random", secrets.token_bytes(65536)
    yield "32,000 nested SEQUENCEs", b"\x30\x80" * 32768
    yield "JSON nested 40,000 deep", '{"a":' * 16000
    yield "base64 with a line break at each character", "A\n" * 40000


def _once(store: TrustStore, evidence: str | bytes, at: datetime) -> float:
    fastest = float("inf")
    for _ in range(5):
        verifier = Verifier(store, AppraisalPolicy(clouds={Cloud.PUBLIC}))
        start = time.perf_counter()
        with contextlib.suppress(AttestError):
            verifier.verify(evidence, at=at)
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def processes() -> None:
    """Start-up costs, the best of seven."""
    nothing = _process("pass")
    report("import attest", 1e3 * (_process("import attest") - nothing), "ms", 150)
    command = [sys.executable, "-m", "attest", "verify", str(REAL), "--at", "2026-06-25T18:57:45Z"]
    report("attest verify, the whole process", 1e3 * _run(command), "ms", 500)


def _process(code: str) -> float:
    return _run([sys.executable, "-c", code])


def _run(command: list[str]) -> float:
    def once() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
        return time.perf_counter() - start

    return min(once() for _ in range(7))


def memory(evidence: str, at: datetime) -> None:
    """Growth of the resident set over many verifications, good and bad, in MiB."""
    verifier = Verifier(TrustStore.bundled())
    der = base64.b64decode(evidence)
    half = len(der) // 2

    def churn(calls: int) -> None:
        for _ in range(calls):
            # A new certificate each time, so that no memo finds anything again.
            changed = der[:half] + secrets.token_bytes(8) + der[half + 8 :]
            for item in (der, changed):
                with contextlib.suppress(AttestError):
                    verifier.verify(item, at=at)

    churn(2000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    churn(20000)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    report("growth over 40,000 verifications, half of new signers", grown, "MiB", 8)


if __name__ == "__main__":
    main()
