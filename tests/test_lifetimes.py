"""Tests of attest.lifetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from attest import Cloud, Intermediate, TrustAnchor, TrustStore
from attest.certificates import common_name
from attest.lifetimes import CaLifetime, Outlook, ca_lifetimes, outlook
from tests.support.pki import AT, CA_VALID, Identity, ec_key, make_ca, pki

DAY = timedelta(days=1)
END = CA_VALID[1]


def lifetimes(anchors: list[Identity], links: list[Identity]) -> dict[str, CaLifetime]:
    """Return the lifetimes of a store for the public cloud by common name."""
    clouds = frozenset({Cloud.PUBLIC})
    store = TrustStore(
        [TrustAnchor(item.certificate, clouds) for item in anchors],
        [Intermediate(item.certificate, clouds) for item in links],
    )
    found = ca_lifetimes(store, Cloud.PUBLIC)
    return {common_name(item.certificates[0].subject): item for item in found}


def ca(name: str, issuer: Identity | None, days: int, *, age: int = 900) -> Identity:
    """Return a CA that began so many days ago and ends so many days from now."""
    return make_ca(name, issuer, key=ec_key(name), valid=(AT - age * DAY, AT + days * DAY))


def outlook_of(
    anchors: list[Identity], links: list[Identity], at: datetime = AT
) -> tuple[set[str], Outlook]:
    """Return the common names of the newest issuers, and the outlook."""
    found = outlook(lifetimes(anchors, links).values(), at)
    assert found is not None
    return {common_name(item.certificates[0].subject) for item in found.newest}, found


def test_anchors_and_intermediates() -> None:
    """Each key once, with its role and its end."""
    found = lifetimes([pki().root], [pki().intermediate])
    assert [(item.role, item.live_until) for item in found.values()] == [
        ("anchor", END),
        ("intermediate", END),
    ]
    assert all(item.cloud is Cloud.PUBLIC for item in found.values())


def test_a_ca_lives_no_longer_than_its_issuer() -> None:
    """The path ends with its first link."""
    root = ca("Root", None, 10)
    link = ca("Link", root, 100)
    below = ca("Below", link, 200)
    found = lifetimes([root], [link, below])
    assert {item.live_until for item in found.values()} == {AT + 10 * DAY}


@pytest.mark.parametrize("order", [1, -1])
def test_the_longest_path_counts(order: int) -> None:
    """A cross-signed key lives by the later of its certificates, and so does what is below."""
    short, long = ca("Short Root", None, 10), ca("Long Root", None, 300)
    twins = [ca("Twin", short, 200), ca("Twin", long, 100)]
    below = ca("Below", twins[0], 250)
    found = lifetimes([short, long], [below, *twins][::order])
    assert found["Twin"].live_until == AT + 100 * DAY
    assert found["Twin"].certificates == (twins[1].certificate, twins[0].certificate)
    assert found["Below"].live_until == AT + 100 * DAY


def test_expired_twins_of_a_live_key_are_told_apart() -> None:
    """A certificate that ended is no alarm while its key has another path."""
    root = ca("Root", None, 300)
    old, new = ca("Twin", root, -10), ca("Twin", root, 100)
    found = lifetimes([root], [old, new])["Twin"]
    assert found.expired_twins(AT) == (old.certificate,)
    assert found.expired_twins(AT - 20 * DAY) == ()
    assert found.expired_twins(AT + 200 * DAY) == ()


def test_a_cross_signed_anchor_is_an_anchor() -> None:
    """Its certificates stand together under that role."""
    root, other = ca("Root", None, 300), ca("Other", None, 50)
    crossed = ca("Root", other, 400)
    found = lifetimes([root, other], [crossed])
    assert found["Root"].role == "anchor"
    assert found["Root"].certificates == (root.certificate, crossed.certificate)
    assert found["Root"].live_until == AT + 300 * DAY


def test_the_bundled_store_outlives_its_old_cross_signatures() -> None:
    """What expires in August 2026 has twins that live on."""
    found = ca_lifetimes(TrustStore.bundled(), Cloud.PUBLIC)
    autumn = datetime(2026, 9, 1, tzinfo=UTC)
    twins = [item for item in found if item.expired_twins(autumn)]
    assert twins
    assert all(item.live_until > autumn for item in twins)
    assert len([item for item in found if item.role == "anchor"]) == 8


def test_outlook_is_of_the_newest_issuers() -> None:
    """Not of the one that lives longest, nor of the CAs above."""
    root = ca("Root", None, 3000)
    middle = ca("Middle", root, 1000, age=50)
    old, new = ca("Old", root, 800), ca("New", middle, 400, age=40)
    names, found = outlook_of([root], [middle, old, new])
    assert names == {"New"}
    assert found.since == AT - 40 * DAY
    assert found.newest_until == AT + 400 * DAY
    assert found.last_until == AT + 800 * DAY


def test_a_generation_ends_with_its_first() -> None:
    """Azure signs with any of them."""
    root = ca("Root", None, 3000)
    links = [ca("One", root, 300, age=100), ca("Two", root, 200, age=90), ca("Old", root, 100)]
    names, found = outlook_of([root], links)
    assert names == {"One", "Two"}
    assert found.newest_until == AT + 200 * DAY


def test_an_expired_twin_shortens_no_outlook() -> None:
    """The cross-sign of the newest issuer has ended, its other path has not."""
    root, other = ca("Root", None, 3000), ca("Other", None, 3000)
    twins = [ca("New", root, 300, age=50), ca("New", other, -10, age=60)]
    names, found = outlook_of([root, other], twins)
    assert names == {"New"}
    assert found.newest_until == AT + 300 * DAY
    assert found.since == AT - 60 * DAY


def test_a_cross_signed_root_is_above_its_issuers() -> None:
    """It is newer than the CA below it, and issues no evidence by itself."""
    root = ca("Root", None, 3000)
    crossed = ca("New Root", root, 500, age=10)
    link = ca("Link", crossed, 400, age=300)
    names, found = outlook_of([root], [crossed, link])
    assert names == {"Link"}
    assert found.newest_until == AT + 400 * DAY


def test_what_has_not_started_does_not_count() -> None:
    """The next generation is pinned ahead of its time."""
    root = ca("Root", None, 3000)
    links = [ca("Now", root, 30), ca("Next", root, 900, age=-20)]
    names, _ = outlook_of([root], links)
    assert names == {"Now"}
    names, _ = outlook_of([root], links, AT + 20 * DAY)
    assert names == {"Next"}
    assert outlook([], AT) is None


@pytest.mark.parametrize(
    ("year", "issuer", "until"),
    [
        (2018, "Microsoft IT TLS CA 1", datetime(2024, 5, 20, tzinfo=UTC)),
        (2024, "Microsoft Azure RSA TLS Issuing CA 03", datetime(2026, 8, 25, tzinfo=UTC)),
        (2026, "Microsoft TLS G2 RSA CA OCSP 02", datetime(2029, 6, 3, tzinfo=UTC)),
    ],
)
def test_the_bundled_store_through_the_rotations(year: int, issuer: str, until: datetime) -> None:
    """At each time the generation that signed then."""
    found = outlook(
        ca_lifetimes(TrustStore.bundled(), Cloud.PUBLIC), datetime(year, 6, 1, tzinfo=UTC)
    )
    assert found is not None
    assert issuer in {common_name(item.certificates[0].subject) for item in found.newest}
    assert found.newest_until.date() == until.date()
