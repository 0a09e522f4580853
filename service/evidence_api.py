"""The endpoints that decide: challenges, verify, batch and chain."""

from __future__ import annotations

import time
from collections.abc import Iterable

from flask import Response, request

from attest import AttestError, check_chain
from attest.times import rfc3339
from service import metrics
from service.access import KEY
from service.decisions import Decision, parse_certificates
from service.encoding import encode
from service.endpoint import Endpoint, json_response, read_body, read_object
from service.errors import ProblemError, ProblemType
from service.frame import ROUTE, TRACE
from service.keys import Scope
from service.schemas import (
    BatchRequest,
    BatchResponse,
    ChainRequest,
    ChainResponse,
    Challenge,
    Result,
    VerifyRequest,
)
from service.state import Service

MALFORMED = ProblemType.MALFORMED_REQUEST.status
_BODY_PROBLEMS = (
    ProblemType.MALFORMED_REQUEST,
    ProblemType.BODY_TOO_LARGE,
    ProblemType.UNSUPPORTED_MEDIA_TYPE,
)


class EvidenceApi:
    """The views, with the parts that they need."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def new_challenge(self) -> Response:
        """``POST /v1/challenges``."""
        challenge = self._service.challenges.issue(self._service.clock())
        metrics.CHALLENGES_ISSUED.inc()
        body = {"nonce": challenge.nonce, "expires_at": rfc3339(challenge.expires_at)}
        return json_response(encode(body), 201)

    def verify(self) -> Response:
        """``POST /v1/verify``: 200 only when verified."""
        (decision,) = self._decide([read_object()])
        decision.raise_if_refused()
        return json_response(decision.outcome())

    def verify_batch(self) -> Response:
        """``POST /v1/verify/batch``: one outcome for each item, in order."""
        body = read_object()
        items = body.get("items")
        if not isinstance(items, list) or body.keys() != {"items"}:
            raise ProblemError(ProblemType.MALFORMED_REQUEST, "the body needs a list, items, alone")
        limit = self._service.settings.max_batch_items
        if len(items) > limit:
            msg = f"{len(items)} items; the limit is {limit}"
            raise ProblemError(ProblemType.BODY_TOO_LARGE, msg)
        decisions = self._decide(items)
        outcomes = b",".join([decision.outcome() for decision in decisions])
        return json_response(b'{"outcomes":[%b]}' % outcomes)

    def chain(self) -> Response:
        """``POST /v1/chain``: validate the path of a certificate."""
        body = read_body(ChainRequest)
        certificate, *bystanders = parse_certificates([body.certificate])
        untrusted = parse_certificates(body.untrusted)
        try:
            result = check_chain(
                self._service.store,
                certificate,
                at=body.at or self._service.clock(),
                name=body.name,
                cloud=body.cloud,
                untrusted=[*bystanders, *untrusted],
                crls=self._service.sources.crls,
                revocation=self._service.settings.effective_revocation,
            )
        except AttestError as error:
            problem = ProblemType.CHAIN_REJECTED
            raise ProblemError(problem, error.detail, str(error.code), error.step) from None
        test = {"test_trust": True} if self._service.settings.test_trust else {}
        return json_response(encode(result.to_dict() | test))

    def _decide(self, items: Iterable[object]) -> list[Decision]:
        """Decide on the documents of a request; count and log the decisions."""
        environ = request.environ
        started = time.perf_counter()
        decisions = self._service.decider.decide_all(items)
        seconds = time.perf_counter() - started
        codes: dict[str, int] = {}
        for decision in decisions:
            if decision.status != MALFORMED:
                code = decision.code or "verified"
                codes[code] = codes.get(code, 0) + 1
        metrics.count_decisions(codes, environ[ROUTE], seconds)
        trace, key = environ[TRACE], environ.get(KEY)
        common = {
            "request_id": trace.request_id,
            "trace_id": trace.trace_id,
            "span_id": trace.span_id,
            "key": key.name if key else None,
        }
        self._service.decisions.write([d.log for d in decisions if d.log], common)
        return decisions

    def endpoints(self) -> list[Endpoint]:
        """Declare them."""
        settings = self._service.settings
        rejected = ProblemType.EVIDENCE_REJECTED
        return [
            Endpoint(
                name="new_challenge",
                method="POST",
                path="/v1/challenges",
                summary="Issue a challenge: a nonce that is good for one verification.",
                view=self.new_challenge,
                response=Challenge,
                scope=Scope.CHALLENGE,
                status=201,
                max_body=settings.max_body,
            ),
            Endpoint(
                name="verify",
                method="POST",
                path="/v1/verify",
                summary="Verify an attested document: 200 means verified, and nothing else does.",
                view=self.verify,
                response=Result,
                scope=Scope.VERIFY,
                request=VerifyRequest,
                problems=(*_BODY_PROBLEMS, rejected),
                max_body=settings.max_body,
            ),
            Endpoint(
                name="verify_batch",
                method="POST",
                path="/v1/verify/batch",
                summary="Verify up to 1,000 documents; each outcome says for itself whether.",
                view=self.verify_batch,
                response=BatchResponse,
                scope=Scope.VERIFY,
                request=BatchRequest,
                problems=_BODY_PROBLEMS,
                max_body=settings.max_batch_body,
            ),
            Endpoint(
                name="chain",
                method="POST",
                path="/v1/chain",
                summary="Validate the path of a certificate to a pinned anchor.",
                view=self.chain,
                response=ChainResponse,
                scope=Scope.VERIFY,
                request=ChainRequest,
                problems=(*_BODY_PROBLEMS, ProblemType.CHAIN_REJECTED),
                max_body=settings.max_body,
            ),
        ]
