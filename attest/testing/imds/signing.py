"""How the fake endpoint has its documents signed: by a :class:`FakeAuthority`, or by a mutation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from attest.document import Plan
from attest.testing.authority import FakeAuthority
from attest.testing.document import DocumentFields
from attest.testing.mutations import MUTATIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a document says.

    Attributes:
        fields: the JSON keys and values that describe the VM.
        omitted: JSON keys that the api-version does not have yet.
        nonce: what the request gave; ``None`` for IMDS's own.
    """

    fields: Mapping[str, object]
    omitted: frozenset[str]
    nonce: str | None

    def document(self, now: datetime) -> DocumentFields:
        """Return the fields of the document, created at a time."""
        texts = {key: str(value) for key, value in self.fields.items() if key != "plan"}
        plan = cast("Mapping[str, str]", self.fields["plan"])
        return DocumentFields(
            vm_id=texts["vmId"],
            subscription_id=texts["subscriptionId"],
            sku=texts["sku"],
            license_type=texts["licenseType"],
            plan=Plan(**plan),
            nonce=self.nonce,
            created_on=now,
            omit=self.omitted,
        )


def fault_names() -> tuple[str, ...]:
    """Return the names of the mutations, in the catalogue's order."""
    return tuple(mutation.name for mutation in MUTATIONS)


def check_fault(name: str | None) -> None:
    """Refuse a name that is not in the catalogue of mutations.

    Raises:
        ValueError: it is not.
    """
    if name is not None and name not in fault_names():
        msg = f"there is no mutation {name!r}"
        raise ValueError(msg)


def sign(authority: FakeAuthority, facts: Facts, now: datetime, *, fault: str | None = None) -> str:
    """Return the text that IMDS answers with: the signed document, or a forged one.

    Args:
        authority: who signs.
        facts: what it says.
        now: when it is created.
        fault: the name of the mutation that it gets.

    Raises:
        ValueError: there is no such mutation.
    """
    fields = facts.document(now)
    if fault is None:
        return authority.sign(**fields).json
    check_fault(fault)
    mutation = next(mutation for mutation in MUTATIONS if mutation.name == fault)
    return mutation.apply(authority, **fields).evidence
