"""What the emulator keeps between requests, shared by its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

from attest.testing.authority import FakeAuthority
from attest.testing.imds.limits import RateLimit
from attest.testing.imds.parts import check_keys
from attest.testing.imds.tokens import TokenIssuer
from attest.testing.imds.versions import supported
from attest.testing.imds.vm import VirtualMachine

Clock = Callable[[], datetime]

CHANGES = 3  # of a scheduled event: it is announced, starts, and is over
_FIRST_ERROR = 400
_LAST_ERROR = 599
_FAULT_KEYS = frozenset({"path", "status", "times"})


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class HttpFault:
    """An error answer on demand.

    Attributes:
        path: the requests' path, or the beginning of it that ends at a slash.
        status: the HTTP status to answer, 400 to 599.
        times: how many requests more get it; ``None`` for all.
    """

    path: str
    status: int
    times: int | None = None

    @classmethod
    def from_mapping(cls, row: object) -> HttpFault:
        """Make a fault of JSON.

        Raises:
            ValueError: it is not one.
        """
        if not isinstance(row, Mapping):
            raise ValueError("a fault is an object")  # noqa: TRY004 - a wrong request
        check_keys(row, _FAULT_KEYS, "http_faults")
        path, status, times = row.get("path"), row.get("status"), row.get("times")
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError("a fault's path starts with /")
        if not isinstance(status, int) or not _FIRST_ERROR <= status <= _LAST_ERROR:
            raise ValueError("a fault's status is an HTTP error")
        HTTPStatus(status)
        if times is not None and (
            isinstance(times, bool) or not isinstance(times, int) or times < 0
        ):
            raise ValueError("a fault's times is a number from 0")
        return cls(path, status, times)

    def take(self, path: str) -> bool:
        """Tell whether the fault is due for a request, and count it."""
        under = path == self.path or path.startswith(self.path.rstrip("/") + "/")
        if not under or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(slots=True)
class CachedDocument:
    """A document that IMDS keeps giving, whatever nonce is asked for.

    Attributes:
        at: when it was signed.
        body: the answer's text.
    """

    at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class CachedToken:
    """A token that is given again until half its life is over.

    Attributes:
        issued: when it was signed.
        jwt: the token.
    """

    issued: datetime
    jwt: str


@dataclass(slots=True, kw_only=True)
class Emulator:
    """One running fake endpoint.

    Attributes:
        vm: the VM it describes now.
        authority: the authority that signs its documents.
        clock: returns the current time, aware.
        limit: requests a second in all categories but identity.
        identity_limit: requests a second to identity.
        newest: the newest api-version it knows.
        cache_nonce: whether an earlier document may be given again.
        fault: the name of a mutation that every document gets, ``None`` for none.
        http_faults: error answers on demand.
        started: when it was started.
        incarnation: ``DocumentIncarnation`` before the first change of the VM's events.
        approvals: EventId -> when it was approved.
        documents: api-version -> the document in the cache.
        issued: (object id, resource) -> the token in the cache.
        tokens: signs access tokens.
        lock: held while any of these is read and changed together.
    """

    vm: VirtualMachine
    authority: FakeAuthority
    clock: Clock
    limit: RateLimit
    identity_limit: RateLimit
    newest: str
    cache_nonce: bool = False
    fault: str | None = None
    http_faults: list[HttpFault] = field(default_factory=list)
    started: datetime = field(init=False)
    incarnation: int = 1
    approvals: dict[str, datetime] = field(default_factory=dict)
    documents: dict[str, CachedDocument] = field(default_factory=dict)
    issued: dict[tuple[str, str], CachedToken] = field(default_factory=dict)
    tokens: TokenIssuer = field(default_factory=TokenIssuer)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        supported(self.newest)
        self.started = self.clock()

    def due_fault(self, path: str) -> int | None:
        """Return the status of the fault that is due for a request, and count it."""
        with self.lock:
            return next((fault.status for fault in self.http_faults if fault.take(path)), None)

    def set_cache(self, *, enabled: bool) -> None:
        """Start or stop giving earlier documents again."""
        with self.lock:
            self.cache_nonce = enabled
            self.documents.clear()

    def set_fault(self, name: str | None) -> None:
        """Have every document from now on mutated, or none."""
        with self.lock:
            self.fault = name
            self.documents.clear()

    def set_http_faults(self, faults: list[HttpFault]) -> None:
        """Replace the error answers on demand."""
        with self.lock:
            self.http_faults = faults

    def replace_vm(self, vm: VirtualMachine) -> None:
        """Describe another VM from now on: its events start now, no document is cached."""
        with self.lock:
            if vm.events != self.vm.events:
                self.started = self.clock()
                # Past every change that the former events can have gone through.
                self.incarnation += CHANGES * len(self.vm.events)
                self.approvals.clear()
            self.vm = vm
            self.documents.clear()
            self.issued.clear()
