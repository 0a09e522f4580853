"""One regression test per advisory of this field, each with the precondition that made it one.

A test that only sees its evidence refused may see it refused for another reason.  So each says
first what is good about the evidence: that the chain is, or the signature, or the other name.
"""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from attest import AttestError, Cloud, Code, TrustStore, Verifier, check_chain
from tests.support import der
from tests.support.pki import (
    AT,
    NAMES,
    NONCE,
    VM_ID,
    Identity,
    PrivateKey,
    SignerInfo,
    ec_key,
    good_evidence,
    issuer_and_serial,
    key_identifier,
    make_ca,
    make_content,
    make_evidence,
    make_signer,
    pki,
    raw_extension,
    rsa_key,
    sign,
)
from tests.support.refusal import refused, refused_somehow

EVIL_CONTENT = make_content(vmId="00000000-0000-4000-8000-000000000000")
HANG = 10.0  # seconds; a hang takes minutes, and a busy machine more than one


def attacker() -> Identity:
    """Return a whole PKI's worth of attacker: a signer with the right names under a root of his."""
    root = make_ca("Test Root G1", key=rsa_key("evil root"))
    issuing = make_ca("Test Issuing CA 01", root, key=rsa_key("evil issuing"))
    return make_signer(issuing, key=rsa_key("evil signer"))


def chain_is_good(identity: Identity) -> bool:
    """Tell whether the certificate by itself has a valid path and a metadata name."""
    return bool(check_chain(pki().store(), identity.certificate, at=AT).path)


def signature_is_good(evidence: bytes) -> bool:
    """Tell whether the signature is good, whoever made it."""
    return pki().verifier().inspect(evidence, at=AT, nonce=NONCE).steps[4].status == "passed"


def refuse(evidence: bytes, code: Code, step: int) -> None:
    """Demand the refusal with a cold cache, and with one in which the good signer is known."""
    cold, warm = pki().verifier(), pki().verifier()
    assert warm.verify(good_evidence(), at=AT, nonce=NONCE)
    for verifier in (cold, warm):
        with refused(code, step):
            verifier.verify(evidence, at=AT, nonce=NONCE)


@pytest.mark.parametrize("signature", ["of another key", "of other content", "empty", "zero"])
def test_cve_2026_46354_signature_never_checked(signature: str) -> None:
    """CVE-2026-46354: a genuine certificate was validated and its signature never verified.

    Precondition: the certificate of the evidence is genuine, its chain is good, the content is
    a fresh document with the expected nonce.
    """
    octets = {
        "of another key": sign(rsa_key("evil signer"), EVIL_CONTENT),
        "of other content": sign(rsa_key("signer"), make_content()),
        "empty": b"",
        "zero": bytes(256),
    }[signature]
    evidence = make_evidence(pki().signer, EVIL_CONTENT, info=SignerInfo(signature=octets))
    assert chain_is_good(pki().signer)
    steps = pki().verifier().inspect(evidence, at=AT, nonce=NONCE).steps
    assert {item.step for item in steps if item.status == "failed"} == {5}
    refuse(evidence, Code.SIGNATURE_INVALID, 5)


@pytest.mark.parametrize("genuine_first", [True, False])
def test_signer_confusion_a_genuine_certificate_beside_the_one_that_signed(
    genuine_first: bool,
) -> None:
    """The chain of one certificate of the bag, the signature of another.

    Precondition: the bag holds a genuine certificate with a good chain, and the signature is
    good under another certificate of the bag, the one that the sid names.
    """
    evil = attacker()
    bag = [pki().signer.der, evil.der] if genuine_first else [evil.der, pki().signer.der]
    evidence = make_evidence(evil, EVIL_CONTENT, certificates=bag)
    assert chain_is_good(pki().signer)
    assert signature_is_good(evidence)
    refuse(evidence, Code.ISSUER_UNKNOWN, 8)


def test_signer_confusion_sid_names_the_genuine_certificate() -> None:
    """The other way around: the sid names the genuine one, the attacker's key signed.

    Precondition: under the attacker's certificate, also in the bag, the signature is good.
    """
    evil = attacker()
    info = SignerInfo(sid=issuer_and_serial(pki().signer.certificate))
    evidence = make_evidence(
        evil, EVIL_CONTENT, info=info, certificates=[evil.der, pki().signer.der]
    )
    signature = der.parts(der.parts(der.parts(der.parts(evidence)[1])[0])[-1])[0]
    octets = der.parts(signature)[-1][4:]
    rsa_key("evil signer").public_key().verify(octets, EVIL_CONTENT, PKCS1v15(), SHA256())
    refuse(evidence, Code.SIGNATURE_INVALID, 5)


def test_signer_confusion_by_a_twin_of_the_sid() -> None:
    """A certificate with the genuine one's issuer and serial number, under another key.

    Precondition: both answer to the sid, one has the good chain, the other the good signature.
    """
    serial = pki().signer.certificate.serial_number
    twin = make_signer(
        pki().intermediate,
        key=rsa_key("evil signer"),
        serial=serial,
        signed_by=rsa_key("evil issuing"),
    )
    assert issuer_and_serial(twin.certificate) == issuer_and_serial(pki().signer.certificate)
    assert signature_is_good(make_evidence(twin, EVIL_CONTENT))
    for bag in ([pki().signer.der, twin.der], [twin.der, pki().signer.der]):
        refuse(make_evidence(twin, EVIL_CONTENT, certificates=bag), Code.CMS_MALFORMED, 2)


def test_signer_confusion_by_a_copied_key_identifier() -> None:
    """A certificate with the genuine one's subjectKeyIdentifier, under another key.

    Precondition: both answer to the sid.
    """
    extension = pki().signer.certificate.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    )
    tbs = der.parts(der.parts(attacker().der)[0])
    own = der.parts(tbs[7])[0]
    fake_ski = der.sequence(der.oid("2.5.29.14"), der.octets(der.octets(extension.value.digest)))
    kept = [item for item in der.parts(own) if der.oid("2.5.29.14") not in item]
    tbs[7] = der.context(3, der.sequence(*kept, fake_ski))
    algorithm = der.parts(attacker().der)[1]
    body = der.sequence(*tbs)
    signature = sign(rsa_key("evil issuing"), body)
    octets = der.sequence(body, algorithm, der.tlv(0x03, b"\0", signature))
    twin = Identity(x509.load_der_x509_certificate(octets), rsa_key("evil signer"))
    sid = key_identifier(pki().signer.certificate)
    assert key_identifier(twin.certificate) == sid
    info = SignerInfo(version=3, sid=sid)
    for bag in ([pki().signer.der, twin.der], [twin.der, pki().signer.der]):
        evidence = make_evidence(twin, EVIL_CONTENT, info=info, certificates=bag, version=3)
        refuse(evidence, Code.CMS_MALFORMED, 2)


def _self_signed_signer() -> Identity:
    names = [der.tlv(0x82, name.encode("ascii")) for name in NAMES]
    return make_ca(
        "metadata.azure.com",
        key=rsa_key("evil signer"),
        basic_constraints=False,
        extended_key_usage=[ExtendedKeyUsageOID.SERVER_AUTH],
        extensions=[(raw_extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, *names), False)],
    )


@pytest.mark.parametrize("length", [1, 2, 3])
def test_certificates_of_the_evidence_treated_as_anchors(length: int) -> None:
    """The embedded chain was put into the trust store.

    Precondition: the evidence brings a whole chain, root included, and is good under that root.
    """
    root = make_ca("Evil Root", key=rsa_key("evil root"))
    issuing = make_ca("Evil Issuing CA", root, key=rsa_key("evil issuing"))
    issuer = {1: None, 2: root, 3: issuing}[length]
    signer = _self_signed_signer() if issuer is None else make_signer(issuer, key=rsa_key("evil"))
    own = TrustStore.from_certificates(
        anchors=[root.certificate], intermediates=[issuing.certificate], clouds={Cloud.PUBLIC}
    )
    if issuer is not None:
        assert Verifier(own).verify(make_evidence(signer, EVIL_CONTENT), at=AT, nonce=NONCE)
    bag = [signer.der, issuing.der, root.der]
    evidence = make_evidence(signer, EVIL_CONTENT, certificates=bag)
    assert signature_is_good(evidence)
    refuse(evidence, Code.ISSUER_UNKNOWN, 8)
    with refused(Code.ISSUER_UNKNOWN, 8):
        pki().verifier().verify(
            evidence,
            at=AT,
            nonce=NONCE,
            intermediates=[root.certificate, issuing.certificate, signer.certificate],
        )


def test_first_certificate_instead_of_the_sid() -> None:
    """The first certificate of the bag was taken for the signer's, whatever the sid said.

    Precondition: the evidence is good, and its first certificate is somebody else's; and the
    first certificate's own evidence would be good too.
    """
    other = make_signer(pki().intermediate, key=rsa_key("other signer"))
    assert pki().verifier().verify(make_evidence(other), at=AT, nonce=NONCE)
    evidence = make_evidence(pki().signer, certificates=[other.der, pki().signer.der])
    result = pki().verifier().verify(evidence, at=AT, nonce=NONCE)
    assert result.path.certificates[0] == pki().signer.certificate
    stolen = make_evidence(
        other,
        info=SignerInfo(sid=issuer_and_serial(pki().signer.certificate)),
        certificates=[other.der, pki().signer.der],
    )
    refuse(stolen, Code.SIGNATURE_INVALID, 5)


@pytest.mark.parametrize(
    "name",
    [
        b"evilmetadata.azure.com",
        b"metadata.azure.com.evil.example",
        b"metadata.azure.com\0.evil.example",
        b"evil.example\0.metadata.azure.com",
        b"\0metadata.azure.com",
        b"metadata.azure.com.",
        b"eastus.metadata.azure.com.",
        b".metadata.azure.com",
        b"metadata.azure.com ",
        "m\u0435tadata.azure.com".encode(),
        b"xn--mtadata-0ig.azure.com",
        b"metadata.xn--azre-0ra.com",
        b"metadata\xe3\x80\x82azure\xe3\x80\x82com",
        b"*.azure.com",
        b"*.com",
        b"metadata.azure.org",
        b"metadata.azure.com/eastus",
        b"root@metadata.azure.com",
    ],
)
def test_names_that_look_like_azures(name: bytes) -> None:
    """Suffixes, prefixes, NUL, trailing dots, homographs (CVE-2009-2408 and its heirs).

    Precondition: the certificate is the pinned CA's own, the signature is good, the document is
    fresh: but for the name this evidence would verify.
    """
    signer = make_signer(pki().intermediate, names=(), raw_names=[der.tlv(0x82, name)])
    evidence = make_evidence(signer)
    twin = make_signer(pki().intermediate)
    assert pki().verifier().verify(make_evidence(twin), at=AT, nonce=NONCE)
    assert signature_is_good(evidence)
    refuse(evidence, Code.SIGNER_NAME_MISMATCH, 4)


@pytest.mark.parametrize(
    "name", ["EASTUS.METADATA.AZURE.COM", "Metadata.Azure.Com", "mEtAdAtA.aZuRe.CoM"]
)
def test_names_in_upper_case_are_azures(name: str) -> None:
    """RFC 5280 section 7.2: ASCII case is no difference, in the name check and in the path's."""
    evidence = make_evidence(make_signer(pki().intermediate, names=[name]))
    assert pki().verifier().verify(evidence, at=AT, nonce=NONCE)


@pytest.mark.parametrize(
    ("names", "common_name"),
    [
        (["evil.example"], "metadata.azure.com"),
        (["evil.example"], "eastus.metadata.azure.com"),
        ([], "metadata.azure.com"),
        (None, "metadata.azure.com"),
        (None, "eastus.metadata.azure.com"),
    ],
)
def test_common_name_against_subject_alternative_name(
    names: list[str] | None, common_name: str
) -> None:
    """A common name that is Azure's beside a subjectAltName that is not, is empty or is missing.

    Precondition: the common name is right and the pinned CA has issued the certificate.
    """
    signer = make_signer(pki().intermediate, names=names, common_name=common_name)
    assert signer.certificate.subject.rfc4514_string().startswith(f"CN={common_name},")
    evidence = make_evidence(signer)
    assert signature_is_good(evidence)
    refuse(evidence, Code.SIGNER_NAME_MISMATCH, 4)


@pytest.mark.parametrize("common_name", ["evil.example", "metadata.azure.us", None])
def test_subject_alternative_name_against_common_name(common_name: str | None) -> None:
    """The other way around the subjectAltName counts, and the common name says nothing."""
    signer = make_signer(pki().intermediate, common_name=common_name)
    result = pki().verifier().verify(make_evidence(signer), at=AT, nonce=NONCE)
    assert (result.cloud, result.region) == ("public", "eastus")


def test_anyone_with_a_certificate_of_the_pinned_ca() -> None:
    """The pinned roots issue certificates to everybody: the chain alone proves nothing.

    Precondition: an ordinary TLS certificate of the same CA, with a good chain and a good
    signature.
    """
    signer = make_signer(pki().intermediate, names=["shop.example"], common_name="shop.example")
    evidence = make_evidence(signer, EVIL_CONTENT)
    result = check_chain(
        pki().store(), signer.certificate, at=AT, name="shop.example", cloud=Cloud.PUBLIC
    )
    assert result.path.certificates[0] == signer.certificate
    assert signature_is_good(evidence)
    refuse(evidence, Code.SIGNER_NAME_MISMATCH, 4)


def test_an_ordinary_certificate_as_a_ca() -> None:
    """CVE-2002-0862 (basicConstraints never checked): a TLS certificate issues another.

    Precondition: its own chain is good, and its key did sign the false signer's certificate.
    """
    shop = make_signer(pki().intermediate, names=["shop.example"], common_name="shop.example")
    false = make_signer(shop, key=rsa_key("evil signer"))
    false.certificate.verify_directly_issued_by(shop.certificate)
    evidence = make_evidence(false, EVIL_CONTENT, certificates=[false.der, shop.der])
    assert signature_is_good(evidence)
    refuse(evidence, Code.PATH_INVALID, 8)


def test_an_old_document_with_its_old_nonce() -> None:
    """A replay: IMDS caches, and so does an attacker.

    Precondition: the document is genuine and still within its own lifetime.
    """
    evidence = make_evidence(pki().signer, make_content(nonce="yesterday"))
    assert pki().verifier().verify(evidence, at=AT, nonce="yesterday")
    assert pki().verifier().verify(evidence, at=AT)
    refuse(evidence, Code.NONCE_MISMATCH, 7)


def test_two_readers_of_one_document() -> None:
    """A key twice: one reader takes the first, another the last.

    Precondition: the signature is good, and Python's own reader sees the second VM.
    """
    content = make_content()
    doubled = content[:-1] + b',"vmId":"' + VM_ID.encode() + b'"}'
    evidence = make_evidence(pki().signer, doubled)
    assert signature_is_good(evidence)
    refuse(evidence, Code.DOCUMENT_MALFORMED, 6)


def _cross_signed(key: PrivateKey, name: str, count: int, top: Identity) -> list[Identity]:
    """Return CAs of two names and one key, each of which every one of the other name issued."""
    first = make_ca(f"{name} B", top, key=key)
    cas = [first, make_ca(f"{name} A", first, key=key)]
    while len(cas) < count:
        other = "A" if len(cas) % 2 else "B"
        cas.append(make_ca(f"{name} {other}", cas[1 - len(cas) % 2], key=key))
    return cas


@pytest.mark.parametrize("kind", ["rsa", "p256", "p521"])
@pytest.mark.parametrize("connected", ["to nothing", "to a TLS certificate", "to a CA"])
@pytest.mark.parametrize("names", [1, 2])
def test_a_pathological_graph_is_answered(kind: str, connected: str, names: int) -> None:
    """Fifteen CAs of the same names and the same key, cross-signed.

    A search that tries each way explores 15 to the power of the depth.  Precondition: all of
    them could have issued the signer's certificate, and each other.
    """
    key: PrivateKey = rsa_key("graph") if kind == "rsa" else ec_key("graph", kind)
    top = {
        "to nothing": Identity(make_ca("Stranger", key=key).certificate, key),
        "to a TLS certificate": make_signer(pki().intermediate, names=["shop.example"], key=key),
        "to a CA": make_ca("Link", pki().intermediate, key=key),
    }[connected]
    if names == 1:
        cas = [make_ca("Graph", Identity(top.certificate, key), key=key)]
        issuer = Identity(make_ca("Graph", key=key).certificate, key)
        cas += [make_ca("Graph", issuer, key=key) for _ in range(13)]
    else:
        cas = _cross_signed(key, "Graph", 14, Identity(top.certificate, key))
    signer = make_signer(cas[1], key=rsa_key("evil signer"))
    for ca in cas[1::2] if names == 2 else cas:
        signer.certificate.verify_directly_issued_by(ca.certificate)
    bag = [signer.der, top.der, *[ca.der for ca in cas]]
    evidence = make_evidence(signer, EVIL_CONTENT, certificates=bag)
    assert len(bag) == 16
    verifier = pki().verifier()
    start = time.monotonic()
    with refused_somehow():
        verifier.verify(evidence, at=AT, nonce=NONCE)
    assert time.monotonic() - start < HANG
    start = time.monotonic()
    inspection = verifier.inspect(evidence, at=AT, nonce=NONCE)
    assert inspection.steps[7].status == "failed"
    assert time.monotonic() - start < HANG


def test_a_pathological_graph_does_not_hide_the_path() -> None:
    """A genuine signer verifies though a graph is put beside it."""
    key = ec_key("graph")
    graph = _cross_signed(key, "Graph", 15, make_ca("Stranger", key=key))
    bag = [*[ca.der for ca in graph], pki().signer.der]
    start = time.monotonic()
    result = (
        pki().verifier().verify(make_evidence(pki().signer, certificates=bag), at=AT, nonce=NONCE)
    )
    assert time.monotonic() - start < HANG
    assert len(result.path.certificates) == 3


def test_a_verifier_is_not_worn_out() -> None:
    """Refusing many strangers neither fills the cache nor pushes the good signer out."""
    verifier = Verifier(pki().store(), cache_size=2)
    verifier.verify(good_evidence(), at=AT, nonce=NONCE)
    known = dict(verifier._trusted._entries)
    for number in range(20):
        stranger = make_signer(make_ca("Stranger", key=ec_key("graph")), serial=number + 1)
        with pytest.raises(AttestError):
            verifier.verify(make_evidence(stranger), at=AT + timedelta(seconds=number))
    assert verifier._trusted._entries == known
