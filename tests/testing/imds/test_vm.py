"""The description of a VM, and the TOML files that hold several."""

from __future__ import annotations

from pathlib import Path

import pytest

from attest.testing.imds import FakeImds, VirtualMachine, load_vms
from attest.testing.imds.versions import is_supported

TOML = """
[vm.web]
listen = "127.0.0.2:8169"
[vm.web.compute]
name = "web"
platformFaultDomain = 3
securityProfile = { secureBootEnabled = false }
[[vm.web.identities]]
client_id = "c"
[vm.db]
classic = true
[vm.db.tags]
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vm.toml"
    path.write_text(text)
    return path


def test_several_vms(tmp_path: Path) -> None:
    """Several vms."""
    machines = load_vms(_write(tmp_path, TOML))
    assert list(machines) == ["web", "db"]
    web, db = machines.values()
    assert (web.name, web.listen, web.classic) == ("web", "127.0.0.2:8169", False)
    assert web.compute["platformFaultDomain"] == "3"
    security = web.compute["securityProfile"]
    assert isinstance(security, dict | type(web.compute))
    assert (security["secureBootEnabled"], security["virtualTpmEnabled"]) == ("false", "true")
    assert [identity.client_id for identity in web.identities] == ["c"]
    assert (db.classic, dict(db.tags)) == (True, {})


def test_what_follows_from_other_fields() -> None:
    """What follows from other fields."""
    changes = {"compute": {"name": "n", "resourceGroupName": "g", "subscriptionId": "s"}}
    vm = VirtualMachine.from_mapping(changes)
    group = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute"
    tree = vm.instance("E")["compute"]
    assert isinstance(tree, dict)
    assert tree["resourceId"] == f"{group}/virtualMachines/n"
    assert tree["osProfile"]["computerName"] == "n"
    assert tree["storageProfile"]["osDisk"]["managedDisk"]["id"] == (
        f"{group}/disks/exampleosdiskname"
    )
    assert tree["storageProfile"]["osDisk"]["osType"] == "Linux"
    assert tree["azEnvironment"] == "E"


def test_it_is_frozen() -> None:
    """It is frozen."""
    vm = VirtualMachine.default()
    with pytest.raises(AttributeError):
        vm.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        vm.compute["name"] = "other"  # type: ignore[index]


def test_a_change_is_a_new_vm() -> None:
    """A change is a new vm."""
    vm = VirtualMachine.default()
    other = vm.changed({"compute": {"sku": "x"}}).changed({"compute": {"zone": "1"}})
    assert (other.compute["sku"], other.compute["zone"]) == ("x", "1")
    assert vm.compute["zone"] == ""
    assert vm == VirtualMachine.default()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no \\[vm.NAME\\]"),
        ("[web]", "unknown keys: web"),
        ("[vm.web]\nsise = 1", "unknown keys: sise"),
        ("[vm.web.compute]\nvmID = 'x'", "compute has no 'vmID'"),
        ("[vm.web.compute]\nvmId = 1.5", "compute.vmId is not a string"),
        ("[vm.web.compute]\nplan = 'x'", "compute.plan is not a table"),
        ("[vm.web.compute]\ntags = 'a:b'", "tags are set"),
        ("[vm.web.compute]\npublicKeys = 'x'", "publicKeys is not an array"),
        ("[vm.web]\ncompute = 1", "compute is not a table"),
        ("[vm.web]\nidentities = 1", "identities is not an array of tables"),
        ("[[vm.web.identities]]\ntype = 'other'", "system or user"),
        ("[[vm.web.identities]]\nname = 'other'", "unknown keys: name"),
        ("[[vm.web.events]]\ntype = 'Freeze'\nafter = 'x'", "after is not a number"),
        ("[[vm.web.events]]\ntype = 'Freeze'\nresources = 'x'", "resources is not an array"),
        ("[vm.web]\nloadbalancer = 1", "loadbalancer is not a table"),
        ("[vm.web.loadbalancer]\ninboundRules = 1", "inboundRules is not an array"),
        ("[vm.web.loadbalancer]\ninboundRules = [1]", "inboundRules is not an array"),
        ("[[vm.web.events]]\ntype = 'Freeze'\nafter = nan", "after is not from 0"),
        ("[[vm.web.events]]\ntype = 'Freeze'\nnotice = -1", "notice is not from 0"),
        ("[[vm.web.events]]\ntype = 'Freeze'\nfinish = 1e300", "finish is not from 0"),
        ("[[vm.web.events]]\ntype = 'Freeze'\nduration = inf", "duration is not from -1"),
        ("[vm.web.loadbalancer]\nrules = 1", "unknown keys: rules"),
        ("[vm.web.loadbalancer]\ninboundRules = [{ x = 2020-01-01 }]", "neither a string nor"),
        ("[vm.web]\ntenant_id = 2020-01-01", "tenant_id is not a string"),
        ("[vm.web.tags]\na = [1]", "tags.a is not a string"),
        ("[[vm.web.events]]\ntype = 'Freeze'\nresources = [[1]]", "resources is not a string"),
        ("[[vm.web.events]]\ntype = 'Freeze'\nstarted = 1", "started is neither true"),
        ("[vm.web]\nclassic = 'yes'", "neither true nor false"),
        ("[vm.web", "Expected"),
    ],
)
def test_a_wrong_description(tmp_path: Path, text: str, message: str) -> None:
    """A wrong description."""
    with pytest.raises(ValueError, match=message):
        load_vms(_write(tmp_path, text))


def test_versions_of_a_category() -> None:
    """Versions of a category."""
    assert is_supported("scheduledevents", "2020-07-01", "2020-07-15")
    assert not is_supported("scheduledevents", "2020-07-01", "2020-06-01")
    assert not is_supported("instance", "2020-07-01")


def test_the_port_is_free_again() -> None:
    """The port is free again."""
    with FakeImds() as imds:
        port = int(imds.url.rpartition(":")[2])
        assert imds.emulator.vm.name == "default"
    FakeImds(address=("127.0.0.1", port)).stop()


def test_it_is_started_once_and_stopped_as_often_as_one_likes() -> None:
    """A second start would serve from a port that is gone; a second stop is harmless."""
    imds = FakeImds()
    with imds, pytest.raises(RuntimeError, match="started before"):
        imds.start()
    imds.stop()
    with pytest.raises(RuntimeError, match="started before"):
        imds.start()


def test_no_address_is_not_every_address() -> None:
    """An empty variable in a script does not open the emulator to the network."""
    with pytest.raises(ValueError, match="address is empty"):
        FakeImds(address=("", 0))


def test_an_address_that_is_taken() -> None:
    """An address that is taken."""
    with FakeImds() as imds, pytest.raises(OSError, match="in use"):
        FakeImds(address=("127.0.0.1", int(imds.url.rpartition(":")[2])))
