"""``--fetch-issuers``, for the commands that build paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from attest.path import IssuerSource

_F = TypeVar("_F", bound=Callable[..., Any])


def fetch_issuers_option(function: _F) -> _F:
    """Add ``--fetch-issuers``; its value is a source of issuers, or ``None``."""
    return click.option(
        "--fetch-issuers",
        "issuers",
        is_flag=True,
        callback=_source,
        help="Fetch a missing CA certificate from where the certificates say it is (Microsoft's "
        "and DigiCert's hosts only).  It is never trusted: it must lead to a pinned anchor.",
    )(function)


def aia_source() -> IssuerSource:
    """Return what fetches issuers; only now is anything imported that speaks HTTP."""
    from attest.issuers import AiaIssuerSource  # noqa: PLC0415 - imports http and ssl

    return AiaIssuerSource()


def _source(
    _context: click.Context,
    _parameter: click.Parameter,
    value: bool,  # noqa: FBT001 - click's
) -> IssuerSource | None:
    return aia_source() if value else None
