"""The parts of a running service, put together once for each application."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from attest import TrustStore
from service import metrics
from service.challenges import ChallengeStore
from service.database import Database
from service.decisions import Decider
from service.housekeeping import Task, start_housekeeping
from service.keys import KeyStore
from service.logs import DecisionLog
from service.quarantine import FLUSH_SECONDS
from service.settings import Settings
from service.sources import Sources, make_sources
from service.trust import keep_trust
from service.trust_keeper import TrustKeeper

Clock = Callable[[], datetime]
SWEEP_SECONDS = 30.0
_LOG = logging.getLogger("attest.service")


def system_clock() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that the endpoints share.

    Attributes:
        settings: the operator's settings.
        clock: tells the time, aware.
        trust: the trust store and the decider on it, kept in step with the operator's folders.
        database: the shared state.
        challenges: the challenges in it.
        keys: the API keys in it.
        sources: missing issuers, CRLs, and the unknown issuers in the database.
        decisions: where decisions are logged.
    """

    settings: Settings
    clock: Clock
    trust: TrustKeeper[Decider]
    database: Database
    challenges: ChallengeStore
    keys: KeyStore
    sources: Sources
    decisions: DecisionLog

    @property
    def store(self) -> TrustStore:
        """The trust store of the current generation."""
        return self.trust.generation.store

    @property
    def decider(self) -> Decider:
        """What decides on evidence, with that store."""
        return self.trust.generation.built

    def after_fork(self) -> None:
        """Make a worker of this process: connections of its own, and its housekeeping."""
        self.database.after_fork()
        self.decisions.start()
        local = self.tasks()
        reload = self._reload_task()
        reload.run_logged()  # the master has loaded the store at some time, perhaps long ago
        start_housekeeping([*local, reload])
        # In a thread of their own: a host that does not answer must not delay a reload.
        start_housekeeping(self.network_tasks())

    def sweep(self) -> None:
        """Delete what has expired, and count the challenges that nobody used."""
        swept = self.challenges.sweep(self.clock())
        metrics.CHALLENGES_EXPIRED.inc(swept.expired)

    def tasks(self) -> tuple[Task, ...]:
        """Return what each worker does by the clock on this machine and in the database."""
        crls = self.sources.crls
        return (
            Task("sweeping", SWEEP_SECONDS, self.sweep),
            Task("writing the quarantine", FLUSH_SECONDS, self.sources.quarantine.flush),
            *(() if crls is None else crls.local_tasks()),
        )

    def network_tasks(self) -> tuple[Task, ...]:
        """Return what each worker does by the clock out in the network."""
        crls = self.sources.crls
        return () if crls is None else crls.network_tasks(self.clock)

    def _reload_task(self) -> Task:
        seconds = self.settings.trust_reload_seconds
        return Task("reloading trust", seconds, self.trust.check)


def build(settings: Settings, clock: Clock = system_clock) -> Service:
    """Put the parts together; opens no connection yet.

    Raises:
        SettingsError: the trust store or the CRLs cannot be loaded.
    """
    database = Database(settings.database, pool_size=settings.threads + 1)
    challenges = ChallengeStore(
        database,
        form=settings.challenge_format,
        lifetime=timedelta(seconds=settings.challenge_lifetime),
    )
    sources = make_sources(settings, database, clock)
    trust = keep_trust(settings, lambda s: Decider(settings, s, challenges, clock, sources))
    if settings.test_trust is not None:
        _LOG.warning(
            "TEST TRUST: %s is trusted; no result of this service proves anything about Azure",
            settings.test_trust,
        )
    return Service(
        settings=settings,
        clock=clock,
        trust=trust,
        database=database,
        challenges=challenges,
        keys=KeyStore(database),
        sources=sources,
        decisions=DecisionLog(),
    )
