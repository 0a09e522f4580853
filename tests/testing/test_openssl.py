"""Another implementation agrees: the openssl program, and the recipe of Microsoft's IMDS page."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from attest.testing import FakeAuthority, Shape
from attest.testing.mutations import MUTATIONS

NEEDED = ("openssl", "bash", "curl", "jq", "awk", "base64")
MISSING = [program for program in NEEDED if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

# https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service, "Attested data",
# sample 2, as it stands; only IMDS's answer and the root come from files of ours.
RECIPE = r"""
set -o errexit -o pipefail
cat answer.json | jq -r '.["signature"]' > signature
# Decode the signature
base64 -d signature > decodedsignature
# Get PKCS7 format
openssl pkcs7 -in decodedsignature -inform DER -out sign.pk7
# Get Public key out of pkc7
openssl pkcs7 -in decodedsignature -inform DER  -print_certs -out signer.pem
# Get the intermediate certificate
curl -s -o intermediate.cer "$(ISSUERS)"
openssl x509 -inform der -in intermediate.cer -out intermediate.pem
# Verify the contents
openssl smime -verify -in sign.pk7 -inform pem -noverify
# Verify the subject name for the main certificate
openssl x509 -noout -subject -in signer.pem
# Verify the issuer for the main certificate
openssl x509 -noout -issuer -in signer.pem
#Validate the subject name for intermediate certificate
openssl x509 -noout -subject -in intermediate.pem
# Verify the issuer for the intermediate certificate
openssl x509 -noout -issuer -in intermediate.pem
openssl verify -verbose -CAfile root.pem -untrusted intermediate.pem signer.pem
"""
ISSUERS = (
    "openssl x509 -in signer.pem -text -noout | grep \" CA Issuers -\" | awk -FURI: '{print $2}'"
)


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command in a folder, without any proxy."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "no_proxy": "*", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def write(folder: Path, authority: FakeAuthority, evidence: str, der: bytes) -> None:
    """Write what the recipe and the openssl program read."""
    (folder / "answer.json").write_text(evidence)
    (folder / "evidence.der").write_bytes(der)
    (folder / "root.pem").write_bytes(pem(authority.anchors))
    (folder / "cas.pem").write_bytes(pem(authority.intermediates))
    (folder / "signer.pem").write_bytes(pem([authority.signer]))
    crls = [crl.public_bytes(serialization.Encoding.PEM) for crl in authority.crls()]
    (folder / "crls.pem").write_bytes(b"".join(crls))


def pem(certificates: tuple[x509.Certificate, ...] | list[x509.Certificate]) -> bytes:
    """Encode certificates as PEM."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web server for whatever is put into the dictionary, by path."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - their name
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", files
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize("shape", Shape)
def test_recipe_of_microsofts_page(
    shape: Shape, server: tuple[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """The page's commands say that document and path are good.

    For ``g2`` they need two corrections, for real documents since 2026 as well: there are two
    caIssuers addresses, and a second intermediate certificate.
    """
    base_url, files = server
    authority = FakeAuthority(shape=shape, base_url=base_url)
    for url, certificate in authority.certificates_by_url().items():
        encoded = certificate.public_bytes(serialization.Encoding.DER)
        files[url.removeprefix(base_url)] = encoded
    evidence = authority.sign(nonce="1234567890")
    write(tmp_path, authority, evidence.json, evidence.der)
    recipe, issuers = RECIPE, ISSUERS
    if shape is Shape.G2:
        assert run(tmp_path, RECIPE.replace("ISSUERS", ISSUERS)).returncode != 0
        issuers += " | head -1"
        recipe = recipe.replace("-untrusted intermediate.pem", "-untrusted cas.pem")
    done = run(tmp_path, recipe.replace("ISSUERS", issuers))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(evidence.content.decode())
    assert "erification successful" in done.stderr
    assert done.stdout.endswith("signer.pem: OK\n")
    assert "metadata.azure.com" in done.stdout


@pytest.mark.parametrize(
    "options",
    [{}, {"signed_attrs": True}, {"digest": "sha512"}, {"sid": "key", "quirk": False}],
    ids=str,
)
def test_openssl_verifies(
    authority: FakeAuthority, options: dict[str, object], tmp_path: Path
) -> None:
    """``openssl cms`` takes the CMS, ``openssl verify`` the path with CRLs."""
    # The program looks for issuers in the bag alone.
    bag = authority.intermediates
    evidence = authority.sign(extra_certificates=bag, **options)  # type: ignore[arg-type]
    write(tmp_path, authority, evidence.json, evidence.der)
    cms = run(
        tmp_path,
        "openssl cms -verify -inform DER -in evidence.der -CAfile root.pem -purpose any",
    )
    assert (cms.returncode, cms.stdout) == (0, evidence.content.decode()), cms.stderr
    path = run(
        tmp_path,
        "openssl verify -CAfile root.pem -untrusted cas.pem -CRLfile crls.pem -crl_check_all"
        " -purpose sslserver -verify_hostname metadata.azure.com -x509_strict signer.pem",
    )
    assert path.returncode == 0, path.stderr


@pytest.mark.parametrize(
    "name", ["vm_id_replaced", "content_padded", "signature_of_stranger", "message_digest_other"]
)
def test_openssl_refuses(g2: FakeAuthority, name: str, tmp_path: Path) -> None:
    """The openssl program sees the faults of signatures, too."""
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == name)
    case = mutation.apply(g2)
    (tmp_path / "answer.json").write_text(case.evidence)
    done = run(
        tmp_path,
        "jq -r .signature answer.json | base64 -d |"
        " openssl cms -verify -noverify -inform DER -out /dev/null",
    )
    assert done.returncode != 0
    assert "erification successful" not in done.stderr


def test_openssl_sees_revocation(tmp_path: Path) -> None:
    """``openssl verify`` finds a revoked signer on the authority's CRLs."""
    authority = FakeAuthority(shape="ecdsa")
    authority.revoke(authority.signer)
    evidence = authority.sign()
    write(tmp_path, authority, evidence.json, evidence.der)
    done = run(
        tmp_path,
        "openssl verify -CAfile root.pem -untrusted cas.pem -CRLfile crls.pem -crl_check"
        " signer.pem",
    )
    assert "certificate revoked" in done.stderr
