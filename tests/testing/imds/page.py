"""The tables of the IMDS page, row by row, as the tests' own copy.

Source: "Azure Instance Metadata Service (IMDS)", MicrosoftDocs/azure-docs, edition of 2020-10
(CC BY 4.0).  The emulator has its own tables; these are written down a second time on purpose.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

DATA = Path(__file__).parent / "data"

# Section "Version": the supported API versions.
VERSIONS = [
    "2017-03-01",
    "2017-04-02",
    "2017-08-01",
    "2017-10-01",
    "2017-12-01",
    "2018-02-01",
    "2018-04-02",
    "2018-10-01",
    "2019-02-01",
    "2019-03-11",
    "2019-04-30",
    "2019-06-01",
    "2019-06-04",
    "2019-08-01",
    "2019-08-15",
    "2019-11-01",
    "2020-06-01",
    "2020-07-15",
    "2020-09-01",
    "2020-10-01",
]
# Later editions of the page.
LATER_VERSIONS = [
    "2020-12-01",
    "2021-01-01",
    "2021-02-01",
    "2021-03-01",
    "2021-05-01",
    "2021-08-01",
    "2021-10-01",
    "2021-11-01",
    "2021-11-15",
    "2021-12-13",
    "2023-07-01",
    "2023-11-15",
    "2024-03-15",
    "2024-07-17",
    "2025-04-07",
]

# Section "Metadata APIs": a request of the category, and the version that introduced it.
CATEGORIES = {
    "attested/document": "2018-10-01",
    "identity/oauth2/token": "2018-02-01",
    "instance": "2017-04-02",
    "scheduledevents": "2017-08-01",
}

# Section "Data output": default format, and whether text is another one.
FORMATS = {
    "attested/document": False,
    "identity/oauth2/token": False,
    "instance": True,
    "scheduledevents": False,
}

# Section "Instance API".
COMPUTE = {
    "azEnvironment": "2018-10-01",
    "customData": "2019-02-01",
    "isHostCompatibilityLayerVm": "2020-06-01",
    "licenseType": "2020-09-01",
    "location": "2017-04-02",
    "name": "2017-04-02",
    "offer": "2017-04-02",
    "osProfile.adminUsername": "2020-07-15",
    "osProfile.computerName": "2020-07-15",
    "osProfile.disablePasswordAuthentication": "2020-10-01",
    "osType": "2017-04-02",
    "placementGroupId": "2017-08-01",
    "plan": "2018-04-02",
    "platformUpdateDomain": "2017-04-02",
    "platformFaultDomain": "2017-04-02",
    "provider": "2018-10-01",
    "publicKeys": "2018-04-02",
    "publisher": "2017-04-02",
    "resourceGroupName": "2017-08-01",
    "resourceId": "2019-03-11",
    "sku": "2017-04-02",
    "securityProfile.secureBootEnabled": "2020-06-01",
    "securityProfile.virtualTpmEnabled": "2020-06-01",
    "storageProfile": "2019-06-01",
    "subscriptionId": "2017-08-01",
    "tags": "2017-08-01",
    "tagsList": "2019-06-04",
    "version": "2017-04-02",
    "vmId": "2017-04-02",
    "vmScaleSetName": "2017-12-01",
    "vmSize": "2017-04-02",
    "zone": "2017-12-01",
}
# Later editions of the page.
LATER_COMPUTE = {
    "additionalCapabilities.hibernationEnabled": "2021-11-01",
    "evictionPolicy": "2020-12-01",
    "extendedLocation.type": "2021-03-01",
    "extendedLocation.name": "2021-03-01",
    "host.id": "2021-11-15",
    "hostGroup.id": "2021-11-15",
    "physicalZone": "2023-11-15",
    "platformSubFaultDomain": "2021-10-01",
    "priority": "2020-12-01",
    "securityProfile.encryptionAtHost": "2021-11-01",
    "securityProfile.securityType": "2021-12-13",
    "userData": "2021-01-01",
    "virtualMachineScaleSet.id": "2021-03-01",
    "storageProfile.resourceDisk.size": "2021-02-01",
    "storageProfile.imageReference.communityGalleryImageId": "2023-07-01",
    "storageProfile.imageReference.sharedGalleryImageId": "2023-07-01",
    "storageProfile.imageReference.exactVersion": "2023-07-01",
    "storageProfile.dataDisks.0.bytesPerSecondThrottle": "2021-05-01",
    "storageProfile.dataDisks.0.diskCapacityBytes": "2021-05-01",
    "storageProfile.dataDisks.0.isSharedDisk": "2021-05-01",
    "storageProfile.dataDisks.0.isUltraDisk": "2021-05-01",
    "storageProfile.dataDisks.0.opsPerSecondThrottle": "2021-05-01",
    "storageProfile.osDisk.encryptionSettings.diskEncryptionKey.sourceVault.id": "2021-11-01",
    "storageProfile.osDisk.encryptionSettings.diskEncryptionKey.secretUrl": "2021-11-01",
    "storageProfile.osDisk.encryptionSettings.keyEncryptionKey.sourceVault.id": "2021-11-01",
    "storageProfile.osDisk.encryptionSettings.keyEncryptionKey.keyUrl": "2021-11-01",
}

# Section "Network metadata", below the first interface.
NETWORK = {
    "ipv4.ipAddress.0.privateIpAddress": "2017-04-02",
    "ipv4.ipAddress.0.publicIpAddress": "2017-04-02",
    "ipv4.subnet.0.address": "2017-04-02",
    "ipv4.subnet.0.prefix": "2017-04-02",
    "ipv6.ipAddress": "2017-04-02",
    "macAddress": "2017-04-02",
}

# Section "Storage metadata".
IMAGE_REFERENCE = ["id", "offer", "publisher", "sku", "version"]
OS_DISK = [
    "caching",
    "createOption",
    "diffDiskSettings",
    "diskSizeGB",
    "image",
    "lun",
    "managedDisk",
    "name",
    "vhd",
    "writeAcceleratorEnabled",
]
DATA_DISK = [
    "caching",
    "createOption",
    "diffDiskSettings",
    "diskSizeGB",
    "encryptionSettings",
    "image",
    "managedDisk",
    "name",
    "osType",
    "vhd",
    "writeAcceleratorEnabled",
]

# Section "Attested data"; the page's "2018-20-01" for createdOn is no date.
ATTESTED = {
    "licenseType": "2020-09-01",
    "nonce": "2018-10-01",
    "plan": "2018-10-01",
    "timeStamp/createdOn": "2018-10-01",
    "timeStamp/expiresOn": "2018-10-01",
    "vmId": "2018-10-01",
    "subscriptionId": "2019-04-30",
    "sku": "2019-11-01",
}

# The two tables of clouds.
AZ_ENVIRONMENTS = {
    "public": "AzurePublicCloud",
    "usgov": "AzureUSGovernmentCloud",
    "china": "AzureChinaCloud",
    "germany": "AzureGermanCloud",
}
CERTIFICATES = {
    "public": "*.metadata.azure.com",
    "usgov": "*.metadata.azure.us",
    "china": "*.metadata.azure.cn",
    "germany": "*.metadata.microsoftazure.de",
}


def sample() -> dict[str, dict[str, object]]:
    """Return the answer that the page shows for the whole instance."""
    return cast(
        "dict[str, dict[str, object]]", json.loads((DATA / "page_instance.json").read_text())
    )


def curl_lines() -> list[str]:
    """Return the page's curl lines that stand alone, unchanged."""
    return (DATA / "page_curl.txt").read_text().splitlines()


def before(version: str) -> str:
    """Return the version before another one."""
    every = [*VERSIONS, *LATER_VERSIONS]
    return every[every.index(version) - 1]
