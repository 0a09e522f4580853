"""Tests of attest.approval."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from attest import Cloud, TrustStore
from attest.approval import ApprovalError, ProvenPath, prove_intermediates, prove_signer
from attest.path import Origin
from tests.support.pki import (
    AT,
    CREATED,
    Identity,
    ec_key,
    make_ca,
    make_evidence,
    make_signer,
    pki,
    x509_name,
)

DAY = timedelta(days=1)
ROOT = pki().root


def ca(name: str, issuer: Identity | None = None, **options: object) -> Identity:
    """Return a CA with an ECDSA key of its own."""
    return make_ca(name, issuer, key=ec_key(name), **options)  # type: ignore[arg-type]


def store(*links: Identity, roots: Sequence[Identity] = (ROOT,)) -> TrustStore:
    """Return a store for the public cloud."""
    return TrustStore.from_certificates(
        anchors=[root.certificate for root in roots],
        intermediates=[link.certificate for link in links],
        clouds={Cloud.PUBLIC},
    )


UPPER = ca("Upper", ROOT)
LOWER = ca("Lower", UPPER)
SIGNER = make_signer(LOWER, key=ec_key("approved signer"))


def prove(
    trust: TrustStore, *links: Identity, signer: Identity = SIGNER, now: datetime = AT
) -> ProvenPath:
    """Prove a signer's path through these links."""
    evidence = base64.b64encode(make_evidence(signer)).decode()
    candidates = [link.certificate for link in links]
    return prove_signer(trust, signer.certificate, candidates, now=now, evidence=evidence)


def test_two_missing_links() -> None:
    """All that the store lacks, from the anchor down, so that each can be added in turn."""
    proven = prove(store(), LOWER, UPPER, pki().intermediate)
    assert proven.cloud is Cloud.PUBLIC
    assert proven.missing == (UPPER.certificate, LOWER.certificate)
    assert proven.path.certificates[-1] == ROOT.certificate
    assert proven.path.origins[1:3] == (Origin.OPERATOR, Origin.OPERATOR)
    assert proven.proven_at == AT


def test_what_the_store_has_is_not_missing() -> None:
    """One link is known; or all are, and nothing is left to add."""
    assert prove(store(UPPER), LOWER).missing == (LOWER.certificate,)
    assert prove(store(UPPER, LOWER)).missing == ()


@pytest.mark.parametrize("links", [(), (LOWER,), (UPPER,), (UPPER, ca("Lower"))])
def test_no_path_is_proven(links: tuple[Identity, ...]) -> None:
    """A gap, or a root of the right name that nobody trusts."""
    with pytest.raises(ApprovalError, match="issuer_unknown: no certificate of the issuer"):
        prove(store(), *links)


def test_a_root_of_the_signers_own_is_no_anchor() -> None:
    """Whatever an attacker hands over, the path must end at the store's anchor."""
    root = ca("Evil Root")
    link = ca("Evil Link", root)
    signer = make_signer(link, key=ec_key("evil signer"))
    with pytest.raises(ApprovalError, match="issuer_unknown: "):
        prove(store(), link, root, signer=signer)


def test_an_expired_signer_is_proven_for_its_document() -> None:
    """Evidence waits in quarantine for longer than signers live."""
    late = AT + 100 * DAY
    proven = prove(store(), UPPER, LOWER, now=late)
    assert proven.proven_at == CREATED
    with pytest.raises(ApprovalError, match=r"'metadata\.azure\.com' expired on"):
        prove_signer(store(), SIGNER.certificate, [UPPER.certificate, LOWER.certificate], now=late)


def test_an_expired_link_helps_nobody() -> None:
    """The document's time does not revive a CA certificate."""
    link = ca("Old Link", ROOT, valid=(AT - 500 * DAY, AT + 50 * DAY))
    signer = make_signer(link, key=ec_key("old signer"))
    assert prove(store(), link, signer=signer).missing == (link.certificate,)
    with pytest.raises(ApprovalError, match="'Old Link' expired on 2026-08-20T12:00:00Z"):
        prove(store(), link, signer=signer, now=AT + 100 * DAY)


def added(*links: Identity, now: datetime = AT) -> list[ProvenPath]:
    """Prove CA certificates by themselves."""
    return prove_intermediates(store(), [link.certificate for link in links], now=now)


def test_intermediates_in_any_order() -> None:
    """Each shows its path, through each other where needed."""
    lower, upper = added(LOWER, UPPER)
    assert lower.missing == (UPPER.certificate, LOWER.certificate)
    assert lower.path.certificates == (
        LOWER.certificate,
        UPPER.certificate,
        ROOT.certificate,
    )
    assert upper.missing == (UPPER.certificate,)
    assert lower.path.not_after == ROOT.certificate.not_valid_after_utc


def test_a_ca_that_starts_tomorrow() -> None:
    """New CAs are published before they start."""
    link = ca("Tomorrow", ROOT, valid=(AT + DAY, AT + 300 * DAY))
    (proven,) = added(link)
    assert proven.proven_at == AT + DAY


def test_bundled_anchors() -> None:
    """A pinned store works like any other: its own links lack nothing."""
    pinned = TrustStore.bundled()
    link = pinned.intermediates_for(Cloud.CHINA)[-1]
    (proven,) = prove_intermediates(pinned, [link], now=AT)
    assert proven.missing == ()
    assert set(proven.path.origins) == {Origin.PINNED}


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (LOWER, "no path leads from 'Lower' to a pinned anchor: 'no chain of signatures"),
        (ca("Root", None), "'Root' is self-signed"),
        (ROOT, "'Test Root G1' is self-signed"),
        (SIGNER, "'metadata.azure.com' is not the certificate of a CA"),
        (ca("No CA", ROOT, basic_constraints=False), "'No CA' is not the certificate of a CA"),
        (
            ca("Past", ROOT, valid=(AT - 2 * DAY, AT - DAY)),
            "'Past' expired on 2026-06-30T12:00:00Z",
        ),
        (ca("Forged", ROOT, signed_by=ec_key("forger")), "no chain of signatures"),
        (
            ca("Below", pki().intermediate),
            "no path leads from 'Below' to a pinned anchor",
        ),
    ],
)
def test_unfit_intermediates(link: Identity, why: str) -> None:
    """One of them refuses the whole."""
    with pytest.raises(ApprovalError, match=why):
        added(ca("Good", ROOT), link)


def test_path_length_is_respected() -> None:
    """RFC 5280 is asked, not only the signatures: this CA may issue no CA."""
    below = ca("Below", pki().intermediate)
    trust = store(pki().intermediate)
    with pytest.raises(ApprovalError, match="'Test Issuing CA 01 may issue no further CA'"):
        prove_intermediates(trust, [below.certificate], now=AT)


@pytest.mark.parametrize(
    ("usage", "is_fit"),
    [
        (ExtendedKeyUsageOID.SERVER_AUTH, True),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, True),
        (ExtendedKeyUsageOID.CLIENT_AUTH, False),
    ],
)
def test_links_serve_servers(usage: x509.ObjectIdentifier, is_fit: bool) -> None:
    """A CA for clients alone would never be of use, nor would one below it."""
    upper = ca(f"Upper {usage.dotted_string}", ROOT, extended_key_usage=[usage])
    below = ca("Lower of it", upper)
    if is_fit:
        assert len(added(upper, below)) == 2
        return
    for links, who in (((below, upper), "Lower of it"), ((upper,), "Upper")):
        with pytest.raises(ApprovalError, match=f"no path leads from '{who}"):
            added(*links)


def test_nothing_to_add() -> None:
    """An empty file is no success."""
    with pytest.raises(ApprovalError, match="there is no certificate to add"):
        added()
    with pytest.raises(ApprovalError, match="65 certificates; at most 64 are added at once"):
        added(*[UPPER] * 65)


class Source:
    """A source of issuers that has these."""

    def __init__(self, *links: Identity) -> None:
        self._links = [link.certificate for link in links]

    def candidates(
        self, certificate: x509.Certificate, trusted: Sequence[x509.Certificate]
    ) -> Sequence[x509.Certificate]:
        """Return all of them."""
        return self._links


def test_fetched_links_are_proven_alike() -> None:
    """They are missing, since nothing that was fetched is in the store."""
    found = prove_signer(
        store(), SIGNER.certificate, [LOWER.certificate], now=AT, issuers=Source(UPPER)
    )
    assert found.missing == (UPPER.certificate, LOWER.certificate)
    assert found.path.origins[1:3] == (Origin.OPERATOR, Origin.FETCHED)


def test_hostile_names_are_quoted() -> None:
    """A name of a certificate reaches a terminal as ASCII only."""
    link = Identity(ca("x\x1b[2J").certificate, ec_key("x"))
    assert link.certificate.subject == x509_name("x\x1b[2J")
    with pytest.raises(ApprovalError) as caught:
        added(link)
    assert str(caught.value).isprintable()
