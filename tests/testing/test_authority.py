"""FakeAuthority: what it signs verifies, looks like Azure's, and is trusted nowhere else."""

from __future__ import annotations

import ast
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

import attest.testing
from attest import (
    AppraisalPolicy,
    AttestationResult,
    AttestError,
    Cloud,
    Code,
    Plan,
    TrustStore,
    Verifier,
)
from attest.testing import (
    CertificationAuthority,
    Digest,
    FakeAuthority,
    FakeDocument,
    Shape,
    SignerOptions,
    Validity,
    der,
)

ALL_CLOUDS = AppraisalPolicy(clouds=frozenset(Cloud))
REAL = Path(__file__).parent.parent / "vectors" / "real"


def verify(authority: FakeAuthority, evidence: Any, **arguments: Any) -> AttestationResult:
    """Verify with nothing but the authority's trust store."""
    at = arguments.pop("at", authority.now())
    return Verifier(authority.trust_store(), ALL_CLOUDS).verify(evidence, at=at, **arguments)


@pytest.mark.parametrize("cloud", Cloud)
@pytest.mark.parametrize("shape", Shape)
def test_every_cloud_and_shape_verifies(cloud: Cloud, shape: Shape) -> None:
    """The document verifies, with the authority's CRLs, and tells cloud and region."""
    authority = FakeAuthority(cloud, shape)
    result = verify(authority, authority.sign().json, crls=authority.crls())
    assert (result.cloud, result.region) == (cloud, authority.region)
    assert len(result.path.certificates) == (4 if shape is Shape.G2 else 3)


@pytest.mark.parametrize(
    "options",
    [
        {"signed_attrs": True},
        {"digest": "sha384"},
        {"digest": Digest.SHA512, "signed_attrs": True},
        {"sid": "key"},
        {"quirk": False},
    ],
    ids=str,
)
def test_options_verify(authority: FakeAuthority, options: dict[str, Any]) -> None:
    """Every option of the CMS gives evidence that verifies, extra certificates included."""
    evidence = authority.sign(extra_certificates=authority.intermediates, **options)
    assert verify(authority, evidence.der).document.vm_id


@pytest.mark.parametrize("real_names", [False, True])
@pytest.mark.parametrize("shape", Shape)
def test_the_bundled_store_rejects_everything(*, shape: Shape, real_names: bool) -> None:
    """Nobody else trusts it, whatever its CAs are called and whatever the evidence brings."""
    for cloud in Cloud:
        authority = FakeAuthority(cloud, shape, real_names=real_names)
        path = (*authority.intermediates, *authority.anchors)
        for evidence in (authority.sign(), authority.sign(extra_certificates=path)):
            verifier = Verifier(TrustStore.bundled(), ALL_CLOUDS)
            with pytest.raises(AttestError) as caught:
                verifier.verify(evidence.der, at=authority.now(), intermediates=path)
            assert caught.value.code == Code.ISSUER_UNKNOWN


def test_authorities_do_not_trust_each_other(authority: FakeAuthority) -> None:
    """Another authority of the same names is a stranger."""
    stranger = FakeAuthority(shape=authority.shape)
    assert stranger.issuer.name == authority.issuer.name
    with pytest.raises(AttestError) as caught:
        verify(authority, stranger.sign().der)
    assert caught.value.code == Code.ISSUER_UNKNOWN


def test_signer_profile(authority: FakeAuthority) -> None:
    """The signer certificate is what real ones are."""
    certificate = authority.signer
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "eastus.metadata.azure.com",
        "metadata.azure.com",
    ]
    assert certificate.subject.rfc4514_string().startswith("CN=metadata.azure.com")
    usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH in usages
    assert extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime == timedelta(days=180)
    policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    organization = authority.shape is not Shape.BALTIMORE
    wanted = "2.23.140.1.2.2" if organization else "2.23.140.1.2.1"
    assert wanted in {policy.policy_identifier.dotted_string for policy in policies}
    assert bool(extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value)


@pytest.mark.parametrize("real", sorted(REAL.glob("*.json")), ids=lambda path: path.stem)
def test_frame_is_that_of_a_real_document(g2: FakeAuthority, real: Path) -> None:
    """Outside certificate, document, names and signature, the octets are Azure's."""
    theirs = base64.b64decode(json.loads(real.read_text())["signature"])
    assert frame(g2.sign().der) == frame(theirs)


def frame(evidence: bytes) -> list[bytes]:
    """Return what a SignedData says about itself: versions, algorithms, types, counts."""
    content_type, wrapped = der.children(evidence)
    version, algorithms, content, bag, infos = der.children(der.children(wrapped)[0])
    (info,) = der.children(infos)
    info_version, _sid, digest, signature_algorithm, signature = der.children(info)
    return [
        content_type,
        version,
        algorithms,
        der.children(content)[0],
        bytes([len(der.children(bag))]),
        info_version,
        digest,
        signature_algorithm,
        signature[:4],
    ]


@pytest.mark.parametrize("real", sorted(REAL.glob("*.json")), ids=lambda path: path.stem)
def test_document_is_that_of_a_real_one(real: Path) -> None:
    """From the fields of a real document, the same octets are written."""
    evidence = base64.b64decode(json.loads(real.read_text())["signature"])
    signed_data = der.children(der.children(der.children(evidence)[1])[0])
    content = der.read(der.children(der.children(signed_data[2])[1])[0])[1]
    values = json.loads(content)
    created_on = datetime.strptime(values["timeStamp"]["createdOn"], "%m/%d/%y %H:%M:%S %z")
    document = FakeDocument(
        vm_id=values["vmId"],
        subscription_id=values.get("subscriptionId", ""),
        sku=values.get("sku", ""),
        created_on=created_on,
        omit=frozenset({"licenseType", "sku", "subscriptionId"} - set(values)),
    )
    assert document.to_json() == content


def test_document_fields(g2: FakeAuthority) -> None:
    """Every field arrives; a document and fields that replace some of it may be mixed."""
    plan = Plan(name="gold", product="scanner", publisher="contoso")
    created_on = g2.now() - timedelta(minutes=5)
    evidence = g2.sign(
        FakeDocument(sku="a", license_type="RHEL_BYOS"),
        sku="b",
        plan=plan,
        nonce="1234567890",
        subscription_id="s",
        created_on=created_on,
        lifetime=timedelta(hours=1),
    )
    document = verify(g2, json.loads(evidence.json), nonce="1234567890").document
    assert (document.sku, document.license_type, document.plan) == ("b", "RHEL_BYOS", plan)
    assert (document.created_on, document.subscription_id) == (created_on, "s")
    assert document.expires_on == evidence.document.expires_on == created_on + timedelta(hours=1)


def test_classic_vm(g2: FakeAuthority) -> None:
    """Keys can be left out, down to the vmId alone; others can be added."""
    keys = {"licenseType", "nonce", "plan", "sku", "subscriptionId", "timeStamp"}
    assert list(json.loads(g2.sign(omit=frozenset(keys)).content)) == ["vmId"]
    content = g2.sign(override={"extra": 1}).content
    assert b'"extra":1' in content


def test_clock() -> None:
    """The time is a parameter, as a value or as a function, and must be aware."""
    past = datetime(2020, 6, 1, 12, tzinfo=UTC)
    fixed = FakeAuthority(shape="ecdsa", now=past)
    assert verify(fixed, fixed.sign().der, at=past).document.created_on == past
    times = [past, past, past + timedelta(hours=1)]
    moving = FakeAuthority(shape="ecdsa", now=lambda: times.pop(0))
    moving.sign()
    assert moving.sign().document.created_on == past + timedelta(hours=1)
    naive = past.replace(tzinfo=None)
    with pytest.raises(ValueError, match="aware"):
        FakeAuthority(shape="ecdsa", now=naive)
    with pytest.raises(ValueError, match="aware"):
        fixed.sign(created_on=naive)
    with pytest.raises(ValueError, match="created_on is not set"):
        FakeDocument().to_json()


def test_bad_arguments() -> None:
    """Unknown shapes and digests are refused."""
    with pytest.raises(ValueError, match="pyramid"):
        FakeAuthority(shape="pyramid")
    with pytest.raises(ValueError, match="sha3"):
        FakeAuthority(shape="ecdsa").sign(digest="sha3")


def test_baltimore_root_is_signed_with_sha1() -> None:
    """Baltimore's root signed itself with SHA-1; nothing else of it did."""
    authority = FakeAuthority(shape="baltimore")
    (root,) = authority.anchors
    assert isinstance(root.signature_hash_algorithm, hashes.SHA1)
    others = (*authority.intermediates, authority.signer)
    assert all(isinstance(c.signature_hash_algorithm, hashes.SHA256) for c in others)


def test_cross_certificate_has_expired() -> None:
    """Of the issuing CA's two certificates one has expired; old evidence may use either."""
    authority = FakeAuthority(shape="rsa_xsign")
    expired, current = authority.intermediates
    assert expired.subject == current.subject
    assert expired.not_valid_after_utc < authority.now() < current.not_valid_after_utc
    then = authority.now() - timedelta(days=10)
    old = authority.sign(created_on=then)
    for anchor in authority.anchors:
        store = TrustStore.from_certificates(
            anchors=[anchor], intermediates=authority.intermediates, clouds={Cloud.PUBLIC}
        )
        assert Verifier(store).verify(old.der, at=then).document.vm_id


def test_real_names() -> None:
    """On request the CAs have the names of the real ones."""
    authority = FakeAuthority(real_names=True)
    (anchor,) = authority.anchors
    genuine = next(a for a in TrustStore.bundled().anchors if "Global Root G2" in str(a))
    assert anchor.subject == genuine.certificate.subject
    assert "Fake" in FakeAuthority(shape="ecdsa").anchors[0].subject.rfc4514_string()


def test_every_address_is_served(authority: FakeAuthority) -> None:
    """Each AIA address leads to the issuer, each CRL address to the issuer's CRL."""
    certificates, crls = authority.certificates_by_url(), authority.crls_by_url()
    own = [c for c in (*authority.intermediates, authority.signer) if c not in authority.anchors]
    for certificate in own:
        for url in urls(certificate):
            assert url.startswith(authority.base_url)
            if url.endswith(".crt"):
                certificate.verify_directly_issued_by(certificates[url])
            elif url.endswith(".crl"):
                assert crls[url].issuer == certificate.issuer
    signer_urls = [url for url in urls(authority.signer) if url.endswith(".crt")]
    assert len(signer_urls) == (2 if authority.shape is Shape.G2 else 1)


def urls(certificate: x509.Certificate) -> list[str]:
    """Return every caIssuers and CRL address of a certificate."""
    extensions = certificate.extensions
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    found = [
        str(description.access_location.value)
        for description in access
        if description.access_method == AuthorityInformationAccessOID.CA_ISSUERS
    ]
    for point in extensions.get_extension_for_class(x509.CRLDistributionPoints).value:
        found += [str(name.value) for name in point.full_name or ()]
    return found


def test_crls_are_signed_by_their_issuers(authority: FakeAuthority) -> None:
    """Every CA has a CRL of its own name and key."""
    for ca, crl in zip(authority.authorities, authority.crls(), strict=True):
        assert crl.issuer == ca.name
        assert crl.is_signature_valid(ca.key.public_key())


def test_revoke() -> None:
    """A revoked certificate stays revoked; another authority's cannot be."""
    authority = FakeAuthority(shape="ecdsa")
    other = authority.issue_signer(region="westeurope")
    authority.revoke(authority.signer)
    with pytest.raises(AttestError) as caught:
        verify(authority, authority.sign().der, crls=authority.crls())
    assert caught.value.code == Code.CERTIFICATE_REVOKED
    evidence = authority.sign(signer=other)
    assert verify(authority, evidence.der, crls=authority.crls()).region == "westeurope"
    with pytest.raises(ValueError, match="no CA of this authority"):
        authority.revoke(FakeAuthority(shape="ecdsa").signer)


def test_issue_signer(g2: FakeAuthority) -> None:
    """Names, key, issuer and dates of a further signer are the caller's."""
    names = ["*.metadata.azure.com"]
    assert verify(g2, g2.sign(signer=g2.issue_signer(names=names)).der).region is None
    until = g2.now() + timedelta(minutes=1)
    options = SignerOptions(validity=Validity(g2.now() - timedelta(days=1), until))
    result = verify(g2, g2.sign(signer=g2.issue_signer(options=options)).der)
    assert result.valid_until == until


def test_new_authority(g2: FakeAuthority) -> None:
    """A further CA can be put under any CA of the authority."""
    issuer = g2.new_authority("Next Issuing CA")
    link = g2.authorities[1].issue_ca(issuer, g2.ca_validity())
    assert isinstance(issuer, CertificationAuthority)
    evidence = g2.sign(signer=g2.issue_signer(issuer=issuer))
    path = verify(g2, evidence.der, intermediates=[link]).path
    assert link in path.certificates


def test_trust_pem(authority: FakeAuthority, tmp_path: Path) -> None:
    """The PEM holds roots and intermediates, and ``--trust`` takes it."""
    certificates = x509.load_pem_x509_certificates(authority.trust_pem())
    assert certificates == [*authority.anchors, *authority.intermediates]
    file = tmp_path / "trust.pem"
    file.write_bytes(authority.trust_pem())
    store = TrustStore.from_pem(file, clouds={authority.cloud})
    assert Verifier(store).verify(authority.sign().der, at=authority.now()).document.vm_id


def test_no_key_shows(g2: FakeAuthority) -> None:
    """Neither signer nor evidence shows a private key when it is printed."""
    assert "PrivateKey" not in repr(g2.default_signer) + repr(g2.sign())


def test_encoder_is_independent() -> None:
    """What the fake encodes with shares nothing with what the verifier decodes with."""
    folder = Path(attest.testing.__file__).parent
    forbidden = {"attest.cms", "attest.document", "attest.strictjson", "attest.verifier"}
    for file in folder.glob("*.py"):
        if file.name in {"__init__.py", "plugin.py"}:
            continue
        tree = ast.parse(file.read_text())
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert not modules & forbidden, file.name
        assert "attest" not in modules, file.name


def test_certificate_der_round_trip(authority: FakeAuthority) -> None:
    """Certificates that were signed by hand are the DER that they claim to be."""
    for certificate in (*authority.anchors, *authority.intermediates, authority.signer):
        encoded = certificate.public_bytes(serialization.Encoding.DER)
        assert der.sequence(*der.children(encoded)) == encoded
