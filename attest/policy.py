"""Steps 7 and 10: what the relying party demands of a document that Azure signed."""

from __future__ import annotations

import enum
import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from attest.clouds import DEFAULT_CLOUDS, Cloud
from attest.document import AttestedDocument, Plan
from attest.errors import Code, DocumentError, FreshnessError, PolicyError, SignerError, quote

MAX_SKEW = timedelta(days=1)
_CONVERSIONS: dict[str, Callable[[Any], object]] = {
    "clouds": Cloud,
    "subscriptions": str.casefold,
    "regions": str.casefold,
    "vms": lambda vm: UUID(str(vm)),
}
_COLLECTIONS = ("clouds", "subscriptions", "vms", "plans", "skus", "license_types", "regions")


class Revocation(enum.StrEnum):
    """What to do with a certificate of which no CRL says whether it is revoked.

    It counts only where CRLs are given.  A certificate that a CRL lists is refused by ``soft``
    and ``hard`` alike.
    """

    OFF = "off"  # consult no CRL
    SOFT = "soft"  # let it pass, and say so in the result
    HARD = "hard"  # refuse it


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalPolicy:
    """What the relying party demands (RFC 9334 section 8.5).

    A demand that is ``None`` is not made; an empty collection refuses everything.

    Attributes:
        clouds: the clouds whose signers are accepted; all but Germany's, which closed in 2021.
        max_age: how long after ``createdOn`` a document is accepted, ``None`` for its lifetime.
        skew: how far the clocks of signer and verifier may differ.  Certificates have no skew.
        max_lifetime: the longest time from ``createdOn`` to ``expiresOn`` that is plausible.
        require_nonce: refuse to verify without an expected nonce.
        allow_missing_timestamps: accept a classic VM's document without times, where its nonce
            equals the expected one.
        subscriptions: the subscription ids accepted, compared without regard to case.
        vms: the VM ids accepted.
        plans: the marketplace plans accepted; a part that is ``None`` matches any value.
        skus: the image SKUs accepted.
        license_types: the licence types accepted.
        regions: the Azure regions accepted, as the signer certificate names them, compared
            without regard to case.
        revocation: how strictly revocation is checked where CRLs are given.

    Raises:
        ValueError: a duration is negative, the skew is more than a day, a VM id is not a UUID,
            a plan demands nothing, or ``revocation`` is none of its three values.
        TypeError: a text stands where a collection of texts belongs.
    """

    clouds: Collection[Cloud] = DEFAULT_CLOUDS
    max_age: timedelta | None = None
    skew: timedelta = timedelta(0)
    max_lifetime: timedelta = timedelta(hours=24)
    require_nonce: bool = False
    allow_missing_timestamps: bool = False
    subscriptions: Collection[str] | None = None
    vms: Collection[UUID] | None = None
    plans: Collection[Plan] | None = None
    skus: Collection[str] | None = None
    license_types: Collection[str] | None = None
    regions: Collection[str] | None = None
    revocation: Revocation = Revocation.HARD

    def __post_init__(self) -> None:
        """Freeze the collections and refuse demands that cannot be meant."""
        for name in _COLLECTIONS:
            value = getattr(self, name)
            if isinstance(value, str):
                # A text is a collection of its letters, and `"b" in "abc"` is true.
                raise TypeError(f"{name} must be a collection of values, not one text")
            if value is not None:
                convert = _CONVERSIONS.get(name, lambda item: item)
                object.__setattr__(self, name, frozenset(map(convert, value)))
        object.__setattr__(self, "revocation", Revocation(self.revocation))
        for duration in (self.max_age, self.skew, self.max_lifetime):
            if duration is not None and duration < timedelta(0):
                raise ValueError(f"a duration is negative: {duration}")
        if self.skew > MAX_SKEW:
            raise ValueError(f"clocks that differ by {self.skew} tell no time")
        if Plan() in (self.plans or ()):
            raise ValueError("a plan must name at least one of name, product and publisher")


def check_cloud(cloud: Cloud, policy: AppraisalPolicy) -> None:
    """Step 4: refuse a signer of a cloud that the relying party does not accept.

    Raises:
        SignerError: ``cloud_not_allowed``.
    """
    if cloud not in policy.clouds:
        msg = f"the signer is of the cloud {cloud}; allowed: {', '.join(sorted(policy.clouds))}"
        raise SignerError(Code.CLOUD_NOT_ALLOWED, msg)


def check_timestamps_present(
    document: AttestedDocument, policy: AppraisalPolicy, nonce: str | None
) -> None:
    """Step 6: refuse a document without times, unless the policy lets a nonce stand for them.

    Raises:
        DocumentError: ``document_field_missing``.
    """
    if document.created_on is None and not (policy.allow_missing_timestamps and nonce is not None):
        raise DocumentError(Code.DOCUMENT_FIELD_MISSING, "there is no timeStamp")


def check_freshness(
    document: AttestedDocument, policy: AppraisalPolicy, at: datetime, nonce: str | None
) -> None:
    """Step 7: is the document valid at ``at``, and the answer to ``nonce``?

    Args:
        document: the parsed document.
        policy: for skew, max_age, max_lifetime and require_nonce.
        at: the time of verification, aware.
        nonce: the nonce that was sent to the VM, ``None`` where none was.

    Raises:
        FreshnessError: ``document_not_yet_valid``, ``document_expired``, ``document_too_old``,
            ``document_lifetime_invalid``, ``nonce_required`` or ``nonce_mismatch``.
    """
    if document.created_on is not None and document.expires_on is not None:
        _check_times(document.created_on, document.expires_on, policy, at)
    if nonce is None:
        if policy.require_nonce:
            raise FreshnessError(Code.NONCE_REQUIRED, "the policy requires an expected nonce")
    elif document.nonce is None or not hmac.compare_digest(
        nonce.encode("utf-8", "surrogatepass"), document.nonce.encode()
    ):
        msg = f"the document's nonce is {quote(document.nonce)}, not the expected one"
        raise FreshnessError(Code.NONCE_MISMATCH, msg)


def _check_times(
    created_on: datetime, expires_on: datetime, policy: AppraisalPolicy, at: datetime
) -> None:
    lifetime = expires_on - created_on
    if not timedelta(0) < lifetime <= policy.max_lifetime:
        msg = f"expiresOn is {lifetime} after createdOn; the limit is {policy.max_lifetime}"
        raise FreshnessError(Code.DOCUMENT_LIFETIME_INVALID, msg)
    age = at - created_on
    if age < -policy.skew:
        msg = f"created on {created_on.isoformat()}, after {at.isoformat()}"
        raise FreshnessError(Code.DOCUMENT_NOT_YET_VALID, msg)
    if age - lifetime > policy.skew:
        msg = f"expired on {expires_on.isoformat()}, before {at.isoformat()}"
        raise FreshnessError(Code.DOCUMENT_EXPIRED, msg)
    if policy.max_age is not None and age - policy.skew > policy.max_age:
        msg = f"created {age} ago; the limit is {policy.max_age}"
        raise FreshnessError(Code.DOCUMENT_TOO_OLD, msg)


def appraise(document: AttestedDocument, region: str | None, policy: AppraisalPolicy) -> None:
    """Step 10: compare a genuine, fresh document with the relying party's demands.

    Raises:
        PolicyError: ``subscription_not_allowed``, ``vm_not_allowed``, ``plan_not_allowed``,
            ``sku_not_allowed``, ``license_type_not_allowed`` or ``region_not_allowed``.
    """
    if policy.subscriptions is not None:
        subscription = document.subscription_id
        folded = None if subscription is None else subscription.casefold()
        _demand(folded, policy.subscriptions, Code.SUBSCRIPTION_NOT_ALLOWED)
    if policy.vms is not None:
        _demand(document.vm_id, policy.vms, Code.VM_NOT_ALLOWED)
    if policy.skus is not None:
        _demand(document.sku, policy.skus, Code.SKU_NOT_ALLOWED)
    if policy.license_types is not None:
        _demand(document.license_type, policy.license_types, Code.LICENSE_TYPE_NOT_ALLOWED)
    if policy.regions is not None:
        _demand(region, policy.regions, Code.REGION_NOT_ALLOWED)
    if policy.plans is not None and not any(_covers(p, document.plan) for p in policy.plans):
        msg = f"the plan {quote(document.plan)} is not one that the policy allows"
        raise PolicyError(Code.PLAN_NOT_ALLOWED, msg)


def _demand(value: object, allowed: Collection[object], code: Code) -> None:
    if value is None or value not in allowed:
        what = code.removesuffix("_not_allowed").replace("_", " ")
        shown = None if value is None else str(value)
        raise PolicyError(code, f"the {what} {quote(shown)} is not one that the policy allows")


def _covers(demanded: Plan, plan: Plan | None) -> bool:
    return plan is not None and all(
        getattr(demanded, part) in {None, getattr(plan, part)}
        for part in ("name", "product", "publisher")
    )
