"""What a VM has besides its instance tree: identities, scheduled events, a load balancer."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from attest.testing.imds.schema import text

_IDENTITY_KEYS = frozenset({"client_id", "msi_res_id", "object_id", "type"})
_EVENT_KEYS = frozenset(
    {
        "after",
        "description",
        "duration",
        "finish",
        "id",
        "notice",
        "resources",
        "source",
        "started",
        "type",
    }
)
_BALANCER_KEYS = ("publicIpAddresses", "inboundRules", "outboundRules")

# Seconds of notice by type: "Scheduled Events for Linux VMs", section "Event scheduling".
MINIMUM_NOTICE = {"Freeze": 900, "Reboot": 900, "Redeploy": 600, "Preempt": 30, "Terminate": 300}
_DESCRIPTIONS = {
    "Freeze": "Virtual machine is being paused because of a memory-preserving Live Migration "
    "operation.",
    "Reboot": "Virtual machine is going to be restarted as requested by authorized user.",
    "Redeploy": "Host server is undergoing maintenance.",
    "Preempt": "Virtual machine is going to be evicted.",
    "Terminate": "Virtual machine is going to be deleted.",
}
_MOST_SECONDS = 1_000_000_000
_FINISH = 600  # seconds from Started to removed: the page's rough guideline
_NAMESPACE = uuid.UUID("6f1c1e0a-6a9f-4c64-9a53-7d1f7c7d2f10")


def check_keys(given: Mapping[str, object], known: frozenset[str], where: str) -> None:
    """Refuse keys that mean nothing.

    Raises:
        ValueError: there is one.
    """
    if unknown := set(given) - known:
        msg = f"{where} has unknown keys: {', '.join(sorted(unknown))}"
        raise ValueError(msg)


def _made_up(*parts: object) -> str:
    """Return a UUID that is the same for the same configuration."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, parts))))


@dataclass(frozen=True, slots=True)
class Identity:
    """A managed identity.

    Attributes:
        system: whether it is the system-assigned one.
        client_id: its application id.
        object_id: its principal's id.
        msi_res_id: its Azure resource id: the VM's own for the system-assigned one.
    """

    system: bool
    client_id: str
    object_id: str
    msi_res_id: str

    @classmethod
    def from_mapping(cls, row: Mapping[str, object], vm_resource_id: str, index: int) -> Self:
        """Make an identity of a row of ``identities``; ids that are not given are made up.

        Raises:
            ValueError: a key is unknown, an id is not a string, or the type is neither ``system``
                nor ``user``.
        """
        check_keys(row, _IDENTITY_KEYS, f"identities[{index}]")
        kind = row.get("type", "user")
        if kind not in ("system", "user"):
            msg = f"identities[{index}]: the type is system or user, not {kind!r}"
            raise ValueError(msg)
        own = (
            f"{vm_resource_id.partition('/providers/')[0]}/providers/"
            f"Microsoft.ManagedIdentity/userAssignedIdentities/identity{index}"
        )
        resource = vm_resource_id if kind == "system" else own
        return cls(
            system=kind == "system",
            client_id=_text(row, "client_id", _made_up("client", vm_resource_id, index)),
            object_id=_text(row, "object_id", _made_up("object", vm_resource_id, index)),
            msi_res_id=_text(row, "msi_res_id", resource),
        )


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """One maintenance event, from its announcement to its end.

    Attributes:
        event_id: ``EventId``.
        kind: ``EventType``: Freeze, Reboot, Redeploy, Preempt or Terminate.
        after: from the emulator's start to the announcement.
        notice: from the announcement to ``NotBefore``; none for a failure that has started.
        finish: from the start of the event to its removal.
        duration: ``DurationInSeconds``; -1 where unknown.
        source: ``EventSource``: Platform or User.
        description: ``Description``.
        resources: ``Resources``, the names of the VMs affected.
    """

    event_id: str
    kind: str
    after: timedelta
    notice: timedelta
    finish: timedelta
    duration: int
    source: str
    description: str
    resources: tuple[str, ...]

    @classmethod
    def from_mapping(cls, row: Mapping[str, object], vm_name: str, index: int) -> Self:
        """Make an event of a row of ``events``; times are in seconds.

        Raises:
            ValueError: a key is unknown, the type is not one, or a value has the wrong type.
        """
        check_keys(row, _EVENT_KEYS, f"events[{index}]")
        kind = str(row.get("type", ""))
        if kind not in MINIMUM_NOTICE:
            msg = f"events[{index}]: the type is one of {', '.join(MINIMUM_NOTICE)}, not {kind!r}"
            raise ValueError(msg)
        notice = 0 if flag(row, "started") else MINIMUM_NOTICE[kind]
        resources = row.get("resources", [vm_name])
        if not isinstance(resources, (list, tuple)):
            msg = f"events[{index}]: resources is not an array"
            raise ValueError(msg)  # noqa: TRY004 - a wrong file, not a wrong call
        return cls(
            event_id=_text(row, "id", _made_up("event", vm_name, index).upper()),
            kind=kind,
            after=_seconds(row, "after", 0),
            notice=_seconds(row, "notice", notice),
            finish=_seconds(row, "finish", _FINISH),
            duration=int(_number(row, "duration", -1, -1)),
            source=_text(row, "source", "Platform"),
            description=_text(row, "description", _DESCRIPTIONS[kind]),
            resources=tuple(text(one, "resources") for one in resources),
        )


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """The answer of ``/metadata/loadbalancer``; ports are numbers in it.

    Attributes:
        public_ip_addresses: pairs of ``frontendIpAddress`` and ``privateIpAddress``.
        inbound_rules: with ``protocol``, ``frontendPort`` and ``backendPort`` besides.
        outbound_rules: pairs again.
    """

    public_ip_addresses: tuple[Mapping[str, object], ...]
    inbound_rules: tuple[Mapping[str, object], ...]
    outbound_rules: tuple[Mapping[str, object], ...]

    @classmethod
    def from_mapping(cls, balancer: object) -> Self:
        """Make a load balancer of the table ``loadbalancer``.

        Raises:
            ValueError: a key is unknown, or a value is not an array of tables of texts and whole
                numbers.
        """
        if not isinstance(balancer, Mapping):
            msg = "loadbalancer is not a table"
            raise ValueError(msg)  # noqa: TRY004 - a wrong file, not a wrong call
        check_keys(balancer, frozenset(_BALANCER_KEYS), "loadbalancer")
        parts: list[tuple[Mapping[str, object], ...]] = []
        for key in _BALANCER_KEYS:
            part = balancer.get(key, [])
            if not isinstance(part, (list, tuple)) or not all(
                isinstance(row, Mapping) for row in part
            ):
                msg = f"loadbalancer.{key} is not an array of tables"
                raise ValueError(msg)
            if not all(isinstance(value, (str, int)) for row in part for value in row.values()):
                msg = f"loadbalancer.{key} has a value that is neither a string nor a number"
                raise ValueError(msg)
            parts.append(tuple(dict(row) for row in part))
        return cls(*parts)

    def body(self) -> dict[str, object]:
        """Return the answer's JSON."""
        parts = (self.public_ip_addresses, self.inbound_rules, self.outbound_rules)
        rules = dict(zip(_BALANCER_KEYS, map(list, parts), strict=True))
        return {"loadbalancer": rules}


def flag(row: Mapping[str, object], key: str) -> bool:
    """Return a switch, which is off where it is absent.

    Raises:
        ValueError: it is not a boolean.
    """
    value = row.get(key, False)
    if not isinstance(value, bool):
        msg = f"{key} is neither true nor false"
        raise ValueError(msg)  # noqa: TRY004 - a wrong file, not a wrong call
    return value


def _text(row: Mapping[str, object], key: str, default: str) -> str:
    return text(row.get(key, default), key)


def _number(row: Mapping[str, object], key: str, default: float, least: float = 0) -> float:
    value = row.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{key} is not a number"
        raise ValueError(msg)  # noqa: TRY004 - a wrong file, not a wrong call
    # Not NaN either.  The upper end keeps every moment within the calendar.
    if not least <= value <= _MOST_SECONDS:
        msg = f"{key} is not from {least:g} to {_MOST_SECONDS}"
        raise ValueError(msg)
    return value


def _seconds(row: Mapping[str, object], key: str, default: float) -> timedelta:
    return timedelta(seconds=_number(row, key, default))
