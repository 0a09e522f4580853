"""What the emulator serves besides IMDS: its trust, its state, and its CAs' addresses.

Nothing here exists in Azure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.serialization import Encoding
from flask import Blueprint, Response, request

from attest import strictjson
from attest.testing.imds import errors, signing
from attest.testing.imds.call import reply
from attest.testing.imds.events import next_events
from attest.testing.imds.parts import check_keys
from attest.testing.imds.state import Emulator, HttpFault
from attest.testing.imds.vm import VirtualMachine

_SWITCHES = frozenset({"cache_nonce", "fault", "http_faults"})
_STATE_KEYS = _SWITCHES | frozenset(
    {"classic", "compute", "events", "identities", "loadbalancer", "network", "tags", "tenant_id"}
)
_MAX_BRACKETS = 2048


def blueprint(emulator: Emulator) -> Blueprint:
    """Return the routes below ``/_fake``."""
    control = Blueprint("control", __name__, url_prefix="/_fake")

    @control.get("/trust.pem")
    def trust() -> Response:
        return Response(emulator.authority.trust_pem(), content_type="application/x-pem-file")

    @control.get("/jwks.json")
    def jwks() -> Response:
        return reply({"keys": [emulator.tokens.jwk()]})

    @control.get("/state")
    def state() -> Response:
        return reply(_state(emulator))

    @control.patch("/state")
    def change() -> Response:
        try:
            text = strictjson.decode_utf8(request.get_data())
            _change(emulator, strictjson.loads_object(text, max_brackets=_MAX_BRACKETS))
        except (ValueError, RecursionError) as error:
            raise errors.bad_request(str(error)) from error
        return reply(_state(emulator))

    return control


def certificate(emulator: Emulator, path: str) -> Response | None:
    """Answer at the path of an AIA or CRL address that the authority's certificates name.

    Returns:
        DER (RFC 5280 sections 4.2.2.1 and 4.2.1.13), or ``None`` for another path.
    """
    authority = emulator.authority
    for url, issuer in authority.certificates_by_url().items():
        if unquote(urlsplit(url).path) == path:
            return Response(issuer.public_bytes(Encoding.DER), content_type="application/pkix-cert")
    for url, crl in authority.crls_by_url().items():
        if unquote(urlsplit(url).path) == path:
            return Response(crl.public_bytes(Encoding.DER), content_type="application/pkix-crl")
    return None


def _state(emulator: Emulator) -> dict[str, object]:
    with emulator.lock:
        vm = emulator.vm
        balancer = vm.loadbalancer.body()["loadbalancer"] if vm.loadbalancer else None
        return {
            "vm": vm.name,
            "cloud": str(emulator.authority.cloud),
            "classic": vm.classic,
            "cache_nonce": emulator.cache_nonce,
            "fault": emulator.fault,
            "http_faults": [
                {"path": fault.path, "status": fault.status, "times": fault.times}
                for fault in emulator.http_faults
            ],
            "tenant_id": vm.tenant_id,
            "identities": [
                {
                    "type": "system" if identity.system else "user",
                    "client_id": identity.client_id,
                    "object_id": identity.object_id,
                    "msi_res_id": identity.msi_res_id,
                }
                for identity in vm.identities
            ],
            "events": next_events(emulator),
            "loadbalancer": balancer,
            "tags": dict(vm.tags),
            "compute": _plain(vm.compute),
            "network": _plain(vm.network),
        }


def _change(emulator: Emulator, changes: Mapping[str, object]) -> None:
    """Apply a PATCH: all of it, or, where it is wrong, nothing."""
    check_keys(changes, _STATE_KEYS, "the state")
    with emulator.lock:
        switches = _switches(emulator, changes)
        described = {key: value for key, value in changes.items() if key not in _SWITCHES}
        vm: VirtualMachine | None = emulator.vm.changed(described) if described else None
        for apply in switches:
            apply()
        if vm is not None:
            emulator.replace_vm(vm)


def _switches(emulator: Emulator, changes: Mapping[str, object]) -> Sequence[Callable[[], None]]:
    """Check the switches of a PATCH, and return what sets them."""
    setters: list[Callable[[], None]] = []
    if "cache_nonce" in changes:
        cache = changes["cache_nonce"]
        if not isinstance(cache, bool):
            raise ValueError("cache_nonce is true or false")
        setters.append(lambda: emulator.set_cache(enabled=cache))
    if "fault" in changes:
        fault = changes["fault"]
        if fault is not None and not isinstance(fault, str):
            raise ValueError("fault is a name or null")
        signing.check_fault(fault)
        setters.append(lambda: emulator.set_fault(fault))
    if "http_faults" in changes:
        given = changes["http_faults"]
        if not isinstance(given, list):
            raise ValueError("http_faults is an array")
        faults = [HttpFault.from_mapping(row) for row in given]
        setters.append(lambda: emulator.set_http_faults(faults))
    return setters


def _plain(tree: object) -> object:
    if isinstance(tree, Mapping):
        return {key: _plain(value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return [_plain(item) for item in cast("tuple[object, ...]", tree)]
    return tree
