"""Decides on evidence: the core's verification, the caller's demands, the challenge, in this order.

The challenge comes last, so that it is used up by evidence that is good in every other way and
by nothing else: junk costs no challenge and never reaches the database.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from pydantic import ValidationError

from attest import (
    AppraisalPolicy,
    AttestationResult,
    AttestError,
    Code,
    DocumentError,
    TrustStore,
    Verifier,
    cms,
)
from attest.cache import BoundedCache
from attest.certificates import load_certificates
from attest.evidence import decode_evidence
from attest.path import CertificatePath
from attest.policy import appraise, check_cloud, check_freshness
from attest.result import document_to_dict, path_to_list
from attest.times import rfc3339
from service import metrics
from service.challenges import ChallengeStore
from service.errors import ChallengeError, ProblemError, ProblemType, UnavailableError
from service.schemas import Demands, VerifyRequest
from service.settings import Settings
from service.trust import load_crls

_LEEWAY = timedelta(seconds=1)  # documents' times are whole seconds


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on one document.

    Attributes:
        status: the HTTP status that says so: 200, or 400, 422 or 503.
        body: the attestation result, as JSON; empty where there is none.
        code: why the document is refused, ``None`` where it is verified.
        step: the step that refused it.
        detail: one line for a person.
        log: members of the log line.
    """

    status: int
    body: str = ""
    code: str | None = None
    step: int | None = None
    detail: str = ""
    log: dict[str, object] = field(default_factory=dict)

    def outcome(self) -> str:
        """Return the decision as JSON, as an item of a batch has it."""
        if self.code is None:
            return self.body
        values = {
            "verified": False,
            "status": self.status,
            "code": self.code,
            "step": self.step,
            "detail": self.detail,
        }
        if self.step is None:
            del values["step"]
        return encode(values)

    def raise_if_refused(self) -> None:
        """Raise what a single request is answered with.

        Raises:
            ProblemError: the document is not verified.
        """
        if self.code is not None:
            raise ProblemError(_PROBLEMS[self.status], self.detail, self.code, self.step)


_PROBLEMS = {
    400: ProblemType.MALFORMED_REQUEST,
    422: ProblemType.EVIDENCE_REJECTED,
    503: ProblemType.UNAVAILABLE,
}
encode = json.JSONEncoder(separators=(",", ":")).encode


class Decider:
    """Decides on evidence by the server's policy."""

    def __init__(
        self,
        settings: Settings,
        store: TrustStore,
        challenges: ChallengeStore,
        clock: Callable[[], datetime],
    ) -> None:
        """Prepare decisions.

        Args:
            settings: the policy, and whether a challenge is required.
            store: whom to trust.
            challenges: where challenges are used up.
            clock: tells the time, aware.
        """
        self._verifier = Verifier(store, settings.policy())
        self._challenges = challenges
        self._clock = clock
        self._skew = timedelta(seconds=settings.skew)
        self._crls = None if settings.crls is None else load_crls(settings.crls)
        self._allow_caller_nonce = settings.allow_caller_nonce
        self._test_trust = ',"test_trust":true' if settings.test_trust else ""

    def decide(self, request: VerifyRequest) -> Decision:
        """Decide on one document; count and describe what was decided."""
        started = time.perf_counter()
        evidence_sha256 = hashlib.sha256(request.signature.encode()).hexdigest()
        log: dict[str, object] = {"evidence_sha256": evidence_sha256}
        try:
            decision = self._verify(request, log)
        except (AttestError, ChallengeError) as error:
            code = str(error.code)
            log |= {"result": "rejected", "code": code, "step": error.step, "detail": error.detail}
            decision = Decision(422, "", code, error.step, error.detail, log)
        except UnavailableError:
            metrics.DATABASE_ERRORS.inc()
            log |= {"result": "undecided", "code": "unavailable"}
            detail = "the database does not answer; nothing was verified"
            decision = Decision(503, "", "unavailable", None, detail, log)
        except ProblemError as error:
            return Decision(400, "", error.problem.kind, None, error.detail, log)
        seconds = time.perf_counter() - started
        metrics.count_decision(decision.code, seconds)
        log["microseconds"] = int(seconds * 1e6)
        return decision

    def decide_on(self, values: object) -> Decision:
        """Decide on a request, or an item of a batch, which may be anything."""
        if isinstance(values, dict) and not isinstance(values.get("signature"), str):
            # Not a document but, say, an error that IMDS answered with: the core's to refuse.
            return self._refuse_malformed(values)
        try:
            request = VerifyRequest.model_validate(values)
        except ValidationError as error:
            return Decision(400, "", ProblemType.MALFORMED_REQUEST.kind, None, why_invalid(error))
        return self.decide(request)

    def _refuse_malformed(self, values: dict[str, object]) -> Decision:
        try:
            decode_evidence({**values, "signature": None})
        except AttestError as error:
            code = str(error.code)
            log = {"result": "rejected", "code": code, "step": error.step, "detail": error.detail}
            metrics.count_decision(code, 0.0)
            return Decision(422, "", code, error.step, error.detail, log)
        raise AssertionError("evidence without a signature was decoded")

    def _verify(self, request: VerifyRequest, log: dict[str, object]) -> Decision:
        at = self._clock()
        evidence = {"encoding": request.encoding, "signature": request.signature}
        intermediates = parse_certificates(request.intermediates)
        result = self._verifier.verify(
            evidence,
            at=at,
            nonce=request.nonce,
            intermediates=intermediates,
            crls=self._crls,
        )
        _describe(result, log)
        if request.demands is not None:
            check_demands(result, request.demands, self._skew)
        freshness = "time"
        if request.nonce is not None:
            freshness = "challenge"
            self._use_challenge(request.nonce, result, evidence, log)
        log |= {"result": "verified", "code": None, "freshness": freshness}
        return Decision(200, self._render(result, freshness), log=log)

    def _use_challenge(
        self,
        nonce: str,
        result: AttestationResult,
        evidence: dict[str, str],
        log: dict[str, object],
    ) -> None:
        content = cms.parse_signed_data(decode_evidence(evidence)).content
        content_sha256 = hashlib.sha256(content).hexdigest()
        log["content_sha256"] = content_sha256
        last = result.document.expires_on or result.path.not_after
        self._challenges.use(
            nonce,
            content_sha256,
            at=result.verified_at,
            keep_until=last + self._skew + _LEEWAY,
            allow_caller_nonce=self._allow_caller_nonce,
        )
        metrics.CHALLENGES_USED.inc()

    def _render(self, result: AttestationResult, freshness: str) -> str:
        """Write the result as JSON; of a path, which thousands of documents share, once."""
        head = encode(
            {
                "verified": True,
                "cloud": str(result.cloud),
                "region": result.region,
                "document": document_to_dict(result.document),
                "verified_at": rfc3339(result.verified_at),
                "valid_until": rfc3339(result.valid_until),
                "freshness": freshness,
            }
        )
        return f"{head[:-1]},{_rendered(result.path).json}{self._test_trust}}}"


@dataclass(frozen=True, slots=True)
class _RenderedPath:
    """A path as JSON.  It holds the path, so that no other one gets the same id."""

    path: CertificatePath
    signer_sha256: object
    json: str


_RENDERED: BoundedCache[int, _RenderedPath] = BoundedCache(1024)


def _rendered(path: CertificatePath) -> _RenderedPath:
    # By identity: to hash a path is to hash its certificates, which takes longer than the rest.
    known = _RENDERED.get(id(path))
    if known is not None and known.path is path:
        return known
    chain = path_to_list(path)
    signer = {name: value for name, value in chain[0].items() if name != "origin"}
    text = f'"signer":{encode(signer)},"chain":{encode(chain)}'
    rendered = _RenderedPath(path, signer["sha256"], text)
    _RENDERED.put(id(path), rendered)
    return rendered


def _describe(result: AttestationResult, log: dict[str, object]) -> None:
    log["vm_id"] = str(result.document.vm_id)
    log["subscription_id"] = result.document.subscription_id
    log["signer_sha256"] = _rendered(result.path).signer_sha256


def check_demands(result: AttestationResult, demands: Demands, skew: timedelta) -> None:
    """Refuse a verified document that does not meet the caller's own demands.

    Raises:
        AttestError: with the code that the server's policy would give.
    """
    plans = demands.plans
    policy = AppraisalPolicy(
        clouds=AppraisalPolicy().clouds if demands.clouds is None else demands.clouds,
        max_age=None if demands.max_age is None else timedelta(seconds=demands.max_age),
        skew=skew,
        subscriptions=demands.subscriptions,
        vms=demands.vms,
        plans=None if plans is None else [plan.to_plan() for plan in plans],
        skus=demands.skus,
        license_types=demands.license_types,
        regions=demands.regions,
    )
    if demands.clouds is not None:
        check_cloud(result.cloud, policy)
    if demands.max_age is not None and result.document.created_on is None:
        raise DocumentError(Code.DOCUMENT_FIELD_MISSING, "there is no timeStamp to tell the age")
    check_freshness(result.document, policy, result.verified_at, None)
    appraise(result.document, result.region, policy)


def parse_certificates(pems: Iterable[str]) -> list[x509.Certificate]:
    """Parse the certificates of a request.

    Raises:
        ProblemError: a text holds none, or a damaged one.
    """
    found: list[x509.Certificate] = []
    for pem in pems:
        try:
            certificates = load_certificates(pem.encode("ascii")) if "-----BEGIN" in pem else []
        except ValueError:
            certificates = []
        if not certificates:
            msg = "a certificate is not PEM (RFC 7468), or is damaged"
            raise ProblemError(ProblemType.MALFORMED_REQUEST, msg)
        found += certificates
    return found


def why_invalid(error: ValidationError) -> str:
    """Say in one line what is wrong with a request, without repeating its values."""
    items = error.errors(include_url=False, include_input=False, include_context=False)
    told = [f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in items[:5]]
    return "; ".join(told).encode("ascii", "replace").decode()[:500]
