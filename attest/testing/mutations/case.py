"""What a mutation is, and what the functions that make one work with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Unpack

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from attest.errors import Code
from attest.policy import AppraisalPolicy
from attest.result import AttestationResult
from attest.testing import encoder
from attest.testing.authority import FakeAuthority, sid_of
from attest.testing.document import DocumentFields, FakeDocument
from attest.testing.evidence import FakeSigner, SignedEvidence, imds_json
from attest.testing.keys import new_rsa_key
from attest.trust import TrustStore
from attest.verifier import Verifier

Demand = Literal["nonce", "crls", "policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MutatedEvidence:
    """Faulty evidence, and the arguments with which a verifier must refuse it.

    Attributes:
        evidence: the text that IMDS would answer with.
        at: the time of verification.
        trust: the authority's trust store.
        policy: the appraisal policy; the fault's, where the fault lies in what it refuses.
        nonce: the nonce that the relying party sent.
        crls: the CRLs to consult; ``None`` where revocation is not checked.
    """

    evidence: str
    at: datetime
    trust: TrustStore
    policy: AppraisalPolicy
    nonce: str | None = None
    crls: tuple[x509.CertificateRevocationList, ...] | None = None

    def verify(self) -> AttestationResult:
        """Verify with this package's own verifier.

        Raises:
            AttestError: always, with the mutation's code, or the verifier is broken.
        """
        verifier = Verifier(self.trust, self.policy)
        return verifier.verify(self.evidence, at=self.at, nonce=self.nonce, crls=self.crls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forged:
    """What a fault's function gives; what it leaves out is as in a good verification.

    Attributes:
        der: the CMS octets, or
        text: the whole answer of IMDS.
        nonce: the expected nonce.
        crls: the CRLs.
        policy: the appraisal policy.
    """

    der: bytes = b""
    text: str | None = None
    nonce: str | None = None
    crls: Iterable[x509.CertificateRevocationList] | None = None
    policy: AppraisalPolicy | None = None


class Forge:
    """The tools of a fault's function: one authority and the fields of the document.

    Attributes:
        authority: the authority that the verifier trusts.
        fields: the document's fields, as the caller asked for them.
    """

    def __init__(self, authority: FakeAuthority, fields: DocumentFields) -> None:
        self.authority = authority
        self.fields = fields

    def document(self, **fields: Unpack[DocumentFields]) -> FakeDocument:
        """Return the document, times set, with some fields replaced."""
        merged: DocumentFields = {**self.fields, **fields}
        return FakeDocument(**merged).at(self.authority.now())

    def content(self, **fields: Unpack[DocumentFields]) -> bytes:
        """Return the document's JSON, with some fields replaced."""
        return self.document(**fields).to_json()

    def sign(
        self,
        *,
        signer: FakeSigner | None = None,
        content: bytes | None = None,
        **fields: Unpack[DocumentFields],
    ) -> SignedEvidence:
        """Sign the document, or other octets, faultlessly."""
        document = self.document(**fields)
        return self.authority.sign(document, signer=signer, content=content)

    def rsa_signer(self) -> FakeSigner:
        """Return the default signer, or one with an RSA key where that has another."""
        signer = self.authority.default_signer
        if self.authority.shape == "ecdsa":
            return self.authority.issue_signer(key=spare_rsa_key())
        return signer

    def twin(self) -> FakeAuthority:
        """Return an authority with the same names and other keys, which nobody trusts."""
        return _twin(self.authority)

    def info(
        self,
        content: bytes,
        signer: FakeSigner | None = None,
        *,
        attributes: list[bytes] | None = None,
        named: tuple[bytes, bytes] | None = None,
        signature: bytes | None = None,
    ) -> bytes:
        """Encode a SignerInfo of a signer, by default the authority's."""
        signer = self.authority.default_signer if signer is None else signer
        return encoder.signer_info(
            content,
            sid_of(signer),
            signer.key,
            attributes=attributes,
            named=named,
            signature=signature,
        )

    def wrap(
        self, content: bytes | None, infos: list[bytes], signer: FakeSigner | None = None
    ) -> bytes:
        """Encode a SignedData around SignerInfos, with a signer's certificate."""
        signer = self.authority.default_signer if signer is None else signer
        return encoder.signed_data(content, [signer.der], infos)


Fault = Callable[[Forge], Forged | bytes]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One way in which evidence can be wrong.

    Attributes:
        name: a stable name, in snake_case.
        what: what is wrong, in one sentence.
        code: the code with which the verifier must refuse it.
        demands: what a relying party must hand its verifier, besides trust and time, for the
            fault to show: ``nonce``, ``crls`` or ``policy``.  Where it is empty, every
            verifier must refuse the evidence.
        fault: what makes it; use :meth:`apply`.
    """

    name: str
    what: str
    code: Code
    demands: frozenset[Demand]
    fault: Fault = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def apply(self, authority: FakeAuthority, **fields: Unpack[DocumentFields]) -> MutatedEvidence:
        """Make evidence with this fault, and no other.

        Args:
            authority: the authority whom the relying party trusts; it stays as it is.
            fields: fields of the document; the fault replaces those that it needs.
        """
        forged = self.fault(Forge(authority, fields))
        if isinstance(forged, bytes):
            forged = Forged(der=forged)
        usual = AppraisalPolicy(clouds={authority.cloud})
        return MutatedEvidence(
            evidence=imds_json(forged.der) if forged.text is None else forged.text,
            at=authority.now(),
            trust=authority.trust_store(),
            policy=usual if forged.policy is None else forged.policy,
            nonce=forged.nonce,
            crls=None if forged.crls is None else tuple(forged.crls),
        )


class Catalogue:
    """Collects the mutations of one module, in the order of their definition."""

    def __init__(self) -> None:
        self.mutations: list[Mutation] = []

    def fault(self, code: Code, *demands: Demand) -> Callable[[Fault], Mutation]:
        """Make a mutation of a function: its name, and its docstring as the description."""

        def register(function: Fault) -> Mutation:
            what = " ".join((function.__doc__ or "").split())
            name = getattr(function, "__name__", "")
            mutation = Mutation(name, what, code, frozenset(demands), function)
            self.mutations.append(mutation)
            return mutation

        return register


@functools.cache
def spare_rsa_key(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """Return a key that forgeries share within the process; no authority's own key is one."""
    return new_rsa_key(bits, exponent)


@functools.lru_cache(maxsize=8)
def _twin(authority: FakeAuthority) -> FakeAuthority:
    return FakeAuthority(
        authority.cloud,
        authority.shape,
        now=authority.now,
        region=authority.region,
        base_url=authority.base_url,
        real_names=authority.real_names,
    )
