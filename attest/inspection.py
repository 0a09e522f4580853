"""Runs the steps of the algorithm for show: each that can run does, and tells how it went."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from attest import cms
from attest.certificates import (
    UNREADABLE,
    CertificateInfo,
    common_name,
    describe,
    readable_certificates,
)
from attest.document import AttestedDocument, parse_document
from attest.errors import AttestError
from attest.path import CertificatePath
from attest.result import Inspection, StepOutcome
from attest.revocation import RevocationStatus
from attest.signer import Signer

_T = TypeVar("_T")

TITLES = {
    1: "decode",
    2: "SignedData",
    3: "signer certificate",
    4: "signer name, key, usages",
    5: "signature",
    6: "document",
    7: "freshness",
    8: "path",
    9: "revocation",
    10: "policy",
}
_UNKNOWN = "unknown: some certificate has no CRL, which the policy lets pass"


class StepRunner:
    """Collects the outcomes of the steps of one inspection."""

    def __init__(self) -> None:
        self._outcomes: list[StepOutcome] = []

    def step(
        self, number: int, function: Callable[..., _T], *inputs: object, **settings: object
    ) -> _T | None:
        """Run a step unless an input is ``None``, which is what a failed step gives.

        Returns:
            What the function returns, ``None`` where it failed or did not run.
        """
        if any(value is None for value in inputs):
            self.skip(number, "needs what an earlier step did not give")
            return None
        try:
            value = function(*inputs, **settings)
        except AttestError as error:
            self._add(number, "failed", error.detail, code=str(error.code))
            return None
        self._add(number, "passed", _summary(value))
        return value

    @property
    def all_passed(self) -> bool:
        """Whether every step so far passed."""
        return all(outcome.status == "passed" for outcome in self._outcomes)

    def skip(self, number: int, reason: str) -> None:
        """Record that a step was not run."""
        self._add(number, "skipped", reason)

    def quietly(self, function: Callable[..., _T], *inputs: object) -> _T | None:
        """Run a function that is no step of its own; its failure shows elsewhere."""
        if any(value is None for value in inputs):
            return None
        try:
            return function(*inputs)
        except AttestError:
            return None

    def inspection(
        self, signed_data: cms.SignedData | None, path: CertificatePath | None
    ) -> Inspection:
        """Return the findings."""
        content = None if signed_data is None else signed_data.content
        bag = () if signed_data is None else signed_data.certificates
        return Inspection(
            steps=tuple(self._outcomes),
            unverified_document=self.quietly(parse_document, content),
            certificates=tuple(_describable(bag)),
            path=path,
        )

    def _add(self, number: int, status: str, detail: str, *, code: str | None = None) -> None:
        self._outcomes.append(StepOutcome(number, TITLES[number], status, detail, code))


def _describable(bag: Iterable[bytes]) -> Iterator[CertificateInfo]:
    for certificate in readable_certificates(bag):
        with contextlib.suppress(*UNREADABLE):
            yield describe(certificate)


def _summary(value: object) -> str:
    """Say in a few words what a step gave, for those steps that give something."""
    match value:
        case bytes():
            return f"{len(value)} octets of DER"
        case cms.SignedData():
            count = len(value.certificates)
            kind = "without" if value.signer_info.signed_attrs is None else "with"
            return f"{count} certificate{'s' * (count != 1)}, one SignerInfo {kind} signedAttrs"
        case Signer():
            return f"{value.reference}, cloud {value.cloud}, region {value.region or 'not told'}"
        case AttestedDocument():
            return f"vmId {value.vm_id}"
        case CertificatePath():
            return " <- ".join(common_name(c.subject) for c in value.certificates)
        case _:
            return _UNKNOWN if value is RevocationStatus.UNKNOWN else "good"
