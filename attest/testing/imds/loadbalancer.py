"""``/metadata/loadbalancer``: addresses and rules of the standard load balancer.

Source: the page "Retrieve load balancer metadata using IMDS".
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Response

from attest.testing.imds import errors
from attest.testing.imds.call import Call, reply
from attest.testing.imds.state import Emulator


def load_balancer(call: Call, emulator: Emulator) -> Response:
    """Answer with the addresses and rules; this endpoint has no route parameters.

    Raises:
        RefusalError: 404 for another element, or for a VM behind no load balancer.
    """
    if call.route:
        raise errors.not_found()
    if call.query.get("format", "json") != "json":
        raise errors.bad_request("The format is not supported: json")
    if emulator.vm.loadbalancer is None or emulator.vm.classic:
        raise errors.RefusalError(
            HTTPStatus.NOT_FOUND,
            "No load balancer metadata is found. Please check if your VM is using any non-basic "
            "SKU load balancer and retry later.",
        )
    return reply(emulator.vm.loadbalancer.body())
