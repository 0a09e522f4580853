"""The endpoints for operators: health, readiness, metrics and the trust store."""

from __future__ import annotations

from flask import Response, jsonify

from attest import Cloud
from attest.certificates import describe
from attest.result import certificate_to_dict
from service import metrics, migrate
from service.endpoint import Endpoint
from service.errors import UnavailableError
from service.keys import Scope
from service.schemas import Health, Readiness, TrustResponse
from service.state import Service
from service.trust import expired_clouds
from service.trust_metrics import NewestEvidenceCollector, QuarantineCollector


class OperatorApi:
    """The views, with the parts that they need."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._head = migrate.head()

    def healthz(self) -> Response:
        """``GET /healthz``: the process answers."""
        return jsonify(status="alive")

    def readyz(self) -> Response:
        """``GET /readyz``: whether a load balancer should send requests here."""
        checks = {"database": self._check_database(), "trust_store": self._check_trust()}
        ready = all(ok for ok, _ in checks.values())
        response = jsonify(
            ready=ready,
            checks={name: {"ok": ok, "detail": detail} for name, (ok, detail) in checks.items()},
            test_trust=self._service.settings.test_trust is not None,
        )
        response.status_code = 200 if ready else 503
        return response

    def metrics(self) -> Response:
        """``GET /metrics``: Prometheus's text format."""
        store = self._service.store
        text = metrics.render(
            metrics.TrustCollector(store),
            NewestEvidenceCollector(store, self._service.clock),
            QuarantineCollector(self._service.sources.quarantine.count_pending),
        )
        return Response(text, content_type=metrics.CONTENT_TYPE)

    def trust(self) -> Response:
        """``GET /v1/trust``: every certificate that counts, per cloud."""
        at, store = self._service.clock(), self._service.store
        clouds = {}
        for cloud in Cloud:
            members = [("anchor", c) for c in store.anchors_for(cloud)]
            members += [("intermediate", c) for c in store.intermediates_for(cloud)]
            clouds[str(cloud)] = [
                {
                    "role": role,
                    **certificate_to_dict(describe(certificate)),
                    "days_left": (certificate.not_valid_after_utc - at).days,
                }
                for role, certificate in members
            ]
        return jsonify(
            generation=store.generation,
            test_trust=self._service.settings.test_trust is not None,
            clouds=clouds,
        )

    def _check_database(self) -> tuple[bool, str]:
        try:
            revision = migrate.current(self._service.database)
        except UnavailableError:
            return False, "the database does not answer"
        if revision != self._head:
            return False, f"the schema is {revision}, not {self._head}: run attest db upgrade"
        return True, f"schema {revision}"

    def _check_trust(self) -> tuple[bool, str]:
        clouds = self._service.settings.clouds
        expired = expired_clouds(self._service.store, clouds, self._service.clock())
        if expired:
            return False, f"no anchor is valid for {', '.join(expired)}"
        shown = f"generation {self._service.store.generation[:16]}"
        if self._service.trust.problem is not None:
            shown += "; the trust folders cannot be used as they are now, the log says why"
        return True, shown

    def endpoints(self) -> list[Endpoint]:
        """Declare them."""
        return [
            Endpoint(
                name="healthz",
                method="GET",
                path="/healthz",
                summary="Tell that the process answers.",
                view=self.healthz,
                response=Health,
            ),
            Endpoint(
                name="readyz",
                method="GET",
                path="/readyz",
                summary="Tell whether requests should be sent here: 503 when not.",
                view=self.readyz,
                response=Readiness,
                also=(503,),
            ),
            Endpoint(
                name="metrics",
                method="GET",
                path="/metrics",
                summary="Metrics for Prometheus, of all workers together.",
                view=self.metrics,
                response="text/plain",
                scope=Scope.ADMIN,
            ),
            Endpoint(
                name="trust",
                method="GET",
                path="/v1/trust",
                summary="List anchors and intermediates with their expiry.",
                view=self.trust,
                response=TrustResponse,
                scope=Scope.VERIFY,
            ),
        ]
