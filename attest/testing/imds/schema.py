"""The fields of ``/metadata/instance`` and of the attested document, as data.

Each row is a leaf and the api-version that introduced it, from the tables of the IMDS page
("Instance API", "Network metadata", "Storage metadata", "Attested data"); what came after
2020-10-01 is from the page's later editions and the REST specification (version 2023-07-01).
``[]`` marks an array: the row is of each element.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_DISK = "2019-06-01"

_COMPUTE: Final[Mapping[str, str]] = {
    "additionalCapabilities.hibernationEnabled": "2021-11-01",
    "azEnvironment": "2018-10-01",
    "customData": "2019-02-01",
    "evictionPolicy": "2020-12-01",
    "extendedLocation.name": "2021-03-01",
    "extendedLocation.type": "2021-03-01",
    "host.id": "2021-11-15",
    "hostGroup.id": "2021-11-15",
    "isHostCompatibilityLayerVm": "2020-06-01",
    "licenseType": "2020-09-01",
    "location": "2017-04-02",
    "name": "2017-04-02",
    "offer": "2017-04-02",
    "osProfile.adminUsername": "2020-07-15",
    "osProfile.computerName": "2020-07-15",
    "osProfile.disablePasswordAuthentication": "2020-10-01",
    "osType": "2017-04-02",
    "physicalZone": "2023-11-15",
    "placementGroupId": "2017-08-01",
    "plan.name": "2018-04-02",
    "plan.product": "2018-04-02",
    "plan.publisher": "2018-04-02",
    "platformFaultDomain": "2017-04-02",
    "platformSubFaultDomain": "2021-10-01",
    "platformUpdateDomain": "2017-04-02",
    "priority": "2020-12-01",
    "provider": "2018-10-01",
    "publicKeys[].keyData": "2018-04-02",
    "publicKeys[].path": "2018-04-02",
    "publisher": "2017-04-02",
    "resourceGroupName": "2017-08-01",
    "resourceId": "2019-03-11",
    "securityProfile.encryptionAtHost": "2021-11-01",
    "securityProfile.secureBootEnabled": "2020-06-01",
    "securityProfile.securityType": "2021-12-13",
    "securityProfile.virtualTpmEnabled": "2020-06-01",
    "sku": "2017-04-02",
    "subscriptionId": "2017-08-01",
    "tags": "2017-08-01",
    "tagsList[].name": "2019-06-04",
    "tagsList[].value": "2019-06-04",
    "userData": "2021-01-01",
    "version": "2017-04-02",
    "virtualMachineScaleSet.id": "2021-03-01",
    "vmId": "2017-04-02",
    "vmScaleSetName": "2017-12-01",
    "vmSize": "2017-04-02",
    "zone": "2017-12-01",
}
_IMAGE_REFERENCE: Final[Mapping[str, str]] = {
    "communityGalleryImageId": "2023-07-01",
    "exactVersion": "2023-07-01",
    "id": _DISK,
    "offer": _DISK,
    "publisher": _DISK,
    "sharedGalleryImageId": "2023-07-01",
    "sku": _DISK,
    "version": _DISK,
}
_ANY_DISK: Final[Mapping[str, str]] = {
    "caching": _DISK,
    "createOption": _DISK,
    "diffDiskSettings.option": _DISK,
    "diskSizeGB": _DISK,
    "encryptionSettings.diskEncryptionKey.secretUrl": "2021-11-01",
    "encryptionSettings.diskEncryptionKey.sourceVault.id": "2021-11-01",
    "encryptionSettings.enabled": _DISK,
    "encryptionSettings.keyEncryptionKey.keyUrl": "2021-11-01",
    "encryptionSettings.keyEncryptionKey.sourceVault.id": "2021-11-01",
    "image.uri": _DISK,
    "lun": _DISK,
    "managedDisk.id": _DISK,
    "managedDisk.storageAccountType": _DISK,
    "name": _DISK,
    "osType": _DISK,
    "vhd.uri": _DISK,
    "writeAcceleratorEnabled": _DISK,
}
# Ultra disks' own fields.
_DATA_DISK: Final[Mapping[str, str]] = {
    **_ANY_DISK,
    "bytesPerSecondThrottle": "2021-05-01",
    "diskCapacityBytes": "2021-05-01",
    "isSharedDisk": "2021-05-01",
    "isUltraDisk": "2021-05-01",
    "opsPerSecondThrottle": "2021-05-01",
}
_NETWORK: Final[Mapping[str, str]] = {
    "interface[].ipv4.ipAddress[].privateIpAddress": "2017-04-02",
    "interface[].ipv4.ipAddress[].publicIpAddress": "2017-04-02",
    "interface[].ipv4.subnet[].address": "2017-04-02",
    "interface[].ipv4.subnet[].prefix": "2017-04-02",
    "interface[].ipv6.ipAddress[].privateIpAddress": "2017-04-02",
    "interface[].macAddress": "2017-04-02",
}


def _under(prefix: str, fields: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{path}": version for path, version in fields.items()}


# Every leaf of /metadata/instance -> the version that introduced it.
INSTANCE_FIELDS: Final[Mapping[str, str]] = {
    **_under("compute", _COMPUTE),
    **_under("compute.storageProfile.imageReference", _IMAGE_REFERENCE),
    **_under("compute.storageProfile.osDisk", _ANY_DISK),
    **_under("compute.storageProfile.dataDisks[]", _DATA_DISK),
    "compute.storageProfile.resourceDisk.size": "2021-02-01",
    **_under("network", _NETWORK),
}

# The attested document's keys; the page writes one date as "2018-20-01", which is no date.
ATTESTED_FIELDS: Final[Mapping[str, str]] = {
    "licenseType": "2020-09-01",
    "nonce": "2018-10-01",
    "plan": "2018-10-01",
    "sku": "2019-11-01",
    "subscriptionId": "2019-04-30",
    "timeStamp": "2018-10-01",
    "vmId": "2018-10-01",
}


def _introduced() -> dict[str, str]:
    """Give every node its version: an inner node came with the first of its leaves."""
    nodes = {"": "2017-04-02"}
    for path, version in INSTANCE_FIELDS.items():
        parts = path.replace("[]", ".[]").split(".")
        for end in range(1, len(parts) + 1):
            node = ".".join(parts[:end])
            nodes[node] = min(version, nodes.get(node, version))
    return nodes


_NODES = _introduced()


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _children() -> dict[str, tuple[str, ...]]:
    children: dict[str, tuple[str, ...]] = {}
    for node in _NODES:
        parent, _, key = node.rpartition(".")
        if node:
            children[parent] = (*children.get(parent, ()), key)
    return children


_CHILDREN = _children()


def complete(tree: object, path: str) -> object:
    """Give a description every key that the schema has: an inapplicable value is "".

    Args:
        tree: what is described, in IMDS's names; numbers and booleans may stand for strings.
        path: where it stands, such as ``compute``; ``[]`` is a segment of its own.

    Returns:
        Mappings with keys in alphabetical order, lists and strings, to be read only.

    Raises:
        ValueError: a key is not in the schema, or a value has another shape.
    """
    children = _CHILDREN.get(path)
    if children is None:
        return text(tree, path)
    if children == ("[]",):
        if not isinstance(tree, (list, tuple)):
            raise _wrong(path, "an array")
        return tuple(complete(item, f"{path}.[]") for item in tree)
    if not isinstance(tree, Mapping):
        raise _wrong(path, "a table")
    if unknown := set(tree) - set(children):
        msg = f"{path or 'instance'} has no {', '.join(sorted(map(repr, unknown)))}"
        raise ValueError(msg)
    filled = {
        key: complete(tree[key] if key in tree else _blank(_below(path, key)), _below(path, key))
        for key in sorted(children)
    }
    return MappingProxyType(filled)


def _blank(path: str) -> object:
    children = _CHILDREN.get(path)
    if children is None:
        return ""
    return () if children == ("[]",) else {}


def text(value: object, path: str) -> str:
    """Return a value as IMDS has it, a string; numbers and booleans may stand for one.

    Raises:
        ValueError: it is none of them.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int)):
        raise _wrong(path, "a string")
    return str(value)


def _wrong(path: str, wanted: str) -> ValueError:
    return ValueError(f"{path} is not {wanted}")


def project(tree: object, version: str, path: str = "") -> object:
    """Return the part of an instance tree that an api-version has.

    Args:
        tree: mappings, sequences and strings, shaped like the schema.
        version: an api-version.
        path: where the tree stands, "" for ``/metadata/instance`` itself.
    """
    if isinstance(tree, Mapping):
        return {
            key: project(value, version, below)
            for key, value in tree.items()
            if _NODES.get(below := _below(path, key), "9999") <= version
        }
    if isinstance(tree, (list, tuple)):
        return [project(item, version, _below(path, "[]")) for item in tree]
    return tree
