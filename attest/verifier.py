"""The verifier: ten numbered steps, and nothing else.

    1. Decode the evidence: base64 or DER, at most 64 KiB.
    2. Parse the SignedData (RFC 5652): strict DER, one SignerInfo, attached id-data content.
    3. Select the signer certificate by sid.  Every later step uses this one and no other.
    4. The signer's subjectAltName lies under the domain of exactly one cloud, an allowed one;
       its key and usages are fit for signing.
    5. Verify the signature over the content, or over the signed attributes that digest it.
    6. Parse the content as an attested document.
    7. Check freshness: times, and the nonce where one is expected.
    8. Validate the path (RFC 5280 section 6) to an anchor that is pinned for that cloud.
    9. Check revocation on that path, where CRLs are given; fail closed, but for a soft policy.
   10. Appraise by the relying party's policy.  Then, and only then, return the result.

The time is a parameter, and no step reads the environment or opens a connection, but for the
sources that the caller gives: one of issuers, which step 8 asks, once the first seven have passed,
when it finds no path without; and one of CRLs, which step 9 asks about the path that was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from attest import cms
from attest.cache import BoundedCache
from attest.certificates import readable_certificates
from attest.clouds import Cloud
from attest.document import AttestedDocument, parse_document
from attest.evidence import decode_evidence
from attest.inspection import StepRunner
from attest.path import CertificatePath, IssuerSource, Origin, PathValidator
from attest.policy import (
    AppraisalPolicy,
    Revocation,
    appraise,
    check_cloud,
    check_freshness,
    check_timestamps_present,
)
from attest.result import AttestationResult, Inspection
from attest.revocation import CrlSource, RevocationStatus, check_revocation
from attest.signer import Signer, load_certificate, read_signer, verification_key
from attest.times import in_utc
from attest.trust import TrustStore

Evidence = str | bytes | Mapping[str, object]
Crls = Iterable[x509.CertificateRevocationList] | CrlSource

DEFAULT_CACHE_SIZE = 1024


@dataclass(frozen=True, slots=True)
class _TrustedSigner:
    der: bytes
    signer: Signer
    path: CertificatePath


class Verifier:
    """Verifies evidence against one trust store and one appraisal policy.

    Immutable but for a bounded cache of signer certificates whose path was found valid, and safe
    to share among threads.  The cache holds no verdict on any document, only that a certificate
    is a cloud's signer and between which times its path is valid.
    """

    def __init__(
        self,
        store: TrustStore,
        policy: AppraisalPolicy | None = None,
        *,
        issuers: IssuerSource | None = None,
        cache_size: int = DEFAULT_CACHE_SIZE,
    ) -> None:
        """Prepare a verifier.

        Args:
            store: whom to trust.
            policy: what to demand; by default every cloud but Germany's, and nothing else.
            issuers: where step 8 looks for a CA certificate that is missing, ``None`` for
                nowhere.  What it finds is no more trusted than what comes with the evidence.
            cache_size: how many signer certificates are remembered, at least 1; each takes
                some 20 KiB, and all of Azure uses a few hundred at a time.

        Raises:
            ValueError: the cache size is less than 1.
        """
        self._store = store
        self._policy = AppraisalPolicy() if policy is None else policy
        self._issuers = issuers
        self._validators = {
            cloud: PathValidator(
                store.anchors_for(cloud), store.intermediates_for(cloud), store.operators_for(cloud)
            )
            for cloud in Cloud
        }
        self._trusted = BoundedCache[cms.Sid, _TrustedSigner](cache_size)

    @property
    def store(self) -> TrustStore:
        """The trust store."""
        return self._store

    @property
    def policy(self) -> AppraisalPolicy:
        """The appraisal policy."""
        return self._policy

    def verify(
        self,
        evidence: Evidence,
        *,
        at: datetime,
        nonce: str | None = None,
        intermediates: Iterable[x509.Certificate] = (),
        crls: Crls | None = None,
    ) -> AttestationResult:
        """Verify evidence.  Verified data comes only out of this method.

        Args:
            evidence: base64 or IMDS JSON text, DER, or the parsed IMDS JSON.
            at: the time for which to verify, aware.
            nonce: the nonce that the VM was given, ``None`` where it was given none.
            intermediates: CA certificates that may link the signer to an anchor; not trusted.
            crls: CRLs to consult, ``None`` for none; where a collection is given, even an empty
                one, every certificate below the anchor needs a CRL in it, unless the policy is
                soft.  A :class:`attest.CrlSet` remembers its verdicts from call to call; other
                sources may open connections, and are asked only about a path that is valid.

        Returns:
            The attestation result.

        Raises:
            AttestError: the evidence is refused; code, step and detail say why.
            TypeError: the evidence is neither str, bytes nor a mapping.
            ValueError: ``at`` is not aware.
        """
        at = in_utc(at)
        # 1. Decode.
        der = decode_evidence(evidence)
        # 2. Parse the SignedData.
        signed_data = cms.parse_signed_data(der)
        # 3. Select the signer certificate by sid.
        known = self._seen_before(signed_data)
        signer_der = cms.select_signer(signed_data) if known is None else known.der
        # 4. Name, key and usages: facts about the certificate, known if it was seen before.
        signer = self._identify(signer_der) if known is None else known.signer
        # 5. Verify the signature.
        cms.verify_signature(signed_data, signer.key)
        # 6. Parse the document.
        document = self._read_document(signed_data, nonce)
        # 7. Check freshness.
        check_freshness(document, self._policy, at, nonce)
        # 8. Validate the path, unless it was valid before and no date has passed since.
        if known is not None and known.path.covers(at):
            path = known.path
        else:
            path = self._validate_path(signer, signed_data, at, intermediates, self._issuers)
            self._trusted.put(signed_data.sid, _TrustedSigner(signer_der, signer, path))
        # 9. Check revocation.
        revocation = RevocationStatus.UNCHECKED
        if crls is not None:
            revocation = check_revocation(path, crls, at, self._policy.revocation)
        # 10. Appraise.
        self._appraise(document, signer)
        return AttestationResult(
            cloud=signer.cloud,
            region=signer.region,
            document=document,
            path=path,
            verified_at=at,
            valid_until=min(document.expires_on or path.not_after, path.not_after),
            revocation=revocation,
        )

    def inspect(
        self,
        evidence: Evidence,
        *,
        at: datetime,
        nonce: str | None = None,
        intermediates: Iterable[x509.Certificate] = (),
        crls: Crls | None = None,
    ) -> Inspection:
        """Run every step that can run and tell how each went; never a verdict.

        Takes the arguments of :meth:`verify`, uses no cache, and raises nothing for bad
        evidence: a step that needs what a failed one did not give is skipped.  Step 8 asks the
        source of issuers, where there is one, only when the seven before it passed.

        Raises:
            TypeError: the evidence is neither str, bytes nor a mapping.
            ValueError: ``at`` is not aware.
        """
        at = in_utc(at)
        run = StepRunner()
        der = run.step(1, decode_evidence, evidence)
        signed_data = run.step(2, cms.parse_signed_data, der)
        signer_der = run.step(3, cms.select_signer, signed_data)
        signer = run.step(4, self._identify, signer_der)
        # A signer of the wrong name may still have made a good signature: tell so.
        key = run.quietly(verification_key, run.quietly(load_certificate, signer_der))
        run.step(5, cms.verify_signature, signed_data, key)
        document = run.step(6, self._read_document, signed_data, nonce=nonce)
        run.step(7, check_freshness, document, policy=self._policy, at=at, nonce=nonce)
        path = run.step(
            8,
            self._validate_path,
            signer,
            signed_data,
            at=at,
            intermediates=intermediates,
            issuers=self._issuers if run.all_passed else None,
        )
        if crls is None:
            run.skip(9, "no CRL is given")
        elif self._policy.revocation is Revocation.OFF:
            run.skip(9, "the policy does not ask for it")
        else:
            run.step(9, check_revocation, path, crls, at=at, revocation=self._policy.revocation)
        run.step(10, self._appraise, document, signer)
        return run.inspection(signed_data, path)

    def _seen_before(self, signed_data: cms.SignedData) -> _TrustedSigner | None:
        # Only where the bag holds exactly that certificate is there nothing left to select.
        known = self._trusted.get(signed_data.sid)
        return known if known is not None and signed_data.certificates == (known.der,) else None

    def _identify(self, signer_der: bytes) -> Signer:
        signer = read_signer(load_certificate(signer_der))
        check_cloud(signer.cloud, self._policy)
        return signer

    def _read_document(self, signed_data: cms.SignedData, nonce: str | None) -> AttestedDocument:
        document = parse_document(signed_data.content)
        check_timestamps_present(document, self._policy, nonce)
        return document

    def _validate_path(
        self,
        signer: Signer,
        signed_data: cms.SignedData,
        at: datetime,
        intermediates: Iterable[x509.Certificate],
        issuers: IssuerSource | None,
    ) -> CertificatePath:
        candidates = dict.fromkeys(intermediates, Origin.OPERATOR)
        for certificate in readable_certificates(signed_data.certificates):
            candidates.setdefault(certificate, Origin.EVIDENCE)
        validator = self._validators[signer.cloud]
        return validator.validate(signer.certificate, signer.reference, at, candidates, issuers)

    def _appraise(self, document: AttestedDocument, signer: Signer) -> None:
        appraise(document, signer.region, self._policy)
