"""Which hosts, paths and addresses may be asked for issuers and CRLs; nothing here asks them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from attest.clouds import is_host_name
from attest.errors import quote

_MAX_URL = 2048
_PORTS = {"http": 80, "https": 443}

# RFC 3986 without what such a URL never has and what a check of it could read otherwise than a
# server: user information, query, fragment, parameters, and escapes of dots, slashes, backslashes,
# percent signs, semicolons, control characters and whatever is not ASCII.
_URL = re.compile(
    r"(?P<scheme>(?i:https?))://(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%(?!2[5EFef]|3[Bb]|5[Cc]|7[Ff])[2-7][0-9A-Fa-f])*)"
)

_RULE = re.compile(r"(?P<host>[A-Za-z0-9.-]+)(?P<folder>/(?:(?!\.{1,2}/)[A-Za-z0-9._~-]+/)*)?")

# ipaddress calls some of these global, more of them before 3.11.10.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # the Azure host's agent, as seen from a VM
            "192.0.0.0/24",  # IETF protocol assignments
            "192.88.99.0/24",  # 6to4 relays
            "2001::/23",  # IETF protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
# All that is assigned.  IPv4-mapped and NAT64 addresses, which hide another one, lie outside.
_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")


@dataclass(frozen=True, slots=True)
class HostRule:
    """A host that may be asked.

    Attributes:
        host: its name; no other name, above or below it, is meant.
        prefixes: what the path of a URL must begin with, any of them.
    """

    host: str
    prefixes: tuple[str, ...] = ("/",)

    @classmethod
    def parse(cls, text: str) -> HostRule:
        """Read a rule of the form ``HOST`` or ``HOST/FOLDER/``.

        Raises:
            ValueError: it is neither.
        """
        match = _RULE.fullmatch(text)
        if match is None or not is_host_name(match["host"].lower()):
            raise ValueError(f"{quote(text)} is neither HOST nor HOST/FOLDER/")
        return cls(match["host"].lower(), (match["folder"] or "/",))


# Where the issuers of Azure's clouds publish their certificates, and their CRLs.
ISSUER_HOSTS = (
    HostRule("www.microsoft.com", ("/pki/", "/pkiops/")),
    HostRule("caissuers.microsoft.com"),
    HostRule("cacerts.digicert.com"),
    HostRule("cacerts.digicert.cn"),
    HostRule("cacerts.geotrust.com"),
)
CRL_HOSTS = (
    HostRule("www.microsoft.com", ("/pki/", "/pkiops/")),
    HostRule("crl.microsoft.com"),
    HostRule("mscrl.microsoft.com"),
    HostRule("crl2.microsoft.com"),
    HostRule("crl3.digicert.com"),
    HostRule("crl4.digicert.com"),
    HostRule("crl.digicert.cn"),
)


class RefusedUrlError(ValueError):
    """The rules do not let this URL be asked."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be asked, in parts.

    Attributes:
        scheme: ``http`` or ``https``.
        host: in lower case.
        path: begins with a slash, has no segment such as ``..``, and is percent-encoded.
    """

    scheme: str
    host: str
    path: str

    @property
    def port(self) -> int:
        """The standard port of the scheme."""
        return _PORTS[self.scheme]


class HostRules:
    """The hosts and paths that may be asked."""

    def __init__(self, rules: Iterable[HostRule]) -> None:
        self._prefixes: dict[str, tuple[str, ...]] = {}
        for rule in rules:
            host = rule.host.lower()
            self._prefixes[host] = (*self._prefixes.get(host, ()), *rule.prefixes)

    def target(self, url: str, base: Target | None = None) -> Target:
        """Take a URL apart and check it.

        Args:
            url: the URL, or the path of one where there is a ``base``.
            base: what redirects to it.

        Raises:
            RefusedUrlError: the rules do not let it be asked.
        """
        if base is not None and url.startswith("/") and not url.startswith("//"):
            url = f"{base.scheme}://{base.host}{url}"
        match = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
        if match is None:
            raise RefusedUrlError(f"not a URL that is followed: {quote(url)}")
        target = Target(match["scheme"].lower(), match["host"].lower(), match["path"])
        if match["port"] not in {None, str(target.port)}:
            raise RefusedUrlError(f"not the standard port: {quote(url)}")
        segments = target.path.split("/")[1:]
        if "" in segments[:-1] or not {".", ".."}.isdisjoint(segments):
            raise RefusedUrlError(f"not a plain path: {quote(url)}")
        if not target.path.startswith(self._prefixes.get(target.host, ())):
            raise RefusedUrlError(f"not a host and path that may be asked: {quote(url)}")
        return target


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the Internet's: unicast, and nobody's own."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and (
        parsed.scope_id is not None or parsed not in _IPV6_UNICAST
    ):
        return False
    return (
        parsed.is_global
        and not (parsed.is_multicast or parsed.is_reserved)
        and not any(parsed in network for network in _SPECIAL if network.version == parsed.version)
    )
