"""Tests of the bundled certificates: who is pinned for whom, and that damage is noticed."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest import Cloud, TrustStore, TrustStoreError
from attest.certificates import common_name, is_self_issued
from attest.manifest import write_manifest

CERTS = Path(str(resources.files("certs")))

PUBLIC = {
    "Baltimore CyberTrust Root",
    "DigiCert Global Root G2",
    "DigiCert Global Root G3",
    "DigiCert TLS RSA4096 Root G5",
    "DigiCert TLS ECC P384 Root G5",
    "Microsoft RSA Root Certificate Authority 2017",
    "Microsoft ECC Root Certificate Authority 2017",
    "Microsoft TLS RSA Root G2",
}
ANCHORS = {
    Cloud.PUBLIC: PUBLIC,
    Cloud.USGOV: PUBLIC,
    Cloud.CHINA: {"DigiCert Global Root CA", "DigiCert Global Root G2"},
    Cloud.GERMANY: {
        "Baltimore CyberTrust Root",
        "DigiCert Global Root CA",
        "DigiCert Global Root G2",
    },
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the certs folder."""
    return Path(shutil.copytree(CERTS, tmp_path / "certs", ignore=shutil.ignore_patterns("__*")))


@pytest.mark.parametrize("cloud", Cloud)
def test_each_cloud_has_its_anchors(cloud: Cloud) -> None:
    """Exactly the pinned ones, each self-issued."""
    anchors = TrustStore.bundled().anchors_for(cloud)
    assert {common_name(anchor.subject) for anchor in anchors} == ANCHORS[cloud]
    assert len(anchors) == len(ANCHORS[cloud])
    assert all(map(is_self_issued, anchors))


def test_every_intermediate_is_connected_and_a_ca() -> None:
    """No dead weight, and nothing self-issued among the intermediates."""
    store = TrustStore.bundled()
    for item in store.intermediates:
        constraints = item.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.value.ca
        assert not is_self_issued(item.certificate)
        assert all(item.certificate in store.intermediates_for(cloud) for cloud in item.clouds)


def test_every_certificate_has_a_source() -> None:
    """Whoever doubts one can fetch it himself."""
    store = TrustStore.bundled()
    assert all(anchor.source for anchor in store.anchors)
    assert all(item.source for item in store.intermediates)


def test_bundled_and_loaded_are_one() -> None:
    """The package's folder is a trust folder like any other."""
    assert TrustStore.bundled().generation == TrustStore.load(CERTS).generation


# The bundle holds a foreign root whose serial number is not positive.
@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
def test_certifi_has_the_same_octets() -> None:
    """Where the public bundle carries a root of ours, it is the same certificate."""
    bundle = x509.load_pem_x509_certificates(Path(certifi.where()).read_bytes())
    known = {certificate.subject.public_bytes(): certificate for certificate in bundle}
    ours = [anchor.certificate for anchor in TrustStore.bundled().anchors]
    shared = [anchor for anchor in ours if anchor.subject.public_bytes() in known]
    assert len(shared) >= 5
    for anchor in shared:
        theirs = known[anchor.subject.public_bytes()]
        assert anchor.public_bytes(Encoding.DER) == theirs.public_bytes(Encoding.DER)


def test_the_manifest_round_trips(copy: Path) -> None:
    """Written anew from the files it is the same, octet for octet."""
    before = (copy / "manifest.json").read_bytes()
    write_manifest(copy)
    assert (copy / "manifest.json").read_bytes() == before


def _files() -> list[str]:
    return sorted(str(file.relative_to(CERTS)) for file in CERTS.rglob("*.pem"))


@pytest.mark.parametrize("file", _files()[::4])
def test_a_changed_file_is_named(copy: Path, file: str) -> None:
    """One character of the base64 is enough."""
    text = (copy / file).read_bytes()
    middle = len(text) // 2
    middle += text[middle : middle + 1] == b"\n"
    other = b"A" if text[middle : middle + 1] != b"A" else b"B"
    (copy / file).write_bytes(text[:middle] + other + text[middle + 1 :])
    with pytest.raises(TrustStoreError, match=file):
        TrustStore.load(copy)


@pytest.mark.parametrize("file", _files()[::4])
@pytest.mark.parametrize("content", [None, b"", b"\xff\0", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_missing_or_empty_file_is_named(copy: Path, file: str, content: bytes | None) -> None:
    """So is a file that is gone, or holds nothing."""
    (copy / file).unlink()
    if content is not None:
        (copy / file).write_bytes(content)
    with pytest.raises(TrustStoreError, match=file):
        TrustStore.load(copy)


def test_swapped_files_are_named(copy: Path) -> None:
    """Two genuine certificates in each other's place."""
    one, other = _files()[:2]
    texts = [(copy / one).read_bytes(), (copy / other).read_bytes()]
    (copy / one).write_bytes(texts[1])
    (copy / other).write_bytes(texts[0])
    with pytest.raises(TrustStoreError, match=f"{one}|{other}"):
        TrustStore.load(copy)


@pytest.mark.parametrize("place", ["anchors", "intermediates", ".", "deep/er"])
def test_an_unlisted_file_is_named(copy: Path, place: str) -> None:
    """Wherever in the folder it was put."""
    (copy / place).mkdir(parents=True, exist_ok=True)
    shutil.copy(copy / _files()[0], copy / place / "unlisted.pem")
    with pytest.raises(TrustStoreError, match=r"unlisted\.pem: not listed"):
        TrustStore.load(copy)
