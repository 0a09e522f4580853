"""Clients that other people wrote, against the live fake: no mocks between."""

from __future__ import annotations

import base64
import importlib
import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from attest.testing.imds import FakeImds, VirtualMachine

SCOPE = "https://vault.azure.net/.default"
USERS = [
    {"client_id": "11111111-0000-0000-0000-000000000000", "object_id": "o1", "msi_res_id": "/r/1"},
    {"client_id": "22222222-0000-0000-0000-000000000000", "object_id": "o2", "msi_res_id": "/r/2"},
]


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert isinstance(claims, dict)
    return claims


@pytest.mark.parametrize(
    ("identities", "arguments", "client_id"),
    [
        ([{"type": "system", "client_id": "c0"}], {}, "c0"),
        (USERS, {"client_id": USERS[1]["client_id"]}, USERS[1]["client_id"]),
        (USERS, {"identity_config": {"object_id": "o1"}}, USERS[0]["client_id"]),
        (USERS, {"identity_config": {"resource_id": "/r/2"}}, USERS[1]["client_id"]),
    ],
    ids=["system", "client_id", "object_id", "resource_id"],
)
def test_azure_identity_gets_a_token(
    monkeypatch: pytest.MonkeyPatch,
    identities: list[dict[str, str]],
    arguments: dict[str, Any],
    client_id: str,
) -> None:
    """ManagedIdentityCredential, told only where the endpoint is."""
    identity = pytest.importorskip("azure.identity", reason="azure-identity is not installed")
    with FakeImds(VirtualMachine.from_mapping({"identities": identities})) as imds:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.url)
        with identity.ManagedIdentityCredential(**arguments) as credential:
            token = credential.get_token(SCOPE)
    claims = _claims(token.token)
    assert claims["aud"] == "https://vault.azure.net"
    assert claims["appid"] == client_id
    assert abs(claims["exp"] - token.expires_on) <= 1, "expires_in is in whole seconds"


def test_azure_identity_tells_that_there_is_no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """A VM without identities is an endpoint that is there, and no credential."""
    identity = pytest.importorskip("azure.identity", reason="azure-identity is not installed")
    with FakeImds(VirtualMachine.from_mapping({"identities": []})) as imds:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.url)
        unavailable = pytest.raises(identity.CredentialUnavailableError)
        with identity.ManagedIdentityCredential() as credential, unavailable:
            credential.get_token(SCOPE)


def test_opentelemetry_detects_the_vm(live: FakeImds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Azure resource detector with its endpoint constant patched."""
    name = "opentelemetry.resource.detector.azure.vm"
    reason = "opentelemetry-resource-detector-azure is not installed"
    pytest.importorskip("opentelemetry.resource.detector.azure", reason=reason)
    vm = importlib.import_module(name)
    constant = vm._AZURE_VM_METADATA_ENDPOINT
    patched = constant.replace("http://169.254.169.254", live.url)
    assert patched != constant
    monkeypatch.setattr(vm, "_AZURE_VM_METADATA_ENDPOINT", patched)
    # Proxies of the machine that the tests run on are none of the detector's business here.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    attributes = vm.AzureVMResourceDetector().detect().attributes
    compute = live.emulator.vm.compute
    assert attributes["cloud.region"] == compute["location"]
    assert attributes["host.id"] == compute["vmId"]
    assert attributes["cloud.resource_id"] == compute["resourceId"]
    assert attributes["azure.vm.sku"] == compute["sku"]


def _namespaces_are_allowed() -> bool:
    if not shutil.which("unshare") or not (shutil.which("ip") or shutil.which("/usr/sbin/ip")):
        return False
    probe = ["unshare", "-rn", "true"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def test_unmodified_clients_at_the_real_address() -> None:
    """169.254.169.254 port 80, in a network namespace: nothing in a client is changed."""
    if not _namespaces_are_allowed():
        pytest.skip("unshare -rn is not allowed here, or iproute2 is not installed")
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", "tests.testing.imds.inside_namespace"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    seen = json.loads(done.stdout)
    assert seen["attest"] == "pkcs7"
    assert seen.get("curl", 13) == 13
    assert seen.get("opentelemetry", "5c08b38e-4d57-4c23-ac45-aca61037f084") == (
        "5c08b38e-4d57-4c23-ac45-aca61037f084"
    )
    assert seen.get("azure-identity", 2) == 2
