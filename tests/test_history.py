"""History replayed: a store frozen before a rotation verifies the documents after it.

The stores are the pinned one without whatever was issued after a day, so that no release brings
what came later; the hosts of the issuers' certificates are this machine, and serve the real ones
at their real URLs; the documents are the five real ones, each at its own time, and for what no
public document shows, those of a PKI of the same shape.

Anchors are never fetched.  A rotation that also moves to a new root works because that root
cross-signed, or was pinned, before: Baltimore (2000), DigiCert Global Root G2 (2013) and Microsoft
RSA Root Certificate Authority 2017 are what a store of those days pins, and Microsoft TLS RSA Root
G2 (2025) counts as a root nowhere here; its cross-certificate under DigiCert's is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest
from cryptography import x509

from attest import Cloud, Code, TrustStore, Verifier
from attest.download import ISSUER_HOSTS, Downloader
from attest.issuers import AiaIssuerSource
from attest.path import Origin
from tests.support.aia import access
from tests.support.pki import (
    Identity,
    der_of,
    make_ca,
    make_content,
    make_evidence,
    make_signer,
    rsa_key,
    timestamp,
)
from tests.support.refusal import refused
from tests.support.vectors import RealDocument, real_documents
from tests.support.web import Web, loopback_web

MICROSOFT = "www.microsoft.com"
SECOND_HOST = "caissuers.microsoft.com"
DIGICERT = "cacerts.digicert.com"
DAY = timedelta(days=1)

# The real URLs, without scheme, and which file of certs/ is what they serve.
PUBLISHED = {
    f"{MICROSOFT}/pki/mscorp/Microsoft%20RSA%20TLS%20CA%2001.crt": "microsoft_rsa_tls_ca_01",
    f"{MICROSOFT}/pkiops/certs/Microsoft%20Azure%20TLS%20Issuing%20CA%2005%20-%20xsign.crt": (
        "microsoft_azure_tls_issuing_ca_05_xsign"
    ),
    f"{MICROSOFT}/pkiops/certs/Microsoft%20Azure%20RSA%20TLS%20Issuing%20CA%2008%20-%20xsign.crt": (
        "microsoft_azure_rsa_tls_issuing_ca_08_xsign"
    ),
    **{
        f"{host}/pkiops/certs/{name}": file
        for host in (MICROSOFT, SECOND_HOST)
        for name, file in (
            ("Microsoft%20TLS%20G2%20RSA%20CA%20OCSP%2002.crt", "microsoft_tls_g2_rsa_ca_ocsp_02"),
            (
                "Microsoft%20TLS%20RSA%20Root%20G2%20-%20xsign.crt",
                "microsoft_tls_rsa_root_g2_xsign",
            ),
        )
    },
}


@pytest.fixture(name="web")
def web_() -> Iterator[Web]:
    """The hosts of Microsoft and DigiCert, with what they publish."""
    folder = resources.files("certs")
    with loopback_web(Web) as running:
        for page, file in PUBLISHED.items():
            pem = (folder / "intermediates" / f"{file}.pem").read_bytes()
            running.pages[page] = der_of(x509.load_pem_x509_certificate(pem))
        root = (folder / "anchors" / "digicert_global_root_g2.pem").read_bytes()
        running.pages[f"{DIGICERT}/DigiCertGlobalRootG2.crt"] = der_of(
            x509.load_pem_x509_certificate(root)
        )
        yield running


def store_of(day: datetime) -> TrustStore:
    """Return the pinned store without what was issued after a day."""
    pinned = TrustStore.bundled()
    return TrustStore(
        [one for one in pinned.anchors if one.certificate.not_valid_before_utc <= day],
        [one for one in pinned.intermediates if one.certificate.not_valid_before_utc <= day],
    )


def source_at(web: Web, at: datetime) -> AiaIssuerSource:
    """Return a source of that time."""
    return AiaIssuerSource(Downloader(ISSUER_HOSTS, network=web), clock=at.timestamp)


@dataclass(frozen=True)
class Rotation:
    """The day before it, the document after it, and how many certificates must be fetched."""

    frozen: datetime
    document: str
    hops: int


ROTATIONS = {
    "IT TLS to RSA TLS": Rotation(datetime(2020, 7, 20, tzinfo=UTC), "2021_01_rsa_tls_ca_01", 1),
    "IT TLS to RSA TLS, a year on": Rotation(
        datetime(2020, 7, 20, tzinfo=UTC), "2022_04_rsa_tls_ca_01", 1
    ),
    "RSA TLS to Azure TLS Issuing": Rotation(
        datetime(2020, 7, 28, tzinfo=UTC), "govcloud_2023_03_azure_tls_issuing_ca_05", 1
    ),
    "Azure TLS Issuing to Azure RSA TLS Issuing": Rotation(
        datetime(2023, 5, 24, tzinfo=UTC), "rsa_2024_04_azure_rsa_tls_issuing_ca_08", 1
    ),
    "Azure RSA TLS Issuing to TLS G2 OCSP": Rotation(
        datetime(2025, 4, 9, tzinfo=UTC), "regular_2026_06_tls_g2_rsa_ca_ocsp_02", 2
    ),
}
every_rotation = pytest.mark.parametrize("name", ROTATIONS)


def real(name: str) -> RealDocument:
    """Return a real document."""
    return next(document for document in real_documents() if document.name == name)


def test_the_rotations_are_in_order_and_complete() -> None:
    """Every real document comes after one of them."""
    assert {rotation.document for rotation in ROTATIONS.values()} == {
        document.name for document in real_documents()
    }
    days = [rotation.frozen for rotation in ROTATIONS.values()]
    assert days == sorted(days)


@every_rotation
def test_with_a_source_the_documents_after_it_verify(web: Web, name: str) -> None:
    """By a path whose links were fetched, to an anchor that was pinned before."""
    rotation, document = ROTATIONS[name], real(ROTATIONS[name].document)
    store = store_of(rotation.frozen)
    verifier = Verifier(store, issuers=source_at(web, document.at))
    result = verifier.verify(document.der, at=document.at, nonce=document.nonce)
    links = (Origin.FETCHED,) * rotation.hops
    assert result.path.origins == (Origin.EVIDENCE, *links, Origin.PINNED)
    assert result.path.certificates[-1] in store.anchors_for(document.cloud)
    assert len(web.requests) == rotation.hops


@every_rotation
def test_with_fetching_off_their_issuer_is_unknown(web: Web, name: str) -> None:
    """So the rotation is one, and nothing else is wrong with the document."""
    rotation, document = ROTATIONS[name], real(ROTATIONS[name].document)
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(store_of(rotation.frozen)).verify(document.der, at=document.at)
    assert Verifier(TrustStore.bundled()).verify(document.der, at=document.at)
    assert web.lookups == []


@every_rotation
def test_with_the_issuer_handed_over_they_verify_offline(web: Web, name: str) -> None:
    """The operator's way where fetching is not allowed."""
    rotation, document = ROTATIONS[name], real(ROTATIONS[name].document)
    store = store_of(rotation.frozen)
    source = source_at(web, document.at)
    fetched = Verifier(store, issuers=source).verify(document.der, at=document.at).path
    web.requests.clear()
    result = Verifier(store).verify(
        document.der, at=document.at, intermediates=fetched.certificates[1:-1]
    )
    assert set(result.path.origins[1:-1]) == {Origin.OPERATOR}
    assert web.requests == []


@pytest.mark.parametrize("document", real_documents(), ids=lambda document: document.name)
def test_a_store_of_2018_verifies_every_document_since(web: Web, document: RealDocument) -> None:
    """Eight years without a release: no anchor of today's documents is younger."""
    store = store_of(datetime(2018, 1, 1, tzinfo=UTC))
    verifier = Verifier(store, issuers=source_at(web, document.at))
    assert verifier.verify(document.der, at=document.at).path.origins[-1] is Origin.PINNED
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(store).verify(document.der, at=document.at)


@pytest.mark.parametrize("dead", [{MICROSOFT}, {SECOND_HOST}, set()])
def test_the_second_host_serves_while_the_first_is_dead(web: Web, dead: set[str]) -> None:
    """Certificates of 2026 name two, for both hops."""
    document = real("regular_2026_06_tls_g2_rsa_ca_ocsp_02")
    web.dead |= dead
    verifier = Verifier(
        store_of(datetime(2025, 4, 9, tzinfo=UTC)), issuers=source_at(web, document.at)
    )
    assert verifier.verify(document.der, at=document.at).path.origins.count(Origin.FETCHED) == 2
    assert len(web.requests) == (4 if MICROSOFT in dead else 2)


def test_with_all_hosts_dead_the_issuer_is_unknown(web: Web) -> None:
    """And nobody gets to hear of anything but that."""
    document = real("regular_2026_06_tls_g2_rsa_ca_ocsp_02")
    web.dead |= {MICROSOFT, SECOND_HOST, DIGICERT}
    verifier = Verifier(
        store_of(datetime(2025, 4, 9, tzinfo=UTC)), issuers=source_at(web, document.at)
    )
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier.verify(document.der, at=document.at)


def test_no_anchor_is_fetched(web: Web) -> None:
    """A store without the root has none, though its host would hand it out."""
    document = real("regular_2026_06_tls_g2_rsa_ca_ocsp_02")
    pinned = store_of(datetime(2025, 4, 9, tzinfo=UTC))
    others = [
        anchor
        for anchor in pinned.anchors
        if "DigiCert Global Root G2" not in anchor.certificate.subject.rfc4514_string()
    ]
    assert len(others) == len(pinned.anchors) - 1
    verifier = Verifier(TrustStore(others), issuers=source_at(web, document.at))
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier.verify(document.der, at=document.at)
    assert f"{DIGICERT}/DigiCertGlobalRootG2.crt" in web.requests


# What no public document shows


def evidence_at(at: datetime, issuer: Identity, url: str) -> bytes:
    """Return evidence a minute old, of a signer two months before its end."""
    signer = make_signer(
        issuer, valid=(at - 30 * DAY, at + 60 * DAY), extensions=[access(f"http://{url}")]
    )
    created = at - timedelta(minutes=1)
    lifetime = {"createdOn": timestamp(created), "expiresOn": timestamp(created + DAY / 4)}
    return make_evidence(signer, make_content(timeStamp=lifetime))


def fake_store(root: Identity, *links: Identity) -> TrustStore:
    """Return a store of that root and these intermediates."""
    return TrustStore.from_certificates(
        anchors=[root.certificate],
        intermediates=[link.certificate for link in links],
        clouds={Cloud.PUBLIC},
    )


ALWAYS = datetime(2013, 8, 1, tzinfo=UTC), datetime(2038, 1, 15, tzinfo=UTC)


def test_a_cross_certificate_that_expires_is_renewed(web: Web) -> None:
    """That of Azure RSA TLS Issuing CA ends on 2026-08-25; the CA goes on signing."""
    root = make_ca("Fake Global Root G2", valid=ALWAYS)
    key = rsa_key("Fake Azure RSA TLS Issuing CA 08")
    end = datetime(2026, 8, 25, 23, 59, 59, tzinfo=UTC)
    started = datetime(2023, 6, 8, tzinfo=UTC)
    pinned = make_ca("Fake Azure RSA TLS Issuing CA 08", root, key=key, valid=(started, end))
    renewed = make_ca(
        "Fake Azure RSA TLS Issuing CA 08", root, key=key, valid=(end - 30 * DAY, end + 900 * DAY)
    )
    page = f"{MICROSOFT}/pkiops/certs/Fake%20Azure%20RSA%20TLS%20Issuing%20CA%2008%20-%20xsign.crt"
    web.pages[page] = renewed.der
    store, before, after = fake_store(root, pinned), end - 10 * DAY, end + 10 * DAY
    assert Verifier(store).verify(evidence_at(before, pinned, page), at=before)
    evidence = evidence_at(after, pinned, page)
    with refused(Code.CERTIFICATE_EXPIRED, 8):
        Verifier(store).verify(evidence, at=after)
    healed = Verifier(store).verify(evidence, at=after, intermediates=[renewed.certificate])
    assert healed.path.origins[1] is Origin.OPERATOR
    result = Verifier(store, issuers=source_at(web, after)).verify(evidence, at=after)
    assert result.path.certificates[1] == renewed.certificate
    assert result.path.origins == (Origin.EVIDENCE, Origin.FETCHED, Origin.OPERATOR)


def test_a_document_of_an_it_tls_ca(web: Web) -> None:
    """Before 2018 Azure moved to these; a store that knows the root alone finds them."""
    root = make_ca("Fake CyberTrust Root", valid=(ALWAYS[0] - 4000 * DAY, ALWAYS[1]))
    start = datetime(2016, 5, 20, tzinfo=UTC)
    issuer = make_ca("Fake IT TLS CA 5", root, valid=(start, start + 8 * 365 * DAY))
    page = f"{MICROSOFT}/pki/mscorp/Fake%20IT%20TLS%20CA%205.crt"
    web.pages[page] = issuer.der
    at = datetime(2018, 11, 1, tzinfo=UTC)
    evidence = evidence_at(at, issuer, page)
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(fake_store(root)).verify(evidence, at=at)
    result = Verifier(fake_store(root), issuers=source_at(web, at)).verify(evidence, at=at)
    assert result.path.origins[1] is Origin.FETCHED


def test_a_root_of_tomorrow_that_a_pinned_one_cross_signed(web: Web) -> None:
    """A new root, a policy CA and an issuing CA: three hops, and none of them known today."""
    pinned = make_ca("Fake Global Root G2", valid=ALWAYS)
    start = datetime(2027, 1, 1, tzinfo=UTC)
    valid, at = (start, start + 2000 * DAY), start + 200 * DAY
    pages = [f"{MICROSOFT}/pkiops/certs/{name}.crt" for name in ("root", "policy", "issuing")]
    root = make_ca("Fake Root G3", valid=valid)
    crossed = make_ca("Fake Root G3", pinned, key=root.key, valid=valid)
    policy = make_ca("Fake Policy CA", root, valid=valid, extensions=[access(f"http://{pages[0]}")])
    issuing = make_ca(
        "Fake Issuing", policy, valid=valid, extensions=[access(f"http://{pages[1]}")]
    )
    web.pages |= dict(zip(pages, (crossed.der, policy.der, issuing.der), strict=True))
    evidence = evidence_at(at, issuing, pages[2])
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(fake_store(pinned)).verify(evidence, at=at)
    result = Verifier(fake_store(pinned), issuers=source_at(web, at)).verify(evidence, at=at)
    assert result.path.origins.count(Origin.FETCHED) == 3
    # With the root's own certificate in place of the one that the pinned root signed: nothing.
    web.pages[pages[0]] = root.der
    with refused(Code.ISSUER_UNKNOWN, 8):
        Verifier(fake_store(pinned), issuers=source_at(web, at)).verify(evidence, at=at)
