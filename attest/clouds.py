"""The Azure clouds, and which cloud a signer's name belongs to.

Each cloud signs attested documents with a certificate whose subjectAltName (RFC 5280 section
4.2.1.6) holds the cloud's metadata domain, a subdomain named for the region, or both.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

from attest.errors import Code, SignerError, quote

# A host name in preferred name syntax (RFC 1034 section 3.5, as RFC 5280 section 4.2.1.6
# demands); the left-most label may be a wildcard, alone (RFC 6125 section 6.4.3).
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_MAX_HOST_NAME = 253
# What careless issuers write beside host names; anything else may be meant to deceive a reader.
_PLAIN = re.compile(r"[a-z0-9._*-]+")


class Cloud(enum.StrEnum):
    """An Azure cloud; the value is its name in settings and results."""

    PUBLIC = "public"
    USGOV = "usgov"
    CHINA = "china"
    GERMANY = "germany"

    @property
    def signer_domain(self) -> str:
        """The DNS domain under which the cloud's signer certificates are named."""
        return _SIGNER_DOMAINS[self]

    @property
    def az_environment(self) -> str:
        """The cloud's name in IMDS's ``azEnvironment`` field."""
        return _AZ_ENVIRONMENTS[self]


_SIGNER_DOMAINS = {
    Cloud.PUBLIC: "metadata.azure.com",
    Cloud.USGOV: "metadata.azure.us",
    Cloud.CHINA: "metadata.azure.cn",
    Cloud.GERMANY: "metadata.microsoftazure.de",
}
_AZ_ENVIRONMENTS = {
    Cloud.PUBLIC: "AzurePublicCloud",
    Cloud.USGOV: "AzureUSGovernmentCloud",
    Cloud.CHINA: "AzureChinaCloud",
    Cloud.GERMANY: "AzureGermanCloud",
}

# Germany closed in 2021: nobody should accept its documents without asking for them.
DEFAULT_CLOUDS: frozenset[Cloud] = frozenset({Cloud.PUBLIC, Cloud.USGOV, Cloud.CHINA})


@dataclass(frozen=True, slots=True)
class SignerName:
    """What a signer certificate's names say.

    Attributes:
        cloud: the one cloud under whose domain the names fall.
        region: the Azure region, ``None`` where no name tells one (or several disagree).
        reference: a host name that the certificate covers, for path validation (RFC 6125).
    """

    cloud: Cloud
    region: str | None
    reference: str


def is_host_name(name: str) -> bool:
    """Tell whether a lower-case text is a host name, or a wildcard over one label."""
    return len(name) <= _MAX_HOST_NAME and _HOST_NAME.fullmatch(name) is not None


def match_signer_name(dns_names: Iterable[str]) -> SignerName:
    """Find the cloud that a signer certificate's dNSNames belong to.

    Names compare without regard to ASCII case (RFC 5280 section 7.2).  A name counts when it is
    the cloud's domain or lies under it, a wildcard such as ``*.metadata.azure.com`` included;
    foreign names beside it are ignored, since the issuer checked each of them.

    Args:
        dns_names: the dNSName values of the subjectAltName, as the certificate has them.

    Raises:
        SignerError: ``signer_name_mismatch`` when none is Azure's, they belong to more than one
            cloud, or one holds characters that no host name has (NUL, spaces, non-ASCII).
    """
    matches = [match for name in dns_names if (match := _match_one(name)) is not None]
    clouds = {match.cloud for match in matches}
    if not clouds:
        msg = "no dNSName in the signer's subjectAltName lies under an Azure metadata domain"
        raise SignerError(Code.SIGNER_NAME_MISMATCH, msg)
    if len(clouds) > 1:
        msg = f"the signer's names belong to several clouds: {', '.join(sorted(clouds))}"
        raise SignerError(Code.SIGNER_NAME_MISMATCH, msg)
    regions = {match.region for match in matches if match.region is not None}
    region = regions.pop() if len(regions) == 1 else None
    return SignerName(matches[0].cloud, region, matches[0].reference)


def _match_one(dns_name: str) -> SignerName | None:
    name = dns_name.lower() if dns_name.isascii() else dns_name
    if not _PLAIN.fullmatch(name):
        msg = f"the signer's subjectAltName holds {quote(dns_name)}, which is not a host name"
        raise SignerError(Code.SIGNER_NAME_MISMATCH, msg)
    if not is_host_name(name):
        return None  # such as foo_bar.example: of no use, and no trick
    for cloud in Cloud:
        if name == cloud.signer_domain:
            return SignerName(cloud, None, name)
        prefix = name.removesuffix(f".{cloud.signer_domain}")
        if prefix != name:
            region = None if prefix.startswith("*") or "." in prefix else prefix
            # Any host that the wildcard covers proves that the path covers the wildcard.
            return SignerName(cloud, region, name.replace("*", "w", 1))
    return None
