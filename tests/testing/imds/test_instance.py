"""/metadata/instance: every row of the page's tables, routes and formats."""

from __future__ import annotations

from typing import Any

import pytest

from attest.clouds import Cloud
from attest.testing.imds import schema
from tests.testing.imds import page
from tests.testing.imds.conftest import Endpoint, MakeEndpoint

NIC = "/metadata/instance/network/interface/0/"
STORAGE = "/metadata/instance/compute/storageProfile/"


def _rows(*tables: dict[str, str]) -> list[tuple[str, str]]:
    return [row for table in tables for row in table.items()]


@pytest.mark.parametrize(("field", "since"), _rows(page.COMPUTE, page.LATER_COMPUTE))
def test_compute_field(endpoint: Endpoint, field: str, since: str) -> None:
    """A row of "Instance API": there from its version on, 404 before."""
    path = f"/metadata/instance/compute/{field.replace('.', '/')}"
    assert endpoint.ask(path, since, format="text").status_code == 200
    assert endpoint.ask(path, "2025-04-07", format="text").status_code == 200
    earlier = page.before(since)
    expected = 400 if earlier < "2017-04-02" else 404
    assert endpoint.ask(path, earlier, format="text").status_code == expected


@pytest.mark.parametrize(("field", "since"), page.NETWORK.items())
def test_network_field(endpoint: Endpoint, field: str, since: str) -> None:
    """A row of "Network metadata"."""
    path = NIC + field.replace(".", "/")
    assert endpoint.ask(path, since, format="text").status_code == 200
    assert endpoint.ask(path, page.before(since), format="text").status_code == 400


@pytest.mark.parametrize(
    ("part", "field"),
    [
        *(("imageReference", field) for field in page.IMAGE_REFERENCE),
        *(("osDisk", field) for field in page.OS_DISK),
        *(("dataDisks/0", field) for field in page.DATA_DISK),
    ],
)
def test_storage_field(endpoint: Endpoint, part: str, field: str) -> None:
    """A row of "Storage metadata": there since the storage profile is."""
    path = f"{STORAGE}{part}/{field}"
    assert endpoint.ask(path, "2019-06-01", format="text").status_code == 200
    assert endpoint.ask(path, "2019-04-30", format="text").status_code == 404


@pytest.mark.parametrize("version", [*page.VERSIONS[1:], *page.LATER_VERSIONS])
def test_the_tree_of_a_version_has_the_fields_of_that_version(
    endpoint: Endpoint, version: str
) -> None:
    """The tree of a version has the fields of that version."""
    compute = endpoint.get("/metadata/instance", version)["compute"]
    rows = {**page.COMPUTE, **page.LATER_COMPUTE}
    expected = {field.partition(".")[0] for field, since in rows.items() if since <= version}
    assert set(compute) == expected


def test_every_value_is_a_string(endpoint: Endpoint) -> None:
    """Every value is a string."""

    def leaves(node: Any) -> list[Any]:
        if isinstance(node, dict):
            return [leaf for value in node.values() for leaf in leaves(value)]
        if isinstance(node, list):
            return [leaf for value in node for leaf in leaves(value)]
        return [node]

    found = leaves(endpoint.get("/metadata/instance"))
    assert len(found) > 80
    assert all(isinstance(leaf, str) for leaf in found)


def test_the_page_sample_comes_back(make_endpoint: MakeEndpoint) -> None:
    """A VM described by the page's own sample answers with it, and with what the sample omits."""
    sample = page.sample()
    compute = dict(sample["compute"])
    tags = dict(pair.split(":") for pair in str(compute.pop("tags")).split(";"))
    vm = make_endpoint({"compute": compute, "network": sample["network"], "tags": tags})
    answer = vm.get("/metadata/instance", "2020-10-01")
    assert _without_extra(answer, sample) == sample
    assert set(answer["compute"]) - set(sample["compute"]) == {
        "customData",
        "provider",
        "tagsList",
    }


def _without_extra(answer: Any, sample: Any) -> Any:
    if isinstance(sample, dict):
        return {key: _without_extra(answer[key], value) for key, value in sample.items()}
    if isinstance(sample, list):
        assert len(answer) == len(sample)
        return [_without_extra(*pair) for pair in zip(answer, sample, strict=True)]
    return answer


@pytest.mark.parametrize(("cloud", "name"), page.AZ_ENVIRONMENTS.items())
def test_az_environment(make_endpoint: MakeEndpoint, cloud: str, name: str) -> None:
    """A row of the table of Azure environments."""
    path = "/metadata/instance/compute/azEnvironment"
    answer = make_endpoint(cloud=Cloud(cloud)).ask(path, "2018-10-01", format="text")
    assert answer.text == name


def test_tags(endpoint: Endpoint) -> None:
    """The page's two samples of section "VM tags"."""
    path = "/metadata/instance/compute/"
    text = endpoint.ask(f"{path}tags", "2018-10-01", format="text").text
    assert text == "Department:IT;Environment:Test;Role:WebRole"
    assert endpoint.get(f"{path}tagsList", "2019-06-04") == [
        {"name": "Department", "value": "IT"},
        {"name": "Environment", "value": "Test"},
        {"name": "Role", "value": "WebRole"},
    ]


@pytest.mark.parametrize("query", [{}, {"format": "json"}])
@pytest.mark.parametrize("leaf", ["compute/vmId", "network/interface/0/macAddress"])
def test_a_leaf_as_json_is_a_bad_request(
    endpoint: Endpoint, leaf: str, query: dict[str, str]
) -> None:
    """A leaf as json is a bad request."""
    answer = endpoint.ask(f"/metadata/instance/{leaf}", "2020-09-01", **query)
    assert answer.status_code == 400
    assert "format=text" in answer.json["error"]


def test_a_leaf_as_text(endpoint: Endpoint) -> None:
    """A leaf as text."""
    answer = endpoint.ask("/metadata/instance/compute/vmId", "2017-08-01", format="text")
    assert answer.text == "5c08b38e-4d57-4c23-ac45-aca61037f084"
    assert answer.mimetype == "text/plain"


@pytest.mark.parametrize(
    ("route", "listing"),
    [
        ("", "compute/\nnetwork/"),
        ("/network", "interface/"),
        ("/network/interface", "0/"),
        ("/network/interface/0", "ipv4/\nipv6/\nmacAddress"),
        ("/network/interface/0/ipv6/ipAddress", ""),
        ("/compute/plan", "name\nproduct\npublisher"),
    ],
)
def test_an_inner_node_as_text_is_a_listing(endpoint: Endpoint, route: str, listing: str) -> None:
    """An inner node as text is a listing."""
    answer = endpoint.ask(f"/metadata/instance{route}", "2018-04-02", format="text")
    assert (answer.text, answer.mimetype) == (listing, "text/plain")


@pytest.mark.parametrize(
    "route",
    ["network/interface/0", "network/interface/0/ipv4/ipAddress/0", "compute/publicKeys/0"],
)
def test_an_array_element(endpoint: Endpoint, route: str) -> None:
    """An array element."""
    assert isinstance(endpoint.get(f"/metadata/instance/{route}"), dict)


@pytest.mark.parametrize(
    "route",
    [
        "nothing",
        "Compute",
        "compute/nothing",
        "compute/vmId/more",
        "network/interface/1",
        "network/interface/-1",
        "network/interface/00",
        "network/interface/x",
        "network/interface/²",
        "network/interface/99999999999999999999",
        "compute//vmId",
    ],
)
def test_an_element_that_does_not_exist(endpoint: Endpoint, route: str) -> None:
    """An element that does not exist."""
    answer = endpoint.ask(f"/metadata/instance/{route}", "2020-09-01", format="text")
    assert (answer.status_code, answer.json) == (404, {"error": "Not found"})


def test_a_trailing_slash_changes_nothing(endpoint: Endpoint) -> None:
    """A trailing slash changes nothing."""
    whole = endpoint.get("/metadata/instance/compute", "2020-09-01")
    assert endpoint.get("/metadata/instance/compute/", "2020-09-01") == whole


def test_an_unknown_format(endpoint: Endpoint) -> None:
    """An unknown format."""
    assert endpoint.ask("/metadata/instance", "2020-09-01", format="xml").status_code == 400


def test_a_classic_vm_has_only_its_network(make_endpoint: MakeEndpoint) -> None:
    """A classic vm has only its network."""
    classic = make_endpoint({"classic": True})
    assert set(classic.get("/metadata/instance")) == {"network"}
    for path in ("instance/compute", "identity/info", "scheduledevents", "loadbalancer"):
        assert classic.ask(f"/metadata/{path}").status_code == 404, path


def test_the_emulator_has_no_field_that_no_table_has() -> None:
    """The emulator has no field that no table has."""
    rows = {**page.COMPUTE, **page.LATER_COMPUTE}
    tops = {field.partition(".")[0] for field in rows}
    found = {path.split(".")[1].removesuffix("[]") for path in schema.INSTANCE_FIELDS}
    assert found == tops | {"interface"}
