"""Tests of attest.clouds."""

from __future__ import annotations

import pytest

from attest import Cloud, Code
from attest.clouds import DEFAULT_CLOUDS, match_signer_name
from tests.support.refusal import refused

LONGEST = (
    ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * (253 - 3 * 64 - 19)]) + ".metadata.azure.com"
)


@pytest.mark.parametrize(
    ("cloud", "domain", "environment"),
    [
        (Cloud.PUBLIC, "metadata.azure.com", "AzurePublicCloud"),
        (Cloud.USGOV, "metadata.azure.us", "AzureUSGovernmentCloud"),
        (Cloud.CHINA, "metadata.azure.cn", "AzureChinaCloud"),
        (Cloud.GERMANY, "metadata.microsoftazure.de", "AzureGermanCloud"),
    ],
)
def test_each_cloud_has_its_domain(cloud: Cloud, domain: str, environment: str) -> None:
    """The base name and a region below it match the cloud, and the cloud knows its name in IMDS."""
    assert (cloud.signer_domain, cloud.az_environment) == (domain, environment)
    assert match_signer_name([domain]).cloud is cloud
    found = match_signer_name([f"somewhere.{domain}"])
    assert (found.cloud, found.region) == (cloud, "somewhere")


def test_germany_is_off_by_default() -> None:
    """The closed cloud is the only one that must be asked for."""
    assert set(Cloud) - DEFAULT_CLOUDS == {Cloud.GERMANY}


@pytest.mark.parametrize(
    ("names", "region"),
    [
        (["eastus.metadata.azure.com", "metadata.azure.com"], "eastus"),
        (["metadata.azure.com", "eastus.metadata.azure.com"], "eastus"),
        (["eastus.metadata.azure.com"], "eastus"),
        (["EastUS.Metadata.Azure.COM"], "eastus"),
        (["metadata.azure.com"], None),
        (["*.metadata.azure.com"], None),
        (["*.eastus.metadata.azure.com"], None),
        (["a.b.metadata.azure.com"], None),
        (["eastus.metadata.azure.com", "westus.metadata.azure.com"], None),
        (["eastus.metadata.azure.com", "EASTUS.metadata.azure.com"], "eastus"),
        (["other.example", "eastus.metadata.azure.com"], "eastus"),
        ([LONGEST], None),
    ],
)
def test_region_comes_from_the_names(names: list[str], region: str | None) -> None:
    """The region is told when exactly one name level above the domain tells it."""
    found = match_signer_name(names)
    assert (found.cloud, found.region) == (Cloud.PUBLIC, region)


@pytest.mark.parametrize(
    ("names", "reference"),
    [
        (["*.metadata.azure.com"], "w.metadata.azure.com"),
        (["other.example", "X.metadata.azure.com"], "x.metadata.azure.com"),
        (["metadata.azure.com", "x.metadata.azure.com"], "metadata.azure.com"),
    ],
)
def test_reference_is_a_host_that_the_names_cover(names: list[str], reference: str) -> None:
    """Path validation is asked for a host name under the cloud's domain, never a foreign one."""
    assert match_signer_name(names).reference == reference


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["evilmetadata.azure.com"],
        ["metadata.azure.com.evil.example"],
        ["azure.com"],
        ["*.azure.com"],
        ["*.com"],
        ["metadata.azure.org"],
        ["metadata-azure.com"],
        ["metadata.azure.co"],
    ],
)
def test_foreign_names_are_refused(names: list[str]) -> None:
    """Only the domain itself and what lies under it counts."""
    with refused(Code.SIGNER_NAME_MISMATCH, 4, "no dNSName"):
        match_signer_name(names)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " metadata.azure.com",
        "metadata.azure.com ",
        "metadata.azure.com\0.evil.example",
        "evil.example\0.metadata.azure.com",
        "metadata.azure.com\n",
        "https://metadata.azure.com",
        "metadata.azure.com:443",
        "m\u0435tadata.azure.com",
        "\uff4detadata.azure.com",
        "metadata\u3002azure.com",
        "\u212a.metadata.azure.com",
        "\u0130.metadata.azure.com",
    ],
)
def test_a_name_of_foreign_characters_spoils_the_certificate(name: str) -> None:
    """One name with a character that no host name has, and all the names are refused."""
    with refused(Code.SIGNER_NAME_MISMATCH, 4, "not a host name"):
        match_signer_name(["metadata.azure.com", name])


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "*",
        "metadata.azure.com.",
        ".metadata.azure.com",
        "a..metadata.azure.com",
        "a*.metadata.azure.com",
        "x.*.metadata.azure.com",
        "*.*.metadata.azure.com",
        "-a.metadata.azure.com",
        "a-.metadata.azure.com",
        "a_b.metadata.azure.com",
        "a" * 64 + ".metadata.azure.com",
        "x." + LONGEST,
    ],
)
def test_what_is_no_host_name_counts_for_nothing(name: str) -> None:
    """Such a name is no name, and does no harm to a good one beside it."""
    with refused(Code.SIGNER_NAME_MISMATCH, 4, "no dNSName"):
        match_signer_name([name])
    found = match_signer_name([name, "eastus.metadata.azure.com"])
    assert (found.region, found.reference) == ("eastus", "eastus.metadata.azure.com")


def test_names_of_two_clouds_are_refused() -> None:
    """A certificate speaks for exactly one cloud."""
    with refused(Code.SIGNER_NAME_MISMATCH, 4, "several clouds: public, usgov"):
        match_signer_name(["metadata.azure.com", "metadata.azure.us"])
