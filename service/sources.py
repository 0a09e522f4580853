"""What a process asks while it decides, beside its trust store.

One set for each process, whatever generation the store has: they remember what they have fetched,
and how often they have asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from attest import IssuerSource
from service.database import Database
from service.issuers import issuer_source
from service.quarantine import Quarantine
from service.revocation import ServiceCrls, crl_source
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources.

    Attributes:
        issuers: where missing issuers are fetched, ``None`` where they are not.
        crls: where CRLs come from, ``None`` where revocation is off.
        quarantine: where unknown issuers are noted.
    """

    issuers: IssuerSource | None
    crls: ServiceCrls | None
    quarantine: Quarantine


def make_sources(settings: Settings, database: Database, clock: Callable[[], datetime]) -> Sources:
    """Make the sources of these settings; opens no connection yet.

    Raises:
        SettingsError: a file of CRLs cannot be read, or there is none.
    """
    quarantine = Quarantine(database, clock=clock)
    return Sources(issuer_source(settings), crl_source(settings), quarantine)
