"""API keys: made once, stored as hashes, revocable.

A key is ``attest_<id>_<secret>``.  The secret has 256 random bits, so that one SHA-256 of it is
as good as any slow hash, and the row is found by the id, so that comparing the hash is the only
thing that depends on the secret; that takes constant time.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.database import API_KEYS, Database, from_milliseconds, to_milliseconds

# A revoked key is refused by every worker after this many seconds at the latest.
CACHE_SECONDS = 2.0
_LAST_USED_MS = 60_000  # written at most once a minute
_CACHE_SIZE = 1024
_KEY = re.compile(r"attest_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

_K = API_KEYS.c


class Scope(enum.StrEnum):
    """What a key may do."""

    VERIFY = "verify"
    CHALLENGE = "challenge"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored.

    Attributes:
        id: its public part.
        name: what the operator calls it.
        scopes: what it may do.
        created_at: when it was made, in UTC.
        revoked_at: when it was revoked, in UTC.
        last_used_at: when it was last seen, in UTC, to the minute.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class ApiKeyError(Exception):
    """A key cannot be made or found; the message says why."""


class KeyStore:
    """The API keys.  Remembers what it has read for :data:`CACHE_SECONDS`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[float, ApiKey | None, str]] = {}
        self._any: tuple[float, bool] = (float("-inf"), False)

    def new(self, name: str, scopes: Collection[Scope], at: datetime) -> str:
        """Make a key.

        Returns:
            The key, which is stored nowhere.

        Raises:
            ApiKeyError: the name is taken or unfit, or there is no scope.
        """
        if not _NAME.fullmatch(name):
            raise ApiKeyError("a name has 1 to 64 letters, digits, dots, underscores and hyphens")
        if not scopes:
            raise ApiKeyError("a key needs at least one scope")
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        row = {
            "id": key_id,
            "name": name,
            "secret_sha256": _hash(secret),
            "scopes": ",".join(sorted(scopes)),
            "created_at": to_milliseconds(at),
        }
        try:
            with self._database.writing() as connection:
                connection.execute(insert(API_KEYS), row)
        except IntegrityError:
            raise ApiKeyError(f"there is a key named {name} already") from None
        self._any = (float("-inf"), False)
        return f"attest_{key_id}_{secret}"

    def list(self) -> list[ApiKey]:
        """Return every key, revoked ones included, in order of their names."""
        with self._database.connect() as connection:
            return [_key(row) for row in connection.execute(select(API_KEYS).order_by(_K.name))]

    def revoke(self, name: str, at: datetime) -> None:
        """Revoke a key for good.

        Raises:
            ApiKeyError: there is no such key, or it is revoked already.
        """
        statement = update(API_KEYS).where(_K.name == name, _K.revoked_at.is_(None))
        with self._database.writing() as connection:
            values = {"revoked_at": to_milliseconds(at)}
            if connection.execute(statement.values(values)).rowcount != 1:
                raise ApiKeyError(f"there is no key named {name} that is in force")
        self._cache.clear()

    def any(self) -> bool:
        """Tell whether a key was ever made; from then on every request needs one."""
        read_at, found = self._any
        if found or time.monotonic() - read_at < CACHE_SECONDS:
            return found
        with self._database.connect() as connection:
            found = bool(connection.execute(select(func.count()).select_from(API_KEYS)).scalar())
        self._any = (time.monotonic(), found)
        return found

    def authenticate(self, presented: str, at: datetime) -> ApiKey | None:
        """Return the key that was presented, ``None`` where it is not one in force.

        Raises:
            UnavailableError: the database does not answer.
        """
        match = _KEY.fullmatch(presented)
        if match is None:
            return None
        key, expected = self._look_up(match[1])
        good = hmac.compare_digest(_hash(match[2]), expected)
        if key is None or not good or key.revoked_at is not None:
            return None
        self._touch(key, at)
        return key

    def _look_up(self, key_id: str) -> tuple[ApiKey | None, str]:
        now = time.monotonic()
        entry = self._cache.get(key_id)
        if entry is not None and now - entry[0] < CACHE_SECONDS:
            return entry[1], entry[2]
        with self._database.connect() as connection:
            row = connection.execute(select(API_KEYS).where(_K.id == key_id)).one_or_none()
        # A hash is compared even where there is no key, one that nothing has.
        found = (None, "-" * 64) if row is None else (_key(row), str(row.secret_sha256))
        with self._lock:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[key_id] = (now, *found)
        return found

    def _touch(self, key: ApiKey, at: datetime) -> None:
        moment = to_milliseconds(at)
        last = key.last_used_at
        if last is not None and moment - to_milliseconds(last) < _LAST_USED_MS:
            return
        statement = update(API_KEYS).where(_K.id == key.id).values(last_used_at=moment)
        with self._database.writing() as connection:
            connection.execute(statement)
        with self._lock:
            self._cache.pop(key.id, None)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _key(row: object) -> ApiKey:
    values = row._mapping  # type: ignore[attr-defined]  # noqa: SLF001 - SQLAlchemy's public name
    times = {
        name: None if values[name] is None else from_milliseconds(values[name])
        for name in ("revoked_at", "last_used_at")
    }
    return ApiKey(
        id=values["id"],
        name=values["name"],
        scopes=frozenset(Scope(scope) for scope in values["scopes"].split(",")),
        created_at=from_milliseconds(values["created_at"]),
        **times,
    )
