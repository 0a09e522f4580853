"""The virtual machine that the fake endpoint describes: frozen, and read from TOML.

A description uses IMDS's own names (``[vm.web.compute]``, ``[[vm.web.network.interface]]``); it
is laid over ``defaults.toml``, table by table, and a key that IMDS does not have is refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Self, cast

from attest.testing.imds import schema
from attest.testing.imds.parts import Identity, LoadBalancer, ScheduledEvent, check_keys, flag

_KEYS = frozenset(
    {
        "classic",
        "compute",
        "events",
        "identities",
        "listen",
        "loadbalancer",
        "network",
        "tags",
        "tenant_id",
    }
)
_TENANT = "72f988bf-0000-4000-8000-2d7cd011db47"


def _defaults() -> dict[str, object]:
    text = resources.files("attest.testing.imds").joinpath("defaults.toml").read_text("utf-8")
    return tomllib.loads(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMachine:
    """One VM, as IMDS describes it.

    Attributes:
        name: its name in the configuration.
        compute: ``instance/compute``, complete; every value is a string.
        network: ``instance/network``, complete.
        tags: the resource tags, from which ``tags`` and ``tagsList`` are made.
        loadbalancer: ``/metadata/loadbalancer``; ``None`` for a VM behind none.
        identities: the managed identities assigned to it.
        events: what maintenance is scheduled for it.
        tenant_id: the tenant of its identities.
        classic: whether it is of the classic deployment model, for which IMDS answers only the
            attested document (its vmId alone is populated) and ``instance/network``.
        listen: ``host:port`` of its own, for several VMs in one emulator; ``None`` for none.
        description: what it was made from.
    """

    name: str
    compute: Mapping[str, object]
    network: Mapping[str, object]
    tags: Mapping[str, str]
    loadbalancer: LoadBalancer | None
    identities: tuple[Identity, ...]
    events: tuple[ScheduledEvent, ...]
    tenant_id: str
    classic: bool
    listen: str | None
    description: Mapping[str, object] = field(repr=False, compare=False)

    @classmethod
    def default(cls) -> Self:
        """Return the documented default VM."""
        return cls.from_mapping({})

    @classmethod
    def from_mapping(cls, changes: Mapping[str, object], *, name: str = "default") -> Self:
        """Make a VM of what differs from the default one.

        Args:
            changes: as one ``[vm.NAME]`` table of the TOML file has it: tables are laid over
                the defaults, arrays and values replace them.
            name: its name.

        Raises:
            ValueError: a key is unknown or a value has the wrong shape.
        """
        check_keys(changes, _KEYS, f"vm.{name}")
        whole = merge(_defaults(), changes)
        compute = _with_derived(table(whole, "compute"))
        tags = {
            key: schema.text(value, f"tags.{key}") for key, value in table(whole, "tags").items()
        }
        identities = rows(whole, "identities") if "identities" in whole else [{"type": "system"}]
        resource_id = str(compute["resourceId"])
        balancer = whole.get("loadbalancer")
        listen = whole.get("listen")
        return cls(
            name=name,
            compute=cast("Mapping[str, object]", schema.complete(compute, "compute")),
            network=cast(
                "Mapping[str, object]", schema.complete(table(whole, "network"), "network")
            ),
            tags=MappingProxyType(tags),
            loadbalancer=LoadBalancer.from_mapping(balancer) if balancer else None,
            identities=tuple(
                Identity.from_mapping(row, resource_id, index)
                for index, row in enumerate(identities)
            ),
            events=tuple(
                ScheduledEvent.from_mapping(row, str(compute["name"]), index)
                for index, row in enumerate(rows(whole, "events"))
            ),
            tenant_id=schema.text(whole.get("tenant_id", _TENANT), "tenant_id"),
            classic=flag(whole, "classic"),
            listen=None if listen is None else str(listen),
            description=MappingProxyType(dict(changes)),
        )

    def changed(self, changes: Mapping[str, object]) -> Self:
        """Return this VM with a further description laid over it.

        Raises:
            ValueError: a key is unknown or a value has the wrong shape.
        """
        return type(self).from_mapping(merge(self.description, changes), name=self.name)

    def instance(self, az_environment: str) -> dict[str, object]:
        """Return the whole ``/metadata/instance`` tree, of every api-version together.

        Args:
            az_environment: the cloud's name, where the description does not give one.
        """
        if self.classic:
            return {"network": self.network}
        compute = dict(self.compute)
        compute["azEnvironment"] = compute["azEnvironment"] or az_environment
        compute["tags"] = ";".join(f"{key}:{value}" for key, value in self.tags.items())
        compute["tagsList"] = [{"name": key, "value": value} for key, value in self.tags.items()]
        return {"compute": compute, "network": self.network}


def load_vms(path: Path) -> dict[str, VirtualMachine]:
    """Read a TOML file of ``[vm.NAME]`` tables.

    Returns:
        The VMs by name, in the file's order; at least one.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not TOML, names no VM, or a description is wrong.
    """
    content = tomllib.loads(path.read_text("utf-8"))
    check_keys(content, frozenset({"vm"}), path.name)
    machines = table(content, "vm")
    if not machines:
        msg = f"{path.name} has no [vm.NAME] table"
        raise ValueError(msg)
    return {
        name: VirtualMachine.from_mapping(table(machines, name), name=name) for name in machines
    }


def merge(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """Lay one table over another: tables are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and key != "tags":
            merged[key] = merge(before, value)
        else:
            merged[key] = value
    return merged


def table(parent: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Return a table of a table, empty where it is absent.

    Raises:
        ValueError: it is not a table.
    """
    value = parent.get(key, {})
    if not isinstance(value, Mapping):
        msg = f"{key} is not a table"
        raise ValueError(msg)  # noqa: TRY004 - a wrong file, not a wrong call
    return value


def rows(parent: Mapping[str, object], key: str) -> Sequence[Mapping[str, object]]:
    """Return an array of tables, empty where it is absent.

    Raises:
        ValueError: it is not an array of tables.
    """
    value = parent.get(key, [])
    if not isinstance(value, (list, tuple)) or not all(isinstance(row, Mapping) for row in value):
        msg = f"{key} is not an array of tables"
        raise ValueError(msg)
    return value


def _with_derived(compute: Mapping[str, object]) -> dict[str, object]:
    """Add what follows from other fields: the resource ids, the computer's name, disks' OS."""
    if {"tags", "tagsList"} & set(compute):
        raise ValueError("tags are set in the table [vm.NAME.tags]")
    group = (
        f"/subscriptions/{compute.get('subscriptionId', '')}/resourceGroups/"
        f"{compute.get('resourceGroupName', '')}/providers/Microsoft.Compute"
    )
    name = compute.get("name", "")
    storage = table(compute, "storageProfile")
    os_disk = _with_id(table(storage, "osDisk"), group)
    disks = [_with_id(disk, group) for disk in rows(storage, "dataDisks")]
    derived: dict[str, object] = {
        "resourceId": f"{group}/virtualMachines/{name}",
        "osProfile": {"computerName": name},
        "storageProfile": {"osDisk": {"osType": compute.get("osType", "")}},
    }
    given = {**compute, "storageProfile": {**storage, "osDisk": os_disk, "dataDisks": disks}}
    return merge(derived, given)


def _with_id(disk: Mapping[str, object], group: str) -> dict[str, object]:
    usual = {
        "caching": "None",
        "managedDisk": {"id": f"{group}/disks/{disk.get('name', '')}"},
        "diffDiskSettings": {"option": ""},
        "encryptionSettings": {"enabled": "false"},
        "writeAcceleratorEnabled": "false",
    }
    return merge(usual, disk)
