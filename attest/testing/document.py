"""The document that the fake signs, written as Azure writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypedDict
from uuid import UUID

LIFETIME = timedelta(hours=6)
_NONE: Mapping[str, object] = {}


class PlanLike(Protocol):
    """Anything with a marketplace plan's three parts; :class:`attest.Plan` is one."""

    @property
    def name(self) -> str | None:
        """The plan id."""

    @property
    def product(self) -> str | None:
        """The offer."""

    @property
    def publisher(self) -> str | None:
        """The publisher id."""


class DocumentFields(TypedDict, total=False):
    """The fields of a :class:`FakeDocument`, as keyword arguments."""

    vm_id: str | UUID
    subscription_id: str
    sku: str
    license_type: str
    plan: PlanLike | None
    nonce: str | None
    created_on: datetime | None
    lifetime: timedelta
    omit: frozenset[str]
    override: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeDocument:
    """What a VM's attested document says.

    Attributes:
        vm_id: ``vmId``.
        subscription_id: ``subscriptionId``; "" is written where there is none, as Azure does.
        sku: ``sku``.
        license_type: ``licenseType``.
        plan: ``plan``; three empty texts where it is ``None``.
        nonce: ``nonce``; by default ``expiresOn`` as YYYYMMDD-HHMMSS, which is what IMDS writes
            for a request without one.
        created_on: ``timeStamp.createdOn``, aware; by default the authority's own time when it
            signs.  Whole seconds are written.
        lifetime: from ``createdOn`` to ``expiresOn``: 6 h, as Azure has it.
        omit: JSON keys to leave out, such as those that an old api-version does not have.
        override: JSON keys and values that replace or join the others, for malformed documents.
    """

    vm_id: str | UUID = "5d3f2b1c-7a64-4e0f-9c1d-2b8a6f0e4d71"
    subscription_id: str = "8d10da13-8125-4ba9-a717-bf7490507b3d"
    sku: str = "22_04-lts-gen2"
    license_type: str = ""
    plan: PlanLike | None = None
    nonce: str | None = None
    created_on: datetime | None = None
    lifetime: timedelta = LIFETIME
    omit: frozenset[str] = frozenset()
    override: Mapping[str, object] = field(default_factory=lambda: _NONE)

    def at(self, now: datetime) -> FakeDocument:
        """Return the document with ``created_on`` set, to ``now`` where it is not set yet.

        Raises:
            ValueError: the time is not aware.
        """
        created_on = now if self.created_on is None else self.created_on
        if created_on.tzinfo is None:
            raise ValueError("created_on must be an aware datetime")
        return replace(self, created_on=created_on.astimezone(UTC).replace(microsecond=0))

    @property
    def expires_on(self) -> datetime:
        """When the document ends.

        Raises:
            ValueError: ``created_on`` is not set.
        """
        if self.created_on is None:
            raise ValueError("created_on is not set: see FakeDocument.at")
        return self.created_on + self.lifetime

    def fields(self) -> dict[str, object]:
        """Return the JSON object.

        Raises:
            ValueError: ``created_on`` is not set.
        """
        expires_on = self.expires_on
        plan = {
            part: getattr(self.plan, part, None) or "" for part in ("name", "product", "publisher")
        }
        values: dict[str, object] = {
            "licenseType": self.license_type,
            "nonce": f"{expires_on:%Y%m%d-%H%M%S}" if self.nonce is None else self.nonce,
            "plan": plan,
            "sku": self.sku,
            "subscriptionId": self.subscription_id,
            "timeStamp": {
                "createdOn": azure_time(self.created_on),
                "expiresOn": azure_time(expires_on),
            },
            "vmId": str(self.vm_id),
        }
        kept = {key: value for key, value in values.items() if key not in self.omit}
        return {**kept, **self.override}

    def to_json(self) -> bytes:
        """Return the octets that are signed: compact JSON, keys in alphabetical order, UTF-8.

        Raises:
            ValueError: ``created_on`` is not set.
        """
        text = json.dumps(self.fields(), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        return text.encode()


def azure_time(moment: datetime | None) -> str:
    """Write an aware time as Azure does: ``MM/DD/YY HH:MM:SS -0000``, in UTC."""
    return "" if moment is None else f"{moment.astimezone(UTC):%m/%d/%y %H:%M:%S} -0000"
