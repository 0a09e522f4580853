"""Tests of attest.policy: steps 7 and 10, and the demands of steps 4 and 6."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from attest import AppraisalPolicy, AttestedDocument, Cloud, Code, Plan, Revocation
from attest.document import parse_document
from attest.policy import appraise, check_cloud, check_freshness, check_timestamps_present
from tests.support.pki import (
    AT,
    CREATED,
    EXPIRES,
    NONCE,
    SUBSCRIPTION,
    VM_ID,
    make_content,
    timestamp,
)
from tests.support.refusal import refused

SECOND = timedelta(seconds=1)


def document(**changes: object) -> AttestedDocument:
    """Return a parsed document."""
    return parse_document(make_content(**changes))


def lasting(lifetime: timedelta) -> AttestedDocument:
    """Return a document that lives for so long."""
    times = {"createdOn": timestamp(CREATED), "expiresOn": timestamp(CREATED + lifetime)}
    return document(timeStamp=times)


def test_defaults_demand_little_and_allow_no_germany() -> None:
    """The default policy: three clouds, no skew, 24 hours, nothing appraised."""
    policy = AppraisalPolicy()
    assert policy.clouds == {Cloud.PUBLIC, Cloud.USGOV, Cloud.CHINA}
    assert (policy.skew, policy.max_lifetime) == (timedelta(0), timedelta(hours=24))
    assert not policy.require_nonce
    assert not policy.allow_missing_timestamps
    assert policy.revocation is Revocation.HARD


def test_revocation_is_one_of_three() -> None:
    """Also as a text; a misspelt one is no policy."""
    assert AppraisalPolicy(revocation="soft").revocation is Revocation.SOFT  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sofd"):
        AppraisalPolicy(revocation="sofd")  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["max_age", "skew", "max_lifetime"])
def test_durations_are_not_negative(field: str) -> None:
    """A negative duration is a mistake, found when the policy is made."""
    with pytest.raises(ValueError, match="negative"):
        AppraisalPolicy(**{field: -SECOND})  # type: ignore[arg-type]


def test_skew_is_bounded() -> None:
    """Clocks that differ by more than a day tell no time."""
    assert AppraisalPolicy(skew=timedelta(days=1))
    with pytest.raises(ValueError, match="clocks"):
        AppraisalPolicy(skew=timedelta(days=1, microseconds=1))


def test_values_are_read_as_what_they_stand_for() -> None:
    """Clouds, VM ids and case are settled when the policy is made."""
    policy = AppraisalPolicy(
        clouds=["usgov"],  # type: ignore[list-item]
        vms=[VM_ID.upper()],  # type: ignore[list-item]
        regions=["EastUS"],
    )
    assert policy.clouds == {Cloud.USGOV}
    assert policy.vms == {UUID(VM_ID)}
    appraise(document(), "eastus", policy)
    for wrong in ({"clouds": ["mars"]}, {"vms": ["x"]}):
        with pytest.raises(ValueError, match=r"mars|UUID"):
            AppraisalPolicy(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["clouds", "subscriptions", "skus", "license_types", "regions"])
def test_a_text_is_no_collection(field: str) -> None:
    """A bare text would be read as the collection of its letters."""
    with pytest.raises(TypeError, match=f"{field} must be a collection"):
        AppraisalPolicy(**{field: "public"})  # type: ignore[arg-type]


def test_a_plan_that_demands_nothing_is_a_mistake() -> None:
    """An all-None plan would match every plan."""
    with pytest.raises(ValueError, match="at least one"):
        AppraisalPolicy(plans=[Plan("gold"), Plan()])


def test_collections_are_frozen() -> None:
    """Whoever changes the list that he passed does not change the policy."""
    skus = ["a"]
    policy = AppraisalPolicy(skus=skus)
    skus.append("b")
    assert policy.skus == frozenset({"a"})


def test_cloud_must_be_allowed() -> None:
    """Step 4 refuses a cloud that the policy does not name; an empty set refuses all."""
    check_cloud(Cloud.USGOV, AppraisalPolicy(clouds={Cloud.USGOV}))
    with refused(Code.CLOUD_NOT_ALLOWED, 4, "germany"):
        check_cloud(Cloud.GERMANY, AppraisalPolicy())
    with refused(Code.CLOUD_NOT_ALLOWED, 4):
        check_cloud(Cloud.PUBLIC, AppraisalPolicy(clouds=()))


@pytest.mark.parametrize(("allow", "nonce"), [(False, None), (False, NONCE), (True, None)])
def test_times_are_needed(allow: bool, nonce: str | None) -> None:
    """Without times only the policy and an expected nonce together let a document pass."""
    policy = AppraisalPolicy(allow_missing_timestamps=allow)
    with refused(Code.DOCUMENT_FIELD_MISSING, 6, "timeStamp"):
        check_timestamps_present(document(timeStamp=None), policy, nonce)


def test_a_nonce_can_stand_for_times() -> None:
    """With both, step 7 checks the nonce, and only that."""
    policy = AppraisalPolicy(allow_missing_timestamps=True)
    classic = document(timeStamp=None)
    check_timestamps_present(classic, policy, NONCE)
    check_freshness(classic, policy, AT, NONCE)
    with refused(Code.NONCE_MISMATCH, 7):
        check_freshness(classic, policy, AT, "other")


@pytest.mark.parametrize("at", [CREATED, CREATED + SECOND, EXPIRES - SECOND, EXPIRES])
def test_a_document_is_fresh_within_its_times(at: datetime) -> None:
    """Both ends belong to the lifetime."""
    check_freshness(document(), AppraisalPolicy(), at, None)


@pytest.mark.parametrize("early", [timedelta(microseconds=1), SECOND, timedelta(days=3)])
def test_a_document_from_the_future_is_not_yet_valid(early: timedelta) -> None:
    """Before createdOn there is nothing to accept."""
    with refused(Code.DOCUMENT_NOT_YET_VALID, 7):
        check_freshness(document(), AppraisalPolicy(), CREATED - early, None)


@pytest.mark.parametrize("late", [timedelta(microseconds=1), SECOND, timedelta(days=3)])
def test_a_document_expires(late: timedelta) -> None:
    """After expiresOn there is nothing to accept."""
    with refused(Code.DOCUMENT_EXPIRED, 7):
        check_freshness(document(), AppraisalPolicy(), EXPIRES + late, None)


def test_skew_widens_both_ends_exactly() -> None:
    """So much difference between clocks and not a second more."""
    policy = AppraisalPolicy(skew=timedelta(seconds=30))
    check_freshness(document(), policy, CREATED - 30 * SECOND, None)
    check_freshness(document(), policy, EXPIRES + 30 * SECOND, None)
    with refused(Code.DOCUMENT_NOT_YET_VALID, 7):
        check_freshness(document(), policy, CREATED - 31 * SECOND, None)
    with refused(Code.DOCUMENT_EXPIRED, 7):
        check_freshness(document(), policy, EXPIRES + 31 * SECOND, None)


def test_max_age_is_exact_and_knows_the_skew() -> None:
    """A young document passes though its own lifetime is longer."""
    policy = AppraisalPolicy(max_age=60 * SECOND)
    check_freshness(document(), policy, CREATED + 60 * SECOND, None)
    with refused(Code.DOCUMENT_TOO_OLD, 7):
        check_freshness(document(), policy, CREATED + 61 * SECOND, None)
    policy = AppraisalPolicy(max_age=60 * SECOND, skew=SECOND)
    check_freshness(document(), policy, CREATED + 61 * SECOND, None)
    with refused(Code.DOCUMENT_TOO_OLD, 7):
        check_freshness(document(), policy, CREATED + 62 * SECOND, None)


@pytest.mark.parametrize("lifetime", [timedelta(0), -SECOND, timedelta(hours=24, seconds=1)])
def test_lifetime_must_be_plausible(lifetime: timedelta) -> None:
    """Empty, reversed and overlong lifetimes are refused, whatever the time."""
    with refused(Code.DOCUMENT_LIFETIME_INVALID, 7):
        check_freshness(lasting(lifetime), AppraisalPolicy(), CREATED, None)


@pytest.mark.parametrize("lifetime", [SECOND, timedelta(seconds=45), timedelta(hours=24)])
def test_no_lifetime_is_hard_coded(lifetime: timedelta) -> None:
    """From a second to the limit any lifetime passes."""
    check_freshness(lasting(lifetime), AppraisalPolicy(), CREATED, None)


def test_a_required_nonce_must_be_expected() -> None:
    """A policy that requires nonces refuses to verify without one."""
    policy = AppraisalPolicy(require_nonce=True)
    check_freshness(document(), policy, AT, NONCE)
    with refused(Code.NONCE_REQUIRED, 7):
        check_freshness(document(), policy, AT, None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (NONCE, NONCE.upper()),
        (NONCE, NONCE[:-1]),
        (NONCE, f"{NONCE} "),
        (NONCE, ""),
        ("", ""),
        (None, NONCE),
        ("café", "cafe\u0301"),
        ("1", "\uff11"),
        ("01", "1"),
        (NONCE, "\ud800"),
    ],
)
def test_nonce_must_be_equal(written: str | None, expected: str) -> None:
    """Octet for octet; an absent nonce equals nothing, not even an empty one."""
    with refused(Code.NONCE_MISMATCH, 7):
        check_freshness(document(nonce=written), AppraisalPolicy(), AT, expected)


def test_nonce_of_any_alphabet_matches_itself() -> None:
    """Equality is of UTF-8 octets."""
    check_freshness(document(nonce="café"), AppraisalPolicy(), AT, "café")


@pytest.mark.parametrize(
    ("demands", "code"),
    [
        ({"subscriptions": ["other"]}, Code.SUBSCRIPTION_NOT_ALLOWED),
        ({"vms": [UUID(int=0)]}, Code.VM_NOT_ALLOWED),
        ({"skus": ["other", "20_04-LTS-gen2"]}, Code.SKU_NOT_ALLOWED),
        ({"license_types": ["Windows_Server"]}, Code.LICENSE_TYPE_NOT_ALLOWED),
        ({"regions": ["westus"]}, Code.REGION_NOT_ALLOWED),
        ({"plans": [Plan("silver")]}, Code.PLAN_NOT_ALLOWED),
        ({"plans": [Plan("gold", "other"), Plan("gold", "suite", "evil")]}, Code.PLAN_NOT_ALLOWED),
        ({"subscriptions": []}, Code.SUBSCRIPTION_NOT_ALLOWED),
        ({"vms": []}, Code.VM_NOT_ALLOWED),
        ({"skus": []}, Code.SKU_NOT_ALLOWED),
        ({"license_types": []}, Code.LICENSE_TYPE_NOT_ALLOWED),
        ({"regions": []}, Code.REGION_NOT_ALLOWED),
        ({"plans": []}, Code.PLAN_NOT_ALLOWED),
    ],
)
def test_demands_refuse(demands: dict[str, Any], code: Code) -> None:
    """Each demand refuses with its own code; an empty collection refuses everything."""
    with refused(code, 10):
        appraise(document(), "eastus", AppraisalPolicy(**demands))


@pytest.mark.parametrize(
    "demands",
    [
        {},
        {"subscriptions": [SUBSCRIPTION.upper()]},
        {"vms": {UUID(VM_ID)}},
        {"skus": ["x", "20_04-lts-gen2"]},
        {"regions": ["eastus"]},
        {"plans": [Plan("silver"), Plan(publisher="acme")]},
        {"plans": [Plan("gold", "suite", "acme")]},
    ],
)
def test_demands_accept(demands: dict[str, Any]) -> None:
    """Any value that a demand names passes; subscription ids compare without case."""
    appraise(document(), "eastus", AppraisalPolicy(**demands))


@pytest.mark.parametrize(
    ("demands", "code"),
    [
        ({"subscriptions": ["None", ""]}, Code.SUBSCRIPTION_NOT_ALLOWED),
        ({"skus": ["None", ""]}, Code.SKU_NOT_ALLOWED),
        ({"license_types": ["None", ""]}, Code.LICENSE_TYPE_NOT_ALLOWED),
        ({"regions": ["None", ""]}, Code.REGION_NOT_ALLOWED),
        ({"plans": [Plan("")]}, Code.PLAN_NOT_ALLOWED),
    ],
)
def test_absent_values_satisfy_no_demand(demands: dict[str, Any], code: Code) -> None:
    """A field that does not apply is not the empty text, and no demand takes it."""
    empty = document(subscriptionId="", sku="", licenseType="", plan=None)
    with refused(code, 10):
        appraise(empty, None, AppraisalPolicy(**demands))
