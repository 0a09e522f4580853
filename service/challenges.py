"""Challenges: nonces that this service issues, each good for one verification.

Whoever uses a challenge up does so with one UPDATE that finds it open, marks it used and records
the evidence.  The database runs it atomically, so that of any number of processes on any number
of machines one wins; all others learn why they did not.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.database import CHALLENGES, Database, from_milliseconds, to_milliseconds
from service.errors import ChallengeError, ServiceCode

Format = Literal["hex32", "digits10"]

# How long after its end a challenge is still known as expired, rather than as unknown.
REMEMBER_EXPIRED = timedelta(hours=1)
_SWEEP_ROWS = 5000
_ISSUE_TRIES = 10

_C = CHALLENGES.c
_ISSUE = insert(CHALLENGES)
_USE = (
    update(CHALLENGES)
    .where(_C.nonce == bindparam("of_nonce"), _C.used_at.is_(None), _C.expires_at > bindparam("at"))
    .values(
        used_at=bindparam("at"),
        evidence_sha256=bindparam("sha256"),
        keep_until=bindparam("until"),
    )
)
_LOOK = select(_C.used_at, _C.expires_at).where(_C.nonce == bindparam("of_nonce"))
_EXPIRED = select(_C.id).where(_C.keep_until < bindparam("at")).limit(_SWEEP_ROWS)
_SWEEP = delete(CHALLENGES).where(_C.id.in_(_EXPIRED)).returning(_C.used_at)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A nonce for one attester.

    Attributes:
        nonce: what the VM passes to its metadata endpoint.
        expires_at: until when evidence that holds it can be verified, in UTC.
    """

    nonce: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep has deleted.

    Attributes:
        used: challenges that were used, and evidence of callers' own nonces.
        expired: challenges that nobody used.
    """

    used: int
    expired: int


class ChallengeStore:
    """Issues challenges and uses them up.  Safe among threads, processes and machines."""

    def __init__(self, database: Database, *, form: Format, lifetime: timedelta) -> None:
        """Prepare the store.

        Args:
            database: the shared state.
            form: what nonces look like.
            lifetime: how long a challenge can be used.
        """
        self._database = database
        self._form = form
        self._lifetime = lifetime

    def issue(self, at: datetime) -> Challenge:
        """Issue a challenge.

        Args:
            at: the time, aware.

        Raises:
            UnavailableError: the database does not answer.
        """
        expires_at = from_milliseconds(to_milliseconds(at + self._lifetime))
        row = {
            "expires_at": to_milliseconds(expires_at),
            "keep_until": to_milliseconds(expires_at + REMEMBER_EXPIRED),
        }
        for attempt in range(1, _ISSUE_TRIES + 1):
            nonce = new_nonce(self._form)
            try:
                with self._database.writing() as connection:
                    connection.execute(_ISSUE, {"nonce": nonce, **row})
            except IntegrityError:  # ten digits meet by chance now and then
                if attempt == _ISSUE_TRIES:
                    raise
            else:
                break
        return Challenge(nonce, expires_at)

    def use(
        self,
        nonce: str,
        content_sha256: str,
        *,
        at: datetime,
        keep_until: datetime,
        allow_caller_nonce: bool = False,
    ) -> None:
        """Use a challenge up with evidence that is verified but for this.

        Args:
            nonce: the nonce of the evidence.
            content_sha256: SHA-256 of its signed content, in hexadecimal.
            at: the time, aware.
            keep_until: until when the evidence might verify again, aware.
            allow_caller_nonce: take a nonce that this service did not issue as the caller's
                own, and only make sure that the evidence is new.

        Raises:
            ChallengeError: ``challenge_unknown``, ``challenge_expired``, ``challenge_used`` or
                ``evidence_replayed``.
            UnavailableError: the database does not answer; the challenge may be used or not.
        """
        moment, until = to_milliseconds(at), to_milliseconds(keep_until)
        values = {"of_nonce": nonce, "at": moment, "sha256": content_sha256, "until": until}
        try:
            with self._database.writing() as connection:
                if connection.execute(_USE, values).rowcount == 1:
                    return
                row = connection.execute(_LOOK, {"of_nonce": nonce}).one_or_none()
                if row is None and allow_caller_nonce:
                    remembered = {"expires_at": moment, "used_at": moment, "keep_until": until}
                    connection.execute(_ISSUE, remembered | {"evidence_sha256": content_sha256})
                    return
        except IntegrityError:
            msg = "this evidence was verified before"
            raise ChallengeError(ServiceCode.EVIDENCE_REPLAYED, msg) from None
        if row is None:
            msg = "this service has issued no such challenge"
            raise ChallengeError(ServiceCode.CHALLENGE_UNKNOWN, msg)
        if row.used_at is not None:
            raise ChallengeError(ServiceCode.CHALLENGE_USED, "the challenge was used before")
        msg = f"the challenge expired on {from_milliseconds(row.expires_at).isoformat()}"
        raise ChallengeError(ServiceCode.CHALLENGE_EXPIRED, msg)

    def sweep(self, at: datetime) -> Sweep:
        """Delete rows that nothing needs any more, at most some thousands.

        Raises:
            UnavailableError: the database does not answer.
        """
        with self._database.writing() as connection:
            rows = connection.execute(_SWEEP, {"at": to_milliseconds(at)}).scalars().all()
        expired = sum(used_at is None for used_at in rows)
        return Sweep(used=len(rows) - expired, expired=expired)


def new_nonce(form: Format) -> str:
    """Return a fresh nonce: 128 random bits, or ten digits (33 bits)."""
    if form == "hex32":
        return secrets.token_hex(16)
    return f"{secrets.randbelow(10**10):010d}"
