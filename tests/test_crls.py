"""Tests of attest.crls: CRLs from distribution points, on a web that is this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest import Code, CrlSet, Revocation, Verifier, crls
from attest.crls import MAX_CRL, FetchingCrlSource, distribution_points
from attest.download import CRL_HOSTS, Downloader
from attest.path import CertificatePath, PathValidator
from attest.policy import AppraisalPolicy
from tests.support.pki import (
    AT,
    Identity,
    crl_partition,
    crl_points,
    ec_key,
    make_ca,
    make_crl,
    make_evidence,
    make_signer,
    pki,
    rsa_key,
    sha1_crl,
)
from tests.support.refusal import refused
from tests.support.web import Web, drips, loopback_web, redirects

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
ROOT_URLS = ("http://crl3.digicert.com/Root.crl", "http://crl4.digicert.com/Root.crl")
PART = "/pkiops/crl/partition/Issuing%20CA_Partition00045.crl"
PART_URLS = (f"http://www.microsoft.com{PART}", f"http://crl2.microsoft.com{PART}")
OTHER_PART_URL = "http://www.microsoft.com/pkiops/crl/partition/Issuing%20CA_Partition00044.crl"


def page(url: str) -> str:
    """Return the name under which the web knows a URL."""
    return url.removeprefix("http://")


def der_of(crl: x509.CertificateRevocationList) -> bytes:
    """Return the DER of a CRL."""
    return crl.public_bytes(Encoding.DER)


@dataclass
class World:
    """A web, a PKI whose certificates have distribution points, and a clock for pauses."""

    web: Web
    issuing: Identity = field(
        default_factory=lambda: make_ca(
            "Test Issuing CA 01", pki().root, path_length=0, extensions=[crl_points(*ROOT_URLS)]
        )
    )
    seconds: float = 1000.0

    def __post_init__(self) -> None:
        """Publish a CRL of each CA that revokes nobody."""
        self.signer = make_signer(self.issuing, extensions=[crl_points(*PART_URLS)])
        self.publish(ROOT_URLS, make_crl(pki().root))
        self.publish(PART_URLS, self.part())
        self.source = self.new_source()

    def new_source(self, **options: object) -> FetchingCrlSource:
        """Return a source that knows nothing."""
        downloader = Downloader(CRL_HOSTS, network=self.web)
        return FetchingCrlSource(downloader, clock=lambda: self.seconds, **options)  # type: ignore[arg-type]

    def publish(self, urls: tuple[str, ...], crl: x509.CertificateRevocationList | bytes) -> None:
        """Put a CRL where these URLs lead."""
        data = crl if isinstance(crl, bytes) else der_of(crl)
        self.web.pages.update((page(url), data) for url in urls)

    def part(
        self,
        *revoked: Identity,
        urls: tuple[str, ...] = PART_URLS,
        updated: tuple[datetime, datetime] = (AT - DAY, AT + 6 * DAY),
    ) -> x509.CertificateRevocationList:
        """Return the signer's partition of the issuing CA's CRL."""
        extensions = [crl_partition(*urls)]
        return make_crl(self.issuing, *revoked, updated=updated, extensions=extensions)

    def path(self, signer: Identity | None = None) -> CertificatePath:
        """Return a signer's path."""
        validator = PathValidator([pki().root.certificate], [self.issuing.certificate])
        certificate = (signer or self.signer).certificate
        return validator.validate(certificate, "metadata.azure.com", AT, {})

    def verifier(self, revocation: Revocation = Revocation.HARD) -> Verifier:
        """Return a verifier of this PKI."""
        store = pki().store(intermediates=[self.issuing.certificate])
        return Verifier(store, AppraisalPolicy(revocation=revocation))

    def check(self, path: CertificatePath | None = None, at: datetime = AT) -> None:
        """Check a path by what the source gives for it."""
        path = path or self.path()
        self.source.crls_for(path, at).check(path, at)


@pytest.fixture
def world() -> Iterator[World]:
    """A world in order."""
    with loopback_web(Web) as web:
        yield World(web)


def test_crls_are_fetched_once(world: World) -> None:
    """One download for each certificate below the anchor, none while the CRLs are current."""
    verifier, evidence = world.verifier(), make_evidence(world.signer)
    for _ in range(3):
        assert verifier.verify(evidence, at=AT, crls=world.source).revocation == "good"
    assert world.web.requests == [page(PART_URLS[0]), page(ROOT_URLS[0])]
    path = world.path()
    assert world.source.crls_for(path, AT) is world.source.crls_for(path, AT)


def test_pem_is_read_too(world: World) -> None:
    """RFC 5280 demands DER; some publish PEM."""
    world.publish(ROOT_URLS, make_crl(pki().root).public_bytes(Encoding.PEM))
    world.check()


@pytest.mark.parametrize("who", ["signer", "CA"])
@pytest.mark.parametrize("revocation", [Revocation.SOFT, Revocation.HARD])
def test_the_revoked_is_refused(world: World, who: str, revocation: Revocation) -> None:
    """A signer by its partition, a CA by the root's CRL; soft or hard."""
    if who == "signer":
        world.publish(PART_URLS, world.part(world.signer))
    else:
        world.publish(ROOT_URLS, make_crl(pki().root, world.issuing))
    with refused(Code.CERTIFICATE_REVOKED, 9):
        evidence = make_evidence(world.signer)
        world.verifier(revocation).verify(evidence, at=AT, crls=world.source)


def test_a_dead_url_is_passed_over(world: World) -> None:
    """Every URL of a certificate is tried: dead hosts, refused addresses, errors, other files."""
    world.web.dead.update({"crl3.digicert.com"})
    world.web.pages[page(PART_URLS[0])] = b"<html>Moved</html>"
    world.check()
    assert world.web.requests == [*map(page, PART_URLS), *map(page, ROOT_URLS)]


def test_nothing_of_the_evidence_is_asked_before_its_path_is_valid(world: World) -> None:
    """Whoever makes a certificate of his own makes nobody follow its URLs."""
    stranger = make_ca("Stranger", key=ec_key("stranger"))
    forged = make_signer(stranger, extensions=[crl_points(*PART_URLS)])
    with refused(Code.ISSUER_UNKNOWN, 8):
        world.verifier().verify(make_evidence(forged), at=AT, crls=world.source)
    assert world.web.lookups == []


@pytest.mark.parametrize("revocation", list(Revocation))
def test_the_unknown(world: World, revocation: Revocation) -> None:
    """Hard refuses, soft tells, off does not ask."""
    world.web.pages.clear()
    verifier, evidence = world.verifier(revocation), make_evidence(world.signer)
    if revocation is Revocation.HARD:
        with refused(Code.REVOCATION_UNKNOWN, 9):
            verifier.verify(evidence, at=AT, crls=world.source)
    else:
        said = "unknown" if revocation is Revocation.SOFT else "unchecked"
        assert verifier.verify(evidence, at=AT, crls=world.source).revocation == said
    assert len(world.web.requests) == (0 if revocation is Revocation.OFF else 4)


@pytest.mark.parametrize(
    "answer",
    [
        "expired",
        "of the future",
        "of another key",
        "of another CA",
        "SHA-1",
        "junk",
        "half PEM",
    ],
)
def test_what_counts_for_nothing(world: World, answer: str) -> None:
    """Current CRLs that the issuer in the path signed, and nothing else."""
    crl = make_crl(pki().root)
    answers: dict[str, x509.CertificateRevocationList | bytes] = {
        "expired": make_crl(pki().root, updated=(AT - DAY, AT)),
        "of the future": make_crl(pki().root, updated=(AT + SECOND, AT + DAY)),
        "of another key": make_crl(pki().root, signed_by=rsa_key("another")),
        "of another CA": make_crl(make_ca("Other Root")),
        "SHA-1": sha1_crl(crl, pki().root.key),
        "junk": b"\x30\x84\x00\xff\xff\xff" + der_of(crl),
        "half PEM": b"-----BEGIN X509 CRL-----\n" * 1000,
    }
    world.publish(ROOT_URLS, answers[answer])
    with refused(Code.REVOCATION_UNKNOWN, 9, "Test Issuing CA 01"):
        world.check()
    assert world.source._slots[ROOT_URLS[0]].octets == 0


def test_the_wrong_partition_counts_for_nothing(world: World) -> None:
    """Genuine, current, of the right CA, and silent on this certificate."""
    world.publish(PART_URLS, world.part(urls=(OTHER_PART_URL,)))
    with refused(Code.REVOCATION_UNKNOWN, 9, "no CRL tells"):
        world.check()
    assert len(world.web.requests) == 3  # the second URL might have had the right one


def test_too_long_a_file_is_not_read(world: World) -> None:
    """Ten MiB and no more."""
    world.publish((ROOT_URLS[0],), bytes(MAX_CRL + 1))
    world.check()
    assert world.web.requests[1:] == list(map(page, ROOT_URLS))


def test_urls_follow_the_rules_of_downloads(world: World) -> None:
    """Other hosts, schemes and private addresses: not even a CA's certificate leads there."""
    world.web.addresses["crl.microsoft.com"] = [["169.254.169.254"]]
    world.web.pages["mscrl.microsoft.com/x"] = redirects("http://127.0.0.1/x")
    urls = (
        "ldap:///CN=CA?certificateRevocationList",
        "http://crl.example/x",
        "http://crl.microsoft.com/x",
        "http://mscrl.microsoft.com/x",
        "file:///etc/passwd",
    )
    signer = make_signer(world.issuing, extensions=[crl_points(*urls)])
    with refused(Code.REVOCATION_UNKNOWN, 9):
        world.check(world.path(signer))
    assert world.web.requests == ["mscrl.microsoft.com/x", page(ROOT_URLS[0])]


def test_failures_are_remembered(world: World) -> None:
    """Whatever comes in, a URL that gave nothing is not asked again for five minutes."""
    world.web.pages.clear()
    for _ in range(5):
        with refused(Code.REVOCATION_UNKNOWN, 9):
            world.check()
    assert len(world.web.requests) == 4
    world.publish(ROOT_URLS, make_crl(pki().root))
    world.publish(PART_URLS, world.part())
    world.seconds += 299
    with refused(Code.REVOCATION_UNKNOWN, 9):
        world.check()
    world.seconds += 1
    world.check()
    assert len(world.web.requests) == 6


def test_one_dead_url_leaves_the_others_their_plan(world: World) -> None:
    """Long after it was asked, a current CRL is no reason to judge anew at each verification."""
    world.web.dead |= {"crl3.digicert.com", "crl4.digicert.com"}
    path = world.path()
    for _ in range(2):
        world.seconds += 200
        world.source.crls_for(path, AT)  # asks the dead URLs at its first and third time
    world.seconds += 200
    plan = world.source.crls_for(path, AT)
    assert plan.verdict(path, AT).code is Code.REVOCATION_UNKNOWN
    assert world.source.crls_for(path, AT) is plan


def test_one_question_for_a_hundred(world: World) -> None:
    """Concurrent verifications wait for the one download and share its answer."""
    waiting = threading.Barrier(20, timeout=10)
    paths = [world.path() for _ in range(20)]

    def check(path: CertificatePath) -> None:
        waiting.wait()
        world.check(path)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(check, paths))
    assert sorted(world.web.requests) == sorted([page(PART_URLS[0]), page(ROOT_URLS[0])])


def test_budget_ends_all_downloads_of_a_verification(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL for which no time was left is asked at the next verification."""
    monkeypatch.setattr(crls, "_BUDGET", 0.3)
    for url in PART_URLS:
        world.web.pages[page(url)] = drips(bytes(100))
    with refused(Code.REVOCATION_UNKNOWN, 9):
        world.check()
    assert world.web.requests == [page(PART_URLS[0])]
    with refused(Code.REVOCATION_UNKNOWN, 9):
        world.check()
    assert world.web.requests[1:] == [page(PART_URLS[1])]


def test_a_flood_of_urls_is_bounded(world: World) -> None:
    """In number: what was used last stays."""
    world.source = world.new_source(max_urls=4)
    signers = [
        make_signer(world.issuing, extensions=[crl_points(f"http://crl.microsoft.com/{number}")])
        for number in range(10)
    ]
    for signer in signers:
        world.seconds += 1
        with refused(Code.REVOCATION_UNKNOWN, 9):
            world.check(world.path(signer))
    assert len(world.source._slots) == 4
    assert ROOT_URLS[0] in world.source._slots
    assert world.web.requests.count(page(ROOT_URLS[0])) == 1


def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In octets: the CRL that was not used for longest goes first, and can be had again."""
    with pytest.raises(ValueError, match="room"):
        world.new_source(max_octets=MAX_CRL - 1)
    monkeypatch.setattr(crls, "MAX_CRL", 1000)
    part = der_of(world.part())
    world.source = world.new_source(max_octets=2 * len(part) + 100)
    urls = [f"http://crl.microsoft.com/{number}" for number in range(5)]
    paths = []
    for url in urls:
        signer = make_signer(world.issuing, extensions=[crl_points(url)])
        world.publish((url,), world.part(urls=(url,)))
        paths.append(world.path(signer))
    for path in paths:
        world.seconds += 1
        world.check(path)
        kept = sum(slot.octets for slot in world.source._slots.values())
        assert 0 < kept <= 2 * len(part) + 100
    world.check(paths[0])
    assert world.web.requests.count(page(urls[0])) == 2


def test_a_warm_signer_is_refused_once_a_refresh_finds_it_revoked(world: World) -> None:
    """Long before the CRL at hand ends, with every cache warm."""
    verifier, evidence = world.verifier(), make_evidence(world.signer)
    for _ in range(3):
        assert verifier.verify(evidence, at=AT, crls=world.source).revocation == "good"
    newer = (AT + HOUR, AT + 7 * DAY)
    world.publish(PART_URLS, world.part(world.signer, updated=newer))
    later = AT + 2 * HOUR
    world.source.refresh(later)
    assert verifier.verify(evidence, at=later, crls=world.source).revocation == "good"
    world.seconds += 12 * 3600
    world.source.refresh(later)
    with refused(Code.CERTIFICATE_REVOKED, 9):
        verifier.verify(evidence, at=later, crls=world.source)


@pytest.mark.parametrize("substitute", ["another partition", "delta"])
@pytest.mark.parametrize("revocation", [Revocation.SOFT, Revocation.HARD])
def test_nothing_else_of_the_issuer_replaces_what_revokes(
    world: World, revocation: Revocation, substitute: str
) -> None:
    """Whoever answers for a host over plain http has other CRLs that the CA signed."""
    world.publish(PART_URLS, world.part(world.signer))
    verifier, evidence = world.verifier(revocation), make_evidence(world.signer)
    with refused(Code.CERTIFICATE_REVOKED, 9):
        verifier.verify(evidence, at=AT, crls=world.source)
    urls = (OTHER_PART_URL,) if substitute == "another partition" else PART_URLS
    delta = [(x509.DeltaCRLIndicator(1), True)] if substitute == "delta" else []
    newer = (AT, AT + 6 * DAY)
    extensions = [crl_partition(*urls), *delta]
    world.publish(PART_URLS, make_crl(world.issuing, updated=newer, extensions=extensions))
    world.seconds += 13 * 3600
    world.source.refresh(AT)
    assert len(world.web.requests) == 4
    with refused(Code.CERTIFICATE_REVOKED, 9):
        verifier.verify(evidence, at=AT, crls=world.source)
    world.publish(PART_URLS, world.part(updated=newer))
    world.seconds += 13 * 3600
    world.source.refresh(AT)
    assert verifier.verify(evidence, at=AT, crls=world.source).revocation == "good"


def test_refresh_asks_more_often_as_the_end_comes_near(world: World) -> None:
    """After half of the life that is left, until another CRL is there."""
    world.publish(PART_URLS, world.part(updated=(AT - DAY, AT + 8 * HOUR)))
    world.check()
    asked = []
    for minute in range(0, 8 * 60, 5):
        world.seconds = 1000.0 + 60 * minute
        before = len(world.web.requests)
        world.check(at=AT + timedelta(minutes=minute))
        world.source.refresh(AT + timedelta(minutes=minute))
        if len(world.web.requests) > before:
            asked.append(minute)
    assert asked == [240, 360, 420, 450, 465, 475]
    with refused(Code.REVOCATION_UNKNOWN, 9, "expired"):
        world.check(at=AT + 8 * HOUR)


def test_failed_refreshes_keep_what_is_at_hand(world: World) -> None:
    """Until it ends; a CRL that is older, forged or gone changes nothing."""
    world.publish(ROOT_URLS, make_crl(pki().root, updated=(AT - HOUR, AT + 3 * DAY)))
    world.check()
    for answer in (
        make_crl(pki().root, world.issuing, updated=(AT - DAY, AT + 9 * DAY)),  # older: a replay
        make_crl(pki().root, signed_by=rsa_key("another"), updated=(AT, AT + 9 * DAY)),
        b"gone",
    ):
        world.publish(ROOT_URLS, answer)
        world.seconds += 12 * 3600
        before = len(world.web.requests)
        world.source.refresh(AT + HOUR)
        assert page(ROOT_URLS[0]) in world.web.requests[before:]
        world.check(at=AT + HOUR)
    with refused(Code.REVOCATION_UNKNOWN, 9, "expired"):
        world.check(at=AT + 3 * DAY)


def test_the_same_crl_again_keeps_its_verdicts(world: World) -> None:
    """A refresh that finds nothing new changes nothing."""
    path = world.path()
    before = world.source.crls_for(path, AT)
    world.seconds += 12 * 3600
    world.source.refresh(AT)
    assert len(world.web.requests) == 4
    assert world.source.crls_for(path, AT) is before


def test_refresh_spares_verifications_a_dead_host(world: World) -> None:
    """It asks again before a verification would have to wait."""
    world.web.pages.clear()
    with refused(Code.REVOCATION_UNKNOWN, 9):
        world.check()
    world.publish(ROOT_URLS, make_crl(pki().root))
    world.publish(PART_URLS, world.part())
    world.seconds += 240
    world.source.refresh(AT)
    count = len(world.web.requests)
    world.check()
    assert len(world.web.requests) == count == 8


def test_what_nobody_uses_is_forgotten(world: World) -> None:
    """A day after its last use a CRL is not asked for again, and takes no memory."""
    world.check()
    world.seconds += 24 * 3600
    world.source.refresh(AT)
    assert len(world.web.requests) == 4
    world.seconds += 1
    world.source.refresh(AT)
    assert len(world.web.requests) == 4
    assert world.source._slots == {}
    world.check()
    assert len(world.web.requests) == 6


def test_an_expired_crl_is_replaced_where_nobody_refreshes(world: World) -> None:
    """The next verification asks for it."""
    world.publish(PART_URLS, world.part(updated=(AT - DAY, AT + HOUR)))
    path = world.path()
    world.check(path)
    world.publish(PART_URLS, world.part(updated=(AT + HOUR, AT + DAY)))
    world.seconds += 3600
    world.check(path, at=AT + HOUR)
    assert world.web.requests.count(page(PART_URLS[0])) == 2


def test_files_come_first(world: World) -> None:
    """Nothing is fetched for a certificate that a file speaks for, for good or ill."""
    world.source = world.new_source(files=[make_crl(pki().root)])
    world.check()
    assert world.web.requests == [page(PART_URLS[0])]
    revoking = CrlSet([make_crl(pki().root, world.issuing), world.part()])
    world.source = world.new_source(files=revoking)
    with refused(Code.CERTIFICATE_REVOKED, 9):
        world.check()
    assert len(world.web.requests) == 1


def test_files_that_change_count_at_once(world: World) -> None:
    """The files may be a source that gives another set from one call to the next."""

    class Files:
        now = CrlSet([make_crl(pki().root)])

        def crls_for(self, path: CertificatePath, at: datetime) -> CrlSet:
            return self.now

    files, path = Files(), world.path()
    world.source = world.new_source(files=files)
    world.check(path)
    files.now = CrlSet([make_crl(pki().root, world.issuing)])
    with refused(Code.CERTIFICATE_REVOKED, 9, "Test Issuing CA 01"):
        world.check(path)


def test_distribution_points_as_certificates_have_them(world: World) -> None:
    """URLs of every point, none twice, eight at most; other names are passed over."""
    assert distribution_points(world.signer.certificate) == list(PART_URLS)
    assert distribution_points(pki().root.certificate) == ()
    many = [f"http://crl.microsoft.com/{number}" for number in range(20)]
    names: list[list[x509.GeneralName]] = [[x509.DirectoryName(pki().root.certificate.subject)]]
    for url in many:
        twice = x509.UniformResourceIdentifier(url)
        names.append([twice, twice])
    points = [x509.DistributionPoint(name, None, None, None) for name in names]
    points.append(
        x509.DistributionPoint(
            None, x509.RelativeDistinguishedName(pki().root.certificate.subject), None, None
        )
    )
    signer = make_signer(pki().root, extensions=[(x509.CRLDistributionPoints(points), False)])
    assert distribution_points(signer.certificate) == many[:8]


def test_by_default_only_known_hosts_are_asked() -> None:
    """Without a network of the test's own, a URL of another host never leaves this machine."""
    source = FetchingCrlSource()
    assert isinstance(source._downloader, Downloader)
    assert source._downloader.allows("http://crl3.digicert.com/DigiCertGlobalRootG2.crl")
    assert not source._downloader.allows("http://crl.example/x.crl")


def test_a_waiting_thread_gives_up_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a download that hangs, a verification waits no longer than its own budget."""
    monkeypatch.setattr(crls, "_BUDGET", 0.2)
    slot = world.source._slot(PART_URLS[0])
    with slot.lock, refused(Code.REVOCATION_UNKNOWN, 9):
        world.check()
    assert world.web.requests == []
