"""A fake of Azure's whole metadata endpoint that signs its documents: for tests, never for trust.

:class:`FakeImds` is a live server, :func:`create_app` the Flask application behind it.
"""

from attest.testing.imds.app import IDENTITY_RATE_LIMIT, RATE_LIMIT, AppOptions, create_app
from attest.testing.imds.parts import Identity, LoadBalancer, ScheduledEvent
from attest.testing.imds.server import FakeImds
from attest.testing.imds.state import Emulator, HttpFault
from attest.testing.imds.versions import API_VERSIONS, NEWEST
from attest.testing.imds.vm import VirtualMachine, load_vms

__all__ = [
    "API_VERSIONS",
    "IDENTITY_RATE_LIMIT",
    "NEWEST",
    "RATE_LIMIT",
    "AppOptions",
    "Emulator",
    "FakeImds",
    "HttpFault",
    "Identity",
    "LoadBalancer",
    "ScheduledEvent",
    "VirtualMachine",
    "create_app",
    "load_vms",
]
