"""Decides on evidence: the core's verification, the caller's demands, the challenge, in this order.

The challenge comes last, so that it is used up by evidence that is good in every other way and
by nothing else: junk costs no challenge and never reaches the database.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from cryptography import x509
from pydantic import ValidationError

from attest import (
    AppraisalPolicy,
    AttestationResult,
    AttestError,
    Code,
    DocumentError,
    IssuerUnknownError,
    TrustStore,
    Verifier,
    cms,
)
from attest.certificates import load_certificates
from attest.evidence import decode_evidence
from attest.policy import appraise, check_cloud, check_freshness
from service import metrics
from service.challenges import ChallengeStore
from service.encoding import encode
from service.errors import ChallengeError, ProblemError, ProblemType, UnavailableError
from service.rendering import Verified, render_path
from service.schemas import Demands, VerifyRequest
from service.settings import Settings
from service.sources import Sources

_LEEWAY = timedelta(seconds=1)  # documents' times are whole seconds
_HASHED_AT_ONCE = 2047  # octets


class Decision(NamedTuple):
    """What was decided on one document.

    Attributes:
        status: the HTTP status that says so: 200, or 400, 422 or 503.
        code: why the document is refused, ``None`` where it is verified.
        step: the step that refused it.
        detail: one line for a person.
        log: members of the log line.
        verified: the verified document, where it is.
    """

    status: int
    code: str | None = None
    step: int | None = None
    detail: str = ""
    log: Mapping[str, object] = MappingProxyType({})
    verified: Verified | None = None

    def outcome(self) -> bytes:
        """Return the decision as JSON: the result, or how an item of a batch says no."""
        if self.verified is not None:
            return self.verified.encode()
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
        if self.verified is None:
            raise ProblemError(_PROBLEMS[self.status], self.detail, self.code, self.step)


class _Asked(NamedTuple):
    """A request that is valid by :class:`service.schemas.VerifyRequest`."""

    signature: str
    encoding: str = "pkcs7"
    nonce: str | None = None
    intermediates: Sequence[str] = ()
    demands: Demands | None = None


_IMDS = {"encoding", "signature"}
_PROBLEMS = {
    400: ProblemType.MALFORMED_REQUEST,
    422: ProblemType.EVIDENCE_REJECTED,
    503: ProblemType.UNAVAILABLE,
}


class Decider:
    """Decides on evidence by the server's policy."""

    def __init__(
        self,
        settings: Settings,
        store: TrustStore,
        challenges: ChallengeStore,
        clock: Callable[[], datetime],
        sources: Sources,
    ) -> None:
        """Prepare decisions.

        Args:
            settings: the policy, and whether a challenge is required.
            store: whom to trust.
            challenges: where challenges are used up.
            clock: tells the time, aware.
            sources: where missing issuers and CRLs come from.
        """
        self._verifier = Verifier(store, settings.policy(), issuers=sources.issuers)
        self._challenges = challenges
        self._clock = clock
        self._skew = timedelta(seconds=settings.skew)
        self._crls = sources.crls
        self._quarantine = sources.quarantine
        self._allow_caller_nonce = settings.allow_caller_nonce
        self._test_trust = settings.test_trust is not None

    def decide_all(self, items: Iterable[object]) -> list[Decision]:
        """Decide on the items of a batch, each of which may be anything, in order."""
        # Step by step, not item by item: the processor's caches hold one step's code, not all.
        read = [self._read(item) for item in items]
        return [item if isinstance(item, Decision) else self._decide(item) for item in read]

    def _read(self, values: object) -> _Asked | Decision:
        if isinstance(values, dict) and not isinstance(values.get("signature"), str):
            # Not a document but, say, an error that IMDS answered with: the core's to refuse.
            return self._refuse_malformed(values)
        if isinstance(values, dict) and values.keys() == _IMDS and values["encoding"] == "pkcs7":
            return _Asked(values["signature"])  # just what IMDS writes leaves nothing to validate
        try:
            request = VerifyRequest.model_validate(values)
        except ValidationError as error:
            kind = ProblemType.MALFORMED_REQUEST.kind
            return Decision(400, kind, detail=why_invalid(error))
        return _Asked(
            request.signature,
            request.encoding,
            request.nonce,
            request.intermediates,
            request.demands,
        )

    def _decide(self, request: _Asked) -> Decision:
        """Decide on one document, and describe what was decided."""
        started = time.perf_counter()
        evidence_sha256 = _sha256(request.signature.encode())
        log: dict[str, object] = {"evidence_sha256": evidence_sha256}
        try:
            decision = self._verify(request, log)
        except (AttestError, ChallengeError) as error:
            if isinstance(error, IssuerUnknownError):
                self._quarantine.record(error, request.signature)
            code = str(error.code)
            log |= {"result": "rejected", "code": code, "step": error.step, "detail": error.detail}
            decision = Decision(422, code, error.step, error.detail, log)
        except UnavailableError:
            metrics.DATABASE_ERRORS.inc()
            log |= {"result": "undecided", "code": "unavailable"}
            detail = "the database does not answer; nothing was verified"
            decision = Decision(503, "unavailable", None, detail, log)
        except ProblemError as error:
            return Decision(400, error.problem.kind, None, error.detail, log)
        log["microseconds"] = int((time.perf_counter() - started) * 1e6)
        return decision

    def _refuse_malformed(self, values: dict[str, object]) -> Decision:
        try:
            decode_evidence({**values, "signature": None})
        except AttestError as error:
            code = str(error.code)
            log = {"result": "rejected", "code": code, "step": error.step, "detail": error.detail}
            return Decision(422, code, error.step, error.detail, log)
        raise AssertionError("evidence without a signature was decoded")

    def _verify(self, request: _Asked, log: dict[str, object]) -> Decision:
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
        log["vm_id"] = result.document.vm_id
        log["subscription_id"] = result.document.subscription_id
        log["signer_sha256"] = render_path(result.path).signer_sha256
        if request.demands is not None:
            check_demands(result, request.demands, self._skew)
        freshness = "time"
        if request.nonce is not None:
            freshness = "challenge"
            self._use_challenge(request.nonce, result, evidence, log)
        log["result"], log["code"], log["freshness"] = "verified", None, freshness
        return Decision(200, log=log, verified=Verified(result, freshness, self._test_trust))

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


def _sha256(data: bytes) -> str:
    digest = hashlib.sha256()
    # At more octets than these at once hashlib hands the interpreter to another thread, and the
    # way back costs more than the hash.
    for start in range(0, len(data), _HASHED_AT_ONCE):
        digest.update(data[start : start + _HASHED_AT_ONCE])
    return digest.hexdigest()


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
