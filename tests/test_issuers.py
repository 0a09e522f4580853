"""Tests of attest.issuers: what is fetched, from whom, and which attacks that survives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from attest import AppraisalPolicy, Cloud, Code, TrustStore, Verifier, check_chain
from attest.path import Origin
from tests.support import der
from tests.support.aia import (
    HANG,
    HOST,
    PAGE,
    SECOND_PAGE,
    SECOND_URL,
    URL,
    access,
    evidence_of,
    good,
    signer_of,
    source_of,
    verifier_of,
)
from tests.support.pki import (
    ALGORITHM,
    AT,
    CREATED,
    EXPIRES,
    SIGNER_VALID,
    Identity,
    ec_key,
    make_ca,
    make_content,
    make_evidence,
    pem_of,
    pki,
    rsa_key,
)
from tests.support.refusal import refused
from tests.support.web import (
    PUBLIC_ADDRESS,
    Page,
    Web,
    drips,
    loopback_web,
    redirects,
    response,
    sends,
)

SECOND = timedelta(seconds=1)


@pytest.fixture(name="web")
def web_() -> Iterator[Web]:
    """A web on which the issuer of good evidence can be had."""
    with loopback_web(Web) as running:
        running.pages[PAGE] = pki().intermediate.der
        yield running


def as_pkcs7(encoding: Encoding, *certificates: x509.Certificate) -> bytes:
    """Return a certs-only SignedData."""
    return pkcs7.serialize_certificates(list(certificates), encoding)


BYSTANDERS = [make_ca(f"Bystander {number}", key=ec_key("bystander")) for number in range(3)]
FORMS = {
    "DER": lambda: pki().intermediate.der,
    "PEM": lambda: pem_of(pki().intermediate.certificate),
    "PEM of several": lambda: pem_of(
        *(one.certificate for one in BYSTANDERS), pki().intermediate.certificate
    ),
    "PKCS#7": lambda: as_pkcs7(
        Encoding.DER, pki().root.certificate, pki().intermediate.certificate
    ),
    "PKCS#7 in PEM": lambda: as_pkcs7(Encoding.PEM, pki().intermediate.certificate),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_issuer_is_fetched(web: Web, form: str) -> None:
    """In whatever form it is published, and the result says that it was fetched."""
    web.pages[PAGE] = FORMS[form]()
    result = verifier_of(source_of(web)).verify(good(), at=AT)
    assert result.path.origins == (Origin.EVIDENCE, Origin.FETCHED, Origin.OPERATOR)
    assert web.requests == [PAGE]
    chain = result.to_dict()["chain"]
    assert isinstance(chain, list)
    assert [link["origin"] for link in chain] == ["evidence", "fetched", "operator"]


def test_without_a_source_it_is_unknown(web: Web) -> None:
    """Fetching is for whoever asks for it."""
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(None).verify(good(), at=AT)
    assert Verifier(pki().store()).verify(good(), at=AT)


def test_what_is_pinned_or_given_is_not_fetched(web: Web) -> None:
    """A pinned path, an operator's and one that the evidence brings need no network."""
    source, link = source_of(web), pki().intermediate
    assert verifier_of(source, link.certificate).verify(good(), at=AT)
    given = verifier_of(source).verify(good(), at=AT, intermediates=[link.certificate])
    assert given.path.origins[1] is Origin.OPERATOR
    signer = signer_of(link, URL)
    brought = verifier_of(source).verify(
        make_evidence(signer, certificates=[signer.der, link.der]), at=AT
    )
    assert brought.path.origins[1] is Origin.EVIDENCE
    assert web.lookups == []


def lifetime(start: timedelta, end: timedelta) -> bytes:
    """Return the content of a document of another lifetime."""
    shape = "%m/%d/%y %H:%M:%S -0000"
    times = {
        "createdOn": (CREATED + start).strftime(shape),
        "expiresOn": (CREATED + end).strftime(shape),
    }
    return make_content(timeStamp=times)


REFUSED_BEFORE: dict[Code, tuple[Callable[[], bytes], dict[str, Any]]] = {
    Code.EVIDENCE_TOO_LARGE: (lambda: bytes(2**16 + 1), {}),
    Code.CMS_MALFORMED: (lambda: good()[:-1], {}),
    Code.CLOUD_NOT_ALLOWED: (
        lambda: evidence_of(pki().intermediate, URL, names=["metadata.microsoftazure.de"]),
        {},
    ),
    Code.SIGNER_NAME_MISMATCH: (
        lambda: evidence_of(pki().intermediate, URL, names=["evil.example"]),
        {},
    ),
    Code.SIGNATURE_INVALID: (
        lambda: make_evidence(signer_of(pki().intermediate, URL), shown=make_content(sku="other")),
        {},
    ),
    Code.DOCUMENT_MALFORMED: (
        lambda: make_evidence(signer_of(pki().intermediate, URL), make_content(vmId="x")),
        {},
    ),
    Code.DOCUMENT_EXPIRED: (good, {"at": EXPIRES + SECOND}),
    Code.NONCE_MISMATCH: (good, {"nonce": "other"}),
    # The signer's own date: no issuer cures that.
    Code.CERTIFICATE_EXPIRED: (
        lambda: make_evidence(
            signer_of(pki().intermediate, URL),
            lifetime(SIGNER_VALID[1] - CREATED - SECOND, SIGNER_VALID[1] - CREATED + 5 * SECOND),
        ),
        {"at": SIGNER_VALID[1] + SECOND},
    ),
    # Of a known issuer, whose key did not sign it.
    Code.PATH_INVALID: (
        lambda: evidence_of(pki().intermediate, URL, signed_by=rsa_key("another")),
        {},
    ),
}


@pytest.mark.parametrize("code", REFUSED_BEFORE)
def test_evidence_that_is_refused_anyway_causes_no_request(web: Web, code: Code) -> None:
    """The first seven steps come first, and so does every other fault of the path."""
    make, demands = REFUSED_BEFORE[code]
    pinned = [pki().intermediate.certificate] if code.step == 8 else []
    verifier = verifier_of(source_of(web), *pinned)
    with refused(code, code.step):
        verifier.verify(make(), **{"at": AT, **demands})
    outcomes = verifier.inspect(make(), **{"at": AT, **demands}).steps
    assert code in {outcome.code for outcome in outcomes}
    assert web.lookups == []


def test_an_inspection_asks_the_source_as_well(web: Web) -> None:
    """Where the verifier has one."""
    assert verifier_of(None).inspect(good(), at=AT).path is None
    assert web.lookups == []
    path = verifier_of(source_of(web)).inspect(good(), at=AT).path
    assert path is not None
    assert path.origins[1] is Origin.FETCHED


def test_a_chain_check_asks_the_source_as_well(web: Web) -> None:
    """With the same outcome."""
    store, signer = pki().store(intermediates=[]), signer_of(pki().intermediate, URL).certificate
    with refused(Code.ISSUER_UNKNOWN, 8):
        check_chain(store, signer, at=AT)
    result = check_chain(store, signer, at=AT, issuers=source_of(web))
    assert result.path.origins[1] is Origin.FETCHED


def ladder(web: Web, hops: int) -> Identity:
    """Return the lowest of so many CAs below the root, each saying where the one above is."""
    issuer = pki().root
    for hop in range(hops):
        urls = [access(f"http://{HOST}/pkiops/{hop - 1}.crt")] if hop else []
        issuer = make_ca(f"Rung {hop} of {hops}", issuer, extensions=urls)
        web.pages[f"{HOST}/pkiops/{hop}.crt"] = issuer.der
    return issuer


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_up_to_four_hops_are_climbed(web: Web, hops: int) -> None:
    """One request each, and the root's certificate is not asked for."""
    evidence = evidence_of(ladder(web, hops), f"http://{HOST}/pkiops/{hops - 1}.crt")
    result = verifier_of(source_of(web)).verify(evidence, at=AT)
    assert result.path.origins[1:-1] == (Origin.FETCHED,) * hops
    assert len(web.requests) == hops


def test_the_fifth_hop_is_not(web: Web) -> None:
    """No path of Azure's is that long."""
    evidence = evidence_of(ladder(web, 5), f"http://{HOST}/pkiops/4.crt")
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source_of(web)).verify(evidence, at=AT)
    assert len(web.requests) == 4


def test_issuers_that_issued_each_other_end(web: Web) -> None:
    """Two CAs that cross-certified, and no anchor above them."""
    one, two = make_ca("Circle 1"), make_ca("Circle 2")
    url = f"http://{HOST}/pkiops/"
    above = make_ca("Circle 1", two, key=one.key, extensions=[access(url + "2.crt")])
    below = make_ca("Circle 2", one, key=two.key, extensions=[access(url + "1.crt")])
    web.pages |= {f"{HOST}/pkiops/1.crt": above.der, f"{HOST}/pkiops/2.crt": below.der}
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source_of(web)).verify(evidence_of(one, url + "1.crt"), at=AT)
    assert len(web.requests) == 2


@pytest.mark.parametrize(
    "first",
    [
        "http://dead.example/x.crt",
        "ldap://directory.example/cn=x",
        "http://user@www.microsoft.com/pkiops/x.crt",
        "http://cacerts.digicert.com/dead.crt",
        f"http://{HOST}/pkiops/missing.crt",
        f"http://{HOST}/pkiops/garbage.crt",
        f"http://{HOST}/pkiops/namesake.crt",
        f"http://{HOST}/pkiops/expired.crt",
    ],
)
def test_every_url_is_tried(web: Web, first: str) -> None:
    """A first URL that is refused, dead or of no use does not end the attempt."""
    namesake = make_ca("Test Issuing CA 01", pki().root, key=rsa_key("namesake"))
    old = (AT - timedelta(days=900), AT - timedelta(days=1))
    expired = make_ca("Test Issuing CA 01", pki().root, key=pki().intermediate.key, valid=old)
    web.dead.add("cacerts.digicert.com")
    web.pages |= {
        f"{HOST}/pkiops/garbage.crt": b"\x30\x03garbage",
        f"{HOST}/pkiops/namesake.crt": namesake.der,
        f"{HOST}/pkiops/expired.crt": expired.der,
    }
    evidence = evidence_of(pki().intermediate, first, URL)
    result = verifier_of(source_of(web)).verify(evidence, at=AT)
    assert result.path.certificates[1] == pki().intermediate.certificate


def test_urls_are_tried_until_one_leads_to_an_anchor(web: Web) -> None:
    """The CA's name and key alone are no reason to stop: anybody can make such a certificate."""
    stranger = make_ca("Stranger", key=rsa_key("stranger"))
    crossed = make_ca("Crossed CA", pki().root, key=rsa_key("crossed"))
    web.pages[PAGE] = make_ca("Crossed CA", stranger, key=rsa_key("crossed")).der
    source, evidence = source_of(web), evidence_of(crossed, URL, SECOND_URL)
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source).verify(evidence, at=AT)
    assert web.requests == [PAGE, SECOND_PAGE]
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source).verify(evidence, at=AT)
    assert len(web.requests) == 2
    web.pages[SECOND_PAGE] = crossed.der
    source = source_of(web)
    for _ in range(2):
        assert verifier_of(source).verify(evidence, at=AT)
    assert len(web.requests) == 4


def test_no_more_than_four_urls_are_tried(web: Web) -> None:
    """Of those that may be asked at all."""
    refused_urls = [f"http://evil.example/{number}" for number in range(9)]
    missing = [f"http://{HOST}/pkiops/{number}" for number in range(4)]
    good_one = evidence_of(pki().intermediate, *refused_urls, *missing[:3], URL)
    assert verifier_of(source_of(web)).verify(good_one, at=AT)
    assert len(web.requests) == 4
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source_of(web)).verify(evidence_of(pki().intermediate, *missing, URL), at=AT)
    assert len(web.requests) == 8


def test_an_expired_cross_certificate_is_replaced(web: Web) -> None:
    """What is pinned has expired, and the CA has a newer certificate by now."""
    old = (AT - timedelta(days=900), AT - timedelta(days=1))
    key = rsa_key("crossed")
    expired = make_ca("Crossed CA", pki().root, key=key, valid=old)
    web.pages[PAGE] = make_ca("Crossed CA", pki().root, key=key).der
    evidence = evidence_of(expired, URL)
    with refused(Code.CERTIFICATE_EXPIRED, 8):
        verifier_of(None, expired.certificate).verify(evidence, at=AT)
    result = verifier_of(source_of(web), expired.certificate).verify(evidence, at=AT)
    assert result.path.origins[1] is Origin.FETCHED
    web.pages[PAGE] = expired.der
    with refused(Code.CERTIFICATE_EXPIRED, 8):
        verifier_of(source_of(web), expired.certificate).verify(evidence, at=AT)


def test_an_expired_cross_certificate_above_a_live_one_is_replaced(web: Web) -> None:
    """The hop at which the pinned path broke is the second: the first is fetched on the way."""
    old = (AT - timedelta(days=900), AT - timedelta(days=1))
    key = rsa_key("crossed root")
    expired = make_ca("Crossed Root", pki().root, key=key, valid=old)
    above = f"http://{HOST}/pkiops/crossed.crt"
    link = make_ca("Below Crossed Root", expired, extensions=[access(above)])
    web.pages |= {
        PAGE: link.der,
        f"{HOST}/pkiops/crossed.crt": make_ca("Crossed Root", pki().root, key=key).der,
    }
    pinned = expired.certificate, link.certificate
    evidence = evidence_of(link, URL)
    with refused(Code.CERTIFICATE_EXPIRED, 8):
        verifier_of(None, *pinned).verify(evidence, at=AT)
    result = verifier_of(source_of(web), *pinned).verify(evidence, at=AT)
    assert Origin.FETCHED in result.path.origins


def md5_signed(identity: Identity, issuer: Identity) -> bytes:
    """Sign a certificate anew with MD5."""
    algorithm = der.algorithm("1.2.840.113549.1.1.4")
    fields = der.parts(identity.certificate.tbs_certificate_bytes)
    tbs = der.sequence(*(algorithm if n == ALGORITHM else f for n, f in enumerate(fields)))
    key = issuer.key
    assert hasattr(key, "sign")
    signature = key.sign(tbs, padding.PKCS1v15(), hashes.MD5())  # type: ignore[call-arg, arg-type]
    return der.sequence(tbs, algorithm, der.tlv(0x03, b"\0", signature))


EVIL = make_ca("Evil Root")
_OLD = (AT - timedelta(days=900), AT - timedelta(days=1))
_COMING = (AT + timedelta(days=1), AT + timedelta(days=900))


def evil_ca(**options: Any) -> Identity:
    """Return a CA of the attacker's own."""
    return make_ca("Evil CA", EVIL, **options)


def serving(make: Callable[[], Page], issuer: Callable[[], Identity]) -> Any:
    """Return an attack that puts an answer at URL, and has the evidence point there."""

    def attack(web: Web) -> bytes:
        web.pages[PAGE] = make()
        return evidence_of(issuer(), URL)

    return attack


def not_a_ca() -> Identity:
    """Return a certificate that the root issued, and that is no CA's."""
    return make_ca("Not a CA", pki().root, basic_constraints=False)


def expired_ca() -> Identity:
    """Return a CA that the root issued, of another time."""
    return make_ca("Expired CA", pki().root, valid=_OLD)


def coming_ca() -> Identity:
    """Return a CA that the root issued for later."""
    return make_ca("Coming CA", pki().root, valid=_COMING)


def weak_ca() -> Identity:
    """Return a CA that the root issued, with a key that is too short."""
    return make_ca("Weak CA", pki().root, key=rsa_key("weak", 1024))


def false_root() -> Identity:
    """Return a self-signed certificate of the anchor's name, with the attacker's key."""
    return make_ca("Test Root G1", key=rsa_key("false root"))


def with_url(url: str) -> Any:
    """Return an attack whose evidence points elsewhere."""

    def attack(web: Web) -> bytes:
        # What would make it good is wherever a lax client might look.
        for page in (PAGE, f"{HOST}:8080/pkiops/certs/issuing.crt", "127.0.0.1/issuing.crt"):
            web.pages[page] = pki().intermediate.der
        return evidence_of(pki().intermediate, url)

    return attack


def redirecting(location: str) -> Any:
    """Return an attack that redirects."""

    def attack(web: Web) -> bytes:
        web.pages[PAGE] = redirects(location)
        web.pages[location.removeprefix("http://")] = pki().intermediate.der
        return good()

    return attack


def resolving(*answers: Sequence[str]) -> Any:
    """Return an attack on the names of hosts."""

    def attack(web: Web) -> bytes:
        web.addresses[HOST] = [list(answer) for answer in answers]
        return good()

    return attack


def rebinding(web: Web) -> bytes:
    """Redirect to the same name, which then is the address of the metadata endpoint."""
    web.addresses[HOST] = [[PUBLIC_ADDRESS], ["169.254.169.254"]]
    web.pages[PAGE] = redirects(f"http://{HOST}/pkiops/2.crt")
    web.pages[f"{HOST}/pkiops/2.crt"] = pki().intermediate.der
    return good()


def two_hops_to_an_evil_root(web: Web) -> bytes:
    """Give a whole chain, root included, of the attacker's."""
    below = make_ca("Evil CA", EVIL, extensions=[access(SECOND_URL)])
    web.pages |= {PAGE: below.der, SECOND_PAGE: EVIL.der}
    return evidence_of(below, URL)


ATTACKS: dict[str, Callable[[Web], bytes]] = {
    "not a CA": serving(lambda: not_a_ca().der, not_a_ca),
    "expired": serving(lambda: expired_ca().der, expired_ca),
    "not yet valid": serving(lambda: coming_ca().der, coming_ca),
    "short key": serving(lambda: weak_ca().der, weak_ca),
    "signed with MD5": serving(
        lambda: md5_signed(pki().intermediate, pki().root), lambda: pki().intermediate
    ),
    "of the right name but another key": serving(
        lambda: make_ca("Test Issuing CA 01", pki().root, key=rsa_key("namesake")).der,
        lambda: pki().intermediate,
    ),
    "of the right name and key, signed by another": serving(
        lambda: make_ca("Test Issuing CA 01", pki().root, signed_by=rsa_key("evil")).der,
        lambda: pki().intermediate,
    ),
    "issued by nobody we know": serving(lambda: evil_ca().der, evil_ca),
    "self-signed root": serving(lambda: EVIL.der, lambda: EVIL),
    "self-signed root of an anchor's name": serving(lambda: false_root().der, false_root),
    "all of it, root included": two_hops_to_an_evil_root,
    "the root itself": serving(lambda: pki().root.der, lambda: pki().intermediate),
    "17 certificates": serving(
        lambda: as_pkcs7(
            Encoding.DER,
            *(one.certificate for one in BYSTANDERS * 6),
            pki().intermediate.certificate,
        ),
        lambda: pki().intermediate,
    ),
    "empty": serving(lambda: b"", lambda: pki().intermediate),
    "garbage": serving(lambda: b"\x30\x80" + bytes(500), lambda: pki().intermediate),
    "damaged PEM": serving(lambda: b"-----BEGIN CERTIFICATE-----\nx", lambda: pki().intermediate),
    "damaged PKCS#7": serving(
        lambda: as_pkcs7(Encoding.DER, pki().intermediate.certificate)[:-9],
        lambda: pki().intermediate,
    ),
    "10 MB long": serving(
        lambda: pki().intermediate.der + bytes(10_000_000), lambda: pki().intermediate
    ),
    "10 MB of PEM": serving(
        lambda: pem_of(pki().intermediate.certificate) * 5000, lambda: pki().intermediate
    ),
    "redirected to this machine": redirecting("http://127.0.0.1/pkiops/certs/x.crt"),
    "redirected to the metadata address": redirecting("http://169.254.169.254/metadata/x"),
    "redirected to a host off the list": redirecting("http://evil.example/pkiops/x.crt"),
    "redirected in a circle": serving(lambda: redirects(URL), lambda: pki().intermediate),
    "at a private address": resolving(["10.0.0.4"]),
    "at this machine's address": resolving(["127.0.0.1"]),
    "at the metadata address": resolving(["169.254.169.254"]),
    "at the host agent's address": resolving(["168.63.129.16"]),
    "at a mapped address": resolving(["::ffff:127.0.0.1"]),
    "at one public and one private address": resolving([PUBLIC_ADDRESS, "192.168.0.1"]),
    "at an address that changes": rebinding,
    "user information": with_url(f"http://user@{PAGE}"),
    "password": with_url(f"http://user:password@{PAGE}"),
    "another port": with_url(f"http://{HOST}:8080/pkiops/certs/issuing.crt"),
    "another scheme": with_url(f"ftp://{PAGE}"),
    "a file": with_url("file:///etc/passwd"),
    "another host": with_url("http://127.0.0.1/issuing.crt"),
    "another path": with_url(f"http://{HOST}/issuing.crt"),
    "a path that leaves its folder": with_url(f"http://{HOST}/pkiops/../issuing.crt"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_verifies(web: Web, attack: str) -> None:
    """Whatever is served, however it is reached: the issuer stays unknown."""
    evidence = ATTACKS[attack](web)
    verifier = verifier_of(source_of(web))
    for _ in range(2):
        with refused(Code.ISSUER_UNKNOWN, 8):
            verifier.verify(evidence, at=AT)
    assert all(address == PUBLIC_ADDRESS for address, _ in web.connections)
    assert len(web.requests) <= 4


def test_what_is_attacked_above_would_verify(web: Web) -> None:
    """Each attack differs from this, so each fails for what is wrong with it."""
    for ca in (make_ca("Good CA", pki().root), pki().intermediate):
        web.pages[PAGE] = ca.der
        assert verifier_of(source_of(web)).verify(evidence_of(ca, URL), at=AT)


@pytest.mark.parametrize("part", ["body", "header"])
def test_drip_feeding_ends(web: Web, part: str) -> None:
    """An octet now and then keeps nobody waiting."""
    page = response(pki().intermediate.der)
    web.pages[PAGE] = drips(page if part == "body" else b"HTTP/1.1 200 OK\r\nX: " + bytes(9999))
    start = time.monotonic()
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source_of(web, timeout=0.3)).verify(good(), at=AT)
    assert time.monotonic() - start < HANG


def test_the_budget_holds_for_all_requests_together(web: Web) -> None:
    """However many URLs there are, each of which takes its time."""
    urls = [f"http://{HOST}/pkiops/{number}" for number in range(4)]
    web.pages |= {url.removeprefix("http://"): drips(bytes(9999)) for url in urls}
    start = time.monotonic()
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source_of(web, budget=2.0)).verify(
            evidence_of(pki().intermediate, *urls), at=AT
        )
    assert time.monotonic() - start < 6
    assert len(web.requests) < 4


def test_clouds_do_not_share_anchors_for_sharing_a_source(web: Web) -> None:
    """What leads to an anchor of one cloud leads nowhere for another."""
    source, policy = source_of(web), AppraisalPolicy(clouds=set(Cloud))
    public = TrustStore.from_certificates(anchors=[pki().root.certificate], clouds={Cloud.PUBLIC})
    verifier = Verifier(public, policy, issuers=source)
    assert verifier.verify(good(), at=AT)
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier.verify(evidence_of(pki().intermediate, URL, names=["metadata.azure.cn"]), at=AT)


def test_answers_that_are_octets_of_no_http(web: Web) -> None:
    """A host that answers nonsense gives nothing."""
    web.pages[PAGE] = sends(b"\0" * 5000)
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source_of(web)).verify(good(), at=AT)
