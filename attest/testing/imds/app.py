"""The fake endpoint as a Flask application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from attest.testing.authority import FakeAuthority
from attest.testing.imds import control, errors, signing
from attest.testing.imds.attested import attested
from attest.testing.imds.call import Handler, check, is_identity, reply, versions
from attest.testing.imds.events import scheduled_events
from attest.testing.imds.identity import identity
from attest.testing.imds.instance import instance
from attest.testing.imds.limits import RateLimit
from attest.testing.imds.loadbalancer import load_balancer
from attest.testing.imds.state import Clock, Emulator, utc_now
from attest.testing.imds.versions import NEWEST
from attest.testing.imds.vm import VirtualMachine

IDENTITY_RATE_LIMIT = 20
RATE_LIMIT = 5

_MAX_BODY = 1 << 20
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
_HANDLERS: Mapping[str, Handler] = {
    "attested": attested,
    "identity": identity,
    "instance": instance,
    "loadbalancer": load_balancer,
    "scheduledevents": scheduled_events,
    "versions": versions,
}
# "Only the attested and network endpoints support VMs created by using the classic deployment
# model" (the page); the load balancer says more than that there is none.
_NOT_CLASSIC = frozenset({"identity", "scheduledevents"})


class AppOptions(TypedDict, total=False):
    """The options of :func:`create_app`, as keyword arguments."""

    clock: Clock
    rate_limit: int | None
    identity_rate_limit: int | None
    cache_nonce: bool
    fault: str | None
    newest: str


def create_app(
    vm: VirtualMachine | None = None,
    authority: FakeAuthority | None = None,
    *,
    clock: Clock = utc_now,
    rate_limit: int | None = RATE_LIMIT,
    identity_rate_limit: int | None = IDENTITY_RATE_LIMIT,
    cache_nonce: bool = False,
    fault: str | None = None,
    newest: str = NEWEST,
) -> Flask:
    """Make the application: ``/metadata``, ``/_fake`` and the authority's AIA and CRL paths.

    Args:
        vm: the VM to describe, by default :meth:`VirtualMachine.default`.
        authority: what signs, by default a new one of the public cloud.
        clock: returns the current time, aware.
        rate_limit: requests a second, 429 beyond; ``None`` for no limit.
        identity_rate_limit: the same for ``/metadata/identity``, which has its own.
        cache_nonce: give an earlier document again for five minutes, whatever nonce is asked
            for, as IMDS may.
        fault: the name of a mutation that every document gets.
        newest: the newest api-version it knows, such as ``2020-10-01``.

    Raises:
        ValueError: there is no such mutation or api-version.
    """
    signing.check_fault(fault)
    emulator = Emulator(
        vm=VirtualMachine.default() if vm is None else vm,
        authority=FakeAuthority(now=clock) if authority is None else authority,
        clock=clock,
        limit=RateLimit(rate_limit, clock),
        identity_limit=RateLimit(identity_rate_limit, clock),
        newest=newest,
        cache_nonce=cache_nonce,
        fault=fault,
    )
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # IMDS never redirects
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY
    app.extensions["attest-imds"] = emulator
    app.register_blueprint(control.blueprint(emulator))
    _add_metadata(app, emulator)
    _add_certificates(app, emulator)
    _add_errors(app)
    return app


def _add_metadata(app: Flask, emulator: Emulator) -> None:
    def metadata(path: str = "") -> Response:
        del path  # Flask's name for what check() takes from the request
        call = check(request, emulator)
        handler = _HANDLERS.get(call.category)
        if handler is None or (emulator.vm.classic and call.category in _NOT_CLASSIC):
            raise errors.not_found()
        return handler(call, emulator)

    for rule in ("/metadata", "/metadata/", "/metadata/<path:path>"):
        app.add_url_rule(
            rule, "metadata", metadata, methods=_METHODS, provide_automatic_options=False
        )


def _add_certificates(app: Flask, emulator: Emulator) -> None:
    @app.get("/<path:path>")
    def published(path: str) -> Response:
        answer = control.certificate(emulator, f"/{path}")
        if answer is None:
            raise errors.not_found()
        return answer


def _add_errors(app: Flask) -> None:
    @app.errorhandler(errors.RefusalError)
    def fault_answer(fault: errors.RefusalError) -> Response:
        answer = reply(fault.body(identity=is_identity(request.path)), fault.status)
        answer.headers.update(fault.headers)
        return answer

    @app.errorhandler(HTTPException)
    def other_answer(error: HTTPException) -> Response:
        # A method that Flask itself refuses, a body that is too large, a path of nobody's.
        answer = reply({"error": error.name}, error.code or 500)
        for name, value in error.get_headers():
            if name == "Allow":
                answer.headers[name] = value
        return answer
