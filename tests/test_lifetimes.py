"""Tests of attest.lifetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from attest import Cloud, Intermediate, TrustAnchor, TrustStore
from attest.certificates import common_name
from attest.lifetimes import CaLifetime, ca_lifetimes
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


def ca(name: str, issuer: Identity | None, days: int, key: str | None = None) -> Identity:
    """Return a CA that ends so many days from now."""
    return make_ca(name, issuer, key=ec_key(key or name), valid=(AT - 900 * DAY, AT + days * DAY))


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
