"""Tests of attest.issuer_cache and of how attest.issuers uses it: how often is asked."""

from __future__ import annotations

import itertools
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from attest import Cloud, Code, TrustStore, Verifier
from attest.issuer_cache import IssuerCache, IssuerKey
from attest.path import Origin
from tests.support.aia import (
    HANG,
    HOST,
    PAGE,
    SECOND_PAGE,
    SECOND_URL,
    URL,
    Clock,
    evidence_of,
    good,
    signer_of,
    source_of,
    verifier_of,
)
from tests.support.pki import (
    AT,
    der_of,
    ec_key,
    make_ca,
    pem_of,
    pki,
    rsa_key,
)
from tests.support.refusal import refused
from tests.support.web import (
    Web,
    drips,
    loopback_web,
    response,
)


@pytest.fixture(name="web")
def web_() -> Iterator[Web]:
    """A web on which the issuer of good evidence can be had."""
    with loopback_web(Web) as running:
        running.pages[PAGE] = pki().intermediate.der
        yield running


def test_an_issuer_is_fetched_once_a_day(web: Web) -> None:
    """For all its signers, and by all the verifiers of a source."""
    clock = Clock()
    source = source_of(web, clock=clock)
    for _ in range(3):
        assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 1
    clock.now += 24 * 3600 - 1
    assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 1
    clock.now += 1
    assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 2
    assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 2


def test_old_issuers_serve_while_no_new_ones_can_be_had(web: Web) -> None:
    """And the hosts are asked every five minutes, no more often."""
    clock = Clock()
    source = source_of(web, clock=clock)
    assert verifier_of(source).verify(good(), at=AT)
    web.dead.add(HOST)
    clock.now += 25 * 3600
    for wait, requests in ((0, 2), (299, 2), (1, 3), (0, 3)):
        clock.now += wait
        assert verifier_of(source).verify(good(), at=AT)
        assert len(web.requests) == requests
    web.dead.clear()
    for wait, requests in ((300, 4), (24 * 3600 - 1, 4), (1, 5)):
        clock.now += wait
        assert verifier_of(source).verify(good(), at=AT)
        assert len(web.requests) == requests


def test_nobody_waits_for_a_refresh(web: Web) -> None:
    """While one asks for newer issuers, the others use what is known."""
    clock = Clock()
    source, evidence = source_of(web, clock=clock), good()
    assert verifier_of(source).verify(evidence, at=AT)
    clock.now += 25 * 3600
    asked, answer = threading.Event(), threading.Event()

    def page(connection: socket.socket) -> None:
        asked.set()
        answer.wait(HANG)
        connection.sendall(response(pki().intermediate.der))

    web.pages[PAGE] = page
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(verifier_of(source).verify, evidence, at=AT)
        assert asked.wait(HANG)
        assert verifier_of(source).verify(evidence, at=AT)
        assert not refreshing.done()
        answer.set()
        assert refreshing.result(timeout=HANG)
    assert len(web.requests) == 2


def test_a_failure_is_remembered_for_five_minutes(web: Web) -> None:
    """Then the issuer may be found."""
    clock = Clock()
    source = source_of(web, clock=clock)
    web.pages.clear()
    for _ in range(3):
        with refused(Code.ISSUER_UNKNOWN, 8):
            verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 1
    web.pages[PAGE] = pki().intermediate.der
    clock.now += 299
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source).verify(good(), at=AT)
    clock.now += 1
    assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 2


def test_expired_issuers_are_asked_for_again_soon(web: Web) -> None:
    """The successor of one that has just expired counts from the day on which it appears."""
    clock = Clock()
    source = source_of(web, clock=clock)
    old = (AT - timedelta(days=900), AT - timedelta(days=1))
    web.pages[PAGE] = make_ca("Crossed CA", pki().root, key=rsa_key("crossed"), valid=old).der
    issuer = make_ca("Crossed CA", pki().root, key=rsa_key("crossed"))
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source).verify(evidence_of(issuer, URL), at=AT)
    web.pages[PAGE] = issuer.der
    clock.now += 301
    assert verifier_of(source).verify(evidence_of(issuer, URL), at=AT)


def test_a_clock_set_back_keeps_nothing_forever(web: Web) -> None:
    """What was fetched in the future is fetched again."""
    clock = Clock()
    source = source_of(web, clock=clock)
    assert verifier_of(source).verify(good(), at=AT)
    clock.now -= 3600
    assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 2


def forged(*urls: str) -> bytes:
    """Return evidence that claims the good issuer's name and key identifier."""
    return evidence_of(pki().intermediate, *urls, signed_by=rsa_key("forger"))


@pytest.mark.parametrize("urls", [(URL,), (f"http://{HOST}/pkiops/other.crt",), ()])
def test_forged_evidence_hides_no_issuer(web: Web, urls: tuple[str, ...]) -> None:
    """Neither with the genuine URLs nor with others: the genuine evidence verifies at once."""
    source = source_of(web)
    for _ in range(2):
        with refused(Code.ISSUER_UNKNOWN, 8):
            verifier_of(source).verify(forged(*urls), at=AT)
        assert len(web.requests) <= 1
    assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) <= 2


def test_a_false_issuer_replaces_no_genuine_one(web: Web) -> None:
    """One that was served once, of the same name and key identifier, and issued the forgery."""
    source, clone_key = source_of(web), rsa_key("forger")
    identifier = x509.SubjectKeyIdentifier.from_public_key(pki().intermediate.key.public_key())
    clone = (
        x509.CertificateBuilder()
        .subject_name(pki().intermediate.certificate.subject)
        .issuer_name(pki().root.certificate.subject)
        .public_key(clone_key.public_key())
        .serial_number(1)
        .not_valid_before(AT - timedelta(days=1))
        .not_valid_after(AT + timedelta(days=1))
        .add_extension(identifier, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(clone_key, hashes.SHA256())
    )
    web.pages |= {PAGE: der_of(clone), SECOND_PAGE: pki().intermediate.der}
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source).verify(forged(URL, SECOND_URL), at=AT)
    assert web.requests == [PAGE, SECOND_PAGE]
    evidence = evidence_of(pki().intermediate, URL, SECOND_URL)
    assert verifier_of(source).verify(evidence, at=AT)
    assert len(web.requests) == 2


def test_a_hundred_at_once_make_one_request(web: Web) -> None:
    """Whoever comes while somebody asks waits for the answer."""
    slow = threading.Event()

    def page(connection: socket.socket) -> None:
        slow.wait(HANG)
        connection.sendall(response(pki().intermediate.der))

    web.pages[PAGE] = page
    source, evidence = source_of(web), good()
    verifiers = [verifier_of(source) for _ in range(100)]
    with ThreadPoolExecutor(100) as pool:
        pending = [pool.submit(one.verify, evidence, at=AT) for one in verifiers]
        time.sleep(0.5)
        slow.set()
        origins = {future.result(timeout=HANG).path.origins[1] for future in pending}
    assert origins == {Origin.FETCHED}
    assert web.requests == [PAGE]


def test_a_flood_of_bogus_issuers_is_bounded(web: Web, tmp_path: Path) -> None:
    """In requests, in memory and on disk; and what is known already goes on verifying."""
    outcomes: list[str] = []
    cache = IssuerCache(tmp_path / "issuers", clock=Clock())
    source = source_of(web, cache, on_fetch=outcomes.append)
    assert verifier_of(source).verify(good(), at=AT)
    key = ec_key("bogus")
    bogus = [
        evidence_of(make_ca(f"Bogus {n}", key=key), f"http://{HOST}/pkiops/{n}.crt")
        for n in range(300)
    ]
    verifier = verifier_of(source)
    start = time.monotonic()

    def verify(evidence: bytes) -> None:
        with refused(Code.ISSUER_UNKNOWN, 8):
            verifier.verify(evidence, at=AT)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(verify, bogus))
    made = len(web.requests) - 1
    assert made <= 30 + (time.monotonic() - start)
    assert outcomes.count("failed") == made
    assert outcomes.count("limited") == 300 - made
    assert len(source._answers) <= 256
    assert len(cache._entries) == 1
    assert [file.suffix for file in (tmp_path / "issuers").glob("*.*")] == [".pem"]
    assert verifier_of(source).verify(good(), at=AT)


def test_what_was_not_asked_is_not_remembered(web: Web) -> None:
    """A flood keeps a new issuer from being found while it lasts, and no longer."""
    source = source_of(web)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source._throttle, "_left", 0.0)
        with refused(Code.ISSUER_UNKNOWN, 8):
            verifier_of(source).verify(good(), at=AT)
        assert web.requests == []
        source._throttle._left = 30.0
        assert verifier_of(source).verify(good(), at=AT)


def test_what_there_was_no_time_to_ask_is_not_remembered(web: Web) -> None:
    """The time of one verification, which others can use up, says nothing of the last URL."""
    slow = [f"{HOST}/pkiops/{number}.crt" for number in range(2)]
    web.pages |= dict.fromkeys(slow, drips(bytes(9999)))
    evidence = evidence_of(pki().intermediate, *(f"http://{page}" for page in slow), URL)
    source = source_of(web, budget=2.0, timeout=0.6)
    with refused(Code.ISSUER_UNKNOWN, 8):
        verifier_of(source).verify(evidence, at=AT)
    assert web.requests == slow
    for page in slow:
        del web.pages[page]
    assert verifier_of(source).verify(evidence, at=AT)


@pytest.mark.parametrize("kept", ["in the folder", "of another cloud"])
def test_an_entry_that_leads_nowhere_keeps_nobody_from_asking(
    web: Web, tmp_path: Path, kept: str
) -> None:
    """Put there by somebody else, or for another cloud, whose anchors it does lead to."""
    crossed = make_ca("Crossed CA", pki().root, key=rsa_key("crossed"))
    other_root = make_ca("Other Root", key=rsa_key("other root"))
    other = make_ca("Crossed CA", other_root, key=rsa_key("crossed"))
    web.pages |= {PAGE: crossed.der, SECOND_PAGE: other.der}
    cache = IssuerCache(tmp_path, clock=Clock())
    source = source_of(web, cache)
    if kept == "in the folder":
        cache.put(IssuerKey.of(signer_of(crossed).certificate), [other.certificate])
    else:
        store = TrustStore.from_certificates(anchors=[other_root.certificate], clouds={Cloud.CHINA})
        evidence = evidence_of(crossed, SECOND_URL, names=["metadata.azure.cn"])
        assert Verifier(store, issuers=source).verify(evidence, at=AT)
    assert verifier_of(source).verify(evidence_of(crossed, URL), at=AT)
    for _ in range(2):
        assert verifier_of(source).verify(evidence_of(crossed, URL), at=AT)
    assert web.requests.count(PAGE) == 1


def test_processes_share_a_folder(web: Web, tmp_path: Path) -> None:
    """What one has fetched, the others have."""
    folder = tmp_path / "below" / "issuers"
    for _ in range(3):
        source = source_of(web, IssuerCache(folder, clock=Clock()))
        assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    later = Clock()
    later.now += 25 * 3600
    source = source_of(web, IssuerCache(folder, clock=later), clock=later)
    assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 2


def test_processes_wait_for_each_other(web: Web, tmp_path: Path) -> None:
    """Ten that miss at once make one request."""

    def page(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(response(pki().intermediate.der))

    web.pages[PAGE] = page
    sources = [source_of(web, IssuerCache(tmp_path, clock=Clock())) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        evidence = good()
        pending = [pool.submit(verifier_of(source).verify, evidence, at=AT) for source in sources]
        assert all(future.result(timeout=HANG) for future in pending)
    assert web.requests == [PAGE]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"garbage",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"x" * 100_000,
        pem_of(make_ca("Evil Root").certificate),
    ],
    ids=["empty", "garbage", "damaged", "too long", "somebody else's"],
)
def test_a_damaged_file_is_fetched_again(web: Web, tmp_path: Path, damage: bytes) -> None:
    """And so is one of certificates that did not issue what is asked for."""
    assert verifier_of(source_of(web, IssuerCache(tmp_path, clock=Clock()))).verify(good(), at=AT)
    (file,) = tmp_path.glob("*.pem")
    file.write_bytes(damage)
    os.utime(file, (AT.timestamp(), AT.timestamp()))
    for _ in range(2):
        source = source_of(web, IssuerCache(tmp_path, clock=Clock()))
        assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 2


def test_a_folder_that_cannot_be_written_is_no_error(web: Web, tmp_path: Path) -> None:
    """Memory serves."""
    (tmp_path / "file").write_bytes(b"")
    source = source_of(web, IssuerCache(tmp_path / "file" / "issuers", clock=Clock()))
    for _ in range(2):
        assert verifier_of(source).verify(good(), at=AT)
    assert len(web.requests) == 1


def test_the_folder_is_bounded(tmp_path: Path) -> None:
    """The oldest leave, and so does what a crash left behind."""
    clock = Clock()
    (tmp_path / "crashed.tmp").write_bytes(b"")
    os.utime(tmp_path / "crashed.tmp", (0, 0))
    cache = IssuerCache(tmp_path, clock=clock)
    for number in range(300):
        clock.now += 1
        cache.put(IssuerKey(b"name %d" % number, None), [pki().intermediate.certificate])
    assert len(list(tmp_path.iterdir())) == 256
    fresh = IssuerCache(tmp_path, clock=clock)
    assert fresh.get(IssuerKey(b"name 0", None)) is None
    assert fresh.get(IssuerKey(b"name 299", None)) is not None


def test_a_process_that_hangs_holds_nobody_up_for_long(tmp_path: Path) -> None:
    """The lock of the folder saves requests; it is not needed for being right."""
    key = IssuerKey(b"name", None)
    stuck, other = IssuerCache(tmp_path), IssuerCache(tmp_path)
    with stuck.lock(key, 1.0) as first:
        start = time.monotonic()
        with other.lock(key, 0.4) as second:
            assert (first, second) == (True, True)
        assert 0.1 < time.monotonic() - start < HANG
        with stuck.lock(key, 0.0) as third:
            assert not third
    with stuck.lock(key, 0.0) as again:
        assert again
    assert stuck._locks == {}


def test_keys_of_names_and_identifiers_differ() -> None:
    """No two of them have one file."""
    parts = [b"", b"a", b"ab", b"\1"]
    keys = [IssuerKey(*pair) for pair in itertools.product(parts, [None, *parts])]
    assert len({key.digest() for key in keys}) == len(keys)
