"""Tests of attest.certificates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest import Cloud, TrustStore
from attest.certificates import (
    MAX_FILE,
    common_name,
    describe,
    fingerprint,
    is_issued_by,
    is_self_issued,
    is_self_signed,
    issued_under,
    load_certificates,
    load_crls,
    read_certificate_files,
    read_crl_files,
    readable_certificates,
)
from tests.support import der
from tests.support.pki import (
    ISSUER,
    PUBLIC_KEY,
    SIGNER_VALID,
    Identity,
    ec_key,
    make_ca,
    make_crl,
    make_signer,
    pem_of,
    pki,
    raw_name,
    resign,
    rsa_key,
)


def certificates(*identities: Identity) -> list[x509.Certificate]:
    """Return their certificates."""
    return [identity.certificate for identity in identities]


def test_a_certificate_is_described() -> None:
    """Names, serial number, fingerprint, dates, DNS names."""
    certificate = pki().signer.certificate
    info = describe(certificate)
    assert info.subject == "CN=metadata.azure.com,O=Test Corporation,C=US"
    assert info.issuer == "CN=Test Issuing CA 01,O=Test Corporation,C=US"
    assert int(info.serial_number, 16) == certificate.serial_number
    assert info.sha256 == fingerprint(certificate)
    assert len(info.sha256) == 64
    assert (info.not_before, info.not_after) == SIGNER_VALID
    assert info.dns_names == ("eastus.metadata.azure.com", "metadata.azure.com")


def test_a_ca_has_no_dns_names() -> None:
    """Without a subjectAltName there are none."""
    assert describe(pki().root.certificate).dns_names == ()


def test_common_name_falls_back_to_the_whole_name() -> None:
    """A name without exactly one common name is shown whole."""
    nameless = make_signer(pki().intermediate, common_name=None).certificate
    assert common_name(pki().root.certificate.subject) == "Test Root G1"
    assert common_name(nameless.subject) == "O=Test Corporation,C=US"


def test_files_are_pem_or_der() -> None:
    """Any number in PEM, one in DER."""
    both = certificates(pki().root, pki().intermediate)
    assert load_certificates(b"# a comment\n" + pem_of(*both)) == both
    assert load_certificates(pki().root.der) == both[:1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a certificate",
        b"-----BEGIN NOTHING-----\n-----END NOTHING-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n",
    ],
)
def test_damaged_files_are_refused(data: bytes) -> None:
    """What holds no certificate is an error, not an empty list."""
    with pytest.raises(ValueError, match=r"."):
        load_certificates(data)


def test_files_that_were_cut_off_are_refused() -> None:
    """The certificates before the cut are not taken for the whole."""
    whole = pem_of(*certificates(pki().root, pki().intermediate))
    for octets in (2, 20, 100):
        with pytest.raises(ValueError, match="a PEM block is cut off"):
            load_certificates(whole[:-octets].rstrip())


def test_large_files_are_refused(tmp_path: Path) -> None:
    """16 MiB is the limit, and no more is read."""
    with (tmp_path / "large.pem").open("wb") as stream:
        stream.truncate(MAX_FILE + 1)
    for read in (read_certificate_files, read_crl_files):
        with pytest.raises(ValueError, match=r"large\.pem: more than 16777216 octets"):
            read(tmp_path)


def test_crls_are_pem_or_der(tmp_path: Path) -> None:
    """Any number in PEM, one in DER, and folders of them."""
    crls = [make_crl(pki().root), make_crl(pki().intermediate)]
    pem = b"".join(crl.public_bytes(Encoding.PEM) for crl in crls)
    assert load_crls(b"# comment\n" + pem) == crls
    assert load_crls(crls[0].public_bytes(Encoding.DER)) == crls[:1]
    (tmp_path / "a.crl").write_bytes(crls[1].public_bytes(Encoding.DER))
    (tmp_path / "b.pem").write_bytes(pem)
    (tmp_path / "README").write_bytes(b"no CRL")
    assert read_crl_files(tmp_path) == [crls[1], *crls]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"-----BEGIN X509 CRL-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
    ],
)
def test_damaged_crls_are_refused(data: bytes) -> None:
    """What holds no CRL is an error, not an empty list."""
    with pytest.raises(ValueError, match=r"."):
        load_crls(data)


def test_unreadable_certificates_are_skipped() -> None:
    """Of a bag those that can be parsed come out, in order."""
    bag = [b"", pki().root.der, der.sequence(), pki().signer.der, b"\xff" * 9]
    assert list(readable_certificates(bag)) == certificates(pki().root, pki().signer)


def test_a_folder_is_read_in_order_of_name(tmp_path: Path) -> None:
    """Every .pem, .crt and .cer; nothing else."""
    (tmp_path / "b.pem").write_bytes(pem_of(pki().root.certificate))
    (tmp_path / "a.crt").write_bytes(pki().signer.der)
    (tmp_path / "c.cer").write_bytes(pki().intermediate.der)
    (tmp_path / "README").write_bytes(b"no certificate")
    expected = certificates(pki().signer, pki().root, pki().intermediate)
    assert read_certificate_files(tmp_path) == expected
    assert read_certificate_files(tmp_path / "b.pem") == expected[1:2]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """The operator learns which of his files it is."""
    (tmp_path / "bad.pem").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"bad\.pem: "):
        read_certificate_files(tmp_path)
    with pytest.raises(OSError, match=r"none\.pem"):
        read_certificate_files(tmp_path / "none.pem")


def test_self_signed_is_more_than_self_issued() -> None:
    """The name alone makes a certificate self-issued, name and key make it self-signed."""
    root = pki().root
    other = make_ca("Test Root G1", root, key=rsa_key("another"))
    assert is_self_signed(root.certificate)
    assert is_self_issued(other.certificate)
    assert not is_self_signed(other.certificate)
    assert not is_self_issued(pki().intermediate.certificate)


def test_a_root_may_have_signed_itself_with_sha1() -> None:
    """Old roots did; the signature must be theirs all the same, and nothing else may use SHA-1."""
    roots = TrustStore.bundled().anchors_for(Cloud.CHINA)
    (old,) = [c for c in roots if isinstance(c.signature_hash_algorithm, hashes.SHA1)]
    assert is_self_signed(old)
    assert not is_issued_by(old, old)
    octets = old.public_bytes(Encoding.DER)
    forged = x509.load_der_x509_certificate(octets[:-1] + bytes([octets[-1] ^ 1]))
    assert not is_self_signed(forged)


def test_sha1_under_another_name_or_key_is_not_self_signed() -> None:
    """A certificate of another issuer, or of a key that is not RSA, is none of those roots."""
    roots = TrustStore.bundled().anchors_for(Cloud.CHINA)
    old = next(c for c in roots if isinstance(c.signature_hash_algorithm, hashes.SHA1))
    tbs, algorithm, signature = der.parts(old.public_bytes(Encoding.DER))
    fields = der.parts(tbs)
    for place, value in ((ISSUER, raw_name(0x0C, b"Other")), (PUBLIC_KEY, _ec_info())):
        changed = [value if index == place else field for index, field in enumerate(fields)]
        octets = der.sequence(der.sequence(*changed), algorithm, signature)
        assert not is_self_signed(x509.load_der_x509_certificate(octets))


def _ec_info() -> bytes:
    key = ec_key("signer").public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_issuing_needs_name_and_key() -> None:
    """Neither the right name nor the right key will do alone."""
    signer, intermediate = pki().signer.certificate, pki().intermediate
    assert is_issued_by(signer, intermediate.certificate)
    namesake = make_ca("Test Issuing CA 01", pki().root, key=rsa_key("another"))
    assert not is_issued_by(signer, namesake.certificate)
    same_key = make_ca("Other CA", pki().root, key=intermediate.key)
    assert not is_issued_by(signer, same_key.certificate)


def test_keys_that_issue_nothing_are_no_issuers() -> None:
    """An issuer whose key is of an unknown kind, or damaged, has issued nothing."""
    ed = ed25519.Ed25519PrivateKey.generate().public_key()
    infos = [
        ed.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        der.sequence(der.algorithm("1.2.3.4"), der.tlv(0x03, b"\0x")),
        der.sequence(der.algorithm("1.2.840.113549.1.1.1"), der.tlv(0x03, b"\0x")),
    ]
    for info in infos:
        odd = resign(pki().intermediate.der, pki().root.key, {PUBLIC_KEY: info})
        issuer = x509.load_der_x509_certificate(odd)
        assert not is_issued_by(pki().signer.certificate, issuer)
        assert issued_under(certificates(pki().root), [issuer]) == []


def test_connected_certificates_come_out_in_order_of_connection() -> None:
    """A chain in any order connects link by link."""
    first = make_ca("Link 1", pki().root, key=ec_key("1"))
    second = make_ca("Link 2", first, key=ec_key("2"))
    third = make_ca("Link 3", second, key=ec_key("3"))
    chain = certificates(first, second, third)
    for order in (chain, chain[::-1], [*chain, *chain]):
        assert issued_under(certificates(pki().root), order) == chain


def _strangers() -> dict[str, Sequence[x509.Certificate]]:
    other_root = make_ca("Other Root", key=ec_key("other root"))
    missing = make_ca("Missing Link", pki().root, key=ec_key("missing"))
    forged = make_ca("Forged CA", pki().root, key=ec_key("f"), signed_by=rsa_key("another"))
    bad_name = resign(
        pki().intermediate.der, pki().root.key, {5: raw_name(0x0C, b"\xff", "2.5.4.10")}
    )
    weak = make_ca("Weak CA", pki().root, key=rsa_key("weak", 1024))
    return {
        "trusted itself": [pki().root.certificate],
        "another root": [other_root.certificate],
        "under another root": [make_ca("X", other_root, key=ec_key("x")).certificate],
        "a link is missing": [make_ca("X", missing, key=ec_key("x")).certificate],
        "forged": [forged.certificate, make_ca("X", forged, key=ec_key("x")).certificate],
        "self-issued": [make_ca("Test Root G1", pki().root, key=ec_key("x")).certificate],
        "an unreadable name": [x509.load_der_x509_certificate(bad_name)],
        "a weak key": [weak.certificate],
        "nothing": [],
    }


@pytest.mark.parametrize(
    "kind",
    [
        "trusted itself",
        "another root",
        "under another root",
        "a link is missing",
        "forged",
        "self-issued",
        "an unreadable name",
        "a weak key",
        "nothing",
    ],
)
def test_what_is_not_connected_does_not_come_out(kind: str) -> None:
    """Without a signature of a trusted key nothing gets through the gate."""
    assert issued_under(certificates(pki().root), _strangers()[kind]) == []


def test_nothing_is_connected_to_nothing() -> None:
    """Without anchors there is no connection."""
    assert issued_under([], certificates(pki().intermediate)) == []


def test_nothing_connects_below_a_certificate_of_no_ca() -> None:
    """The holder of an ordinary certificate under a pinned CA cannot draw a graph below it."""
    leaf = make_signer(pki().root, names=["shop.example"])
    below = make_ca("Below", leaf)
    assert is_issued_by(below.certificate, leaf.certificate)
    connected = issued_under(certificates(pki().root), certificates(below, leaf))
    assert connected == certificates(leaf)
