"""The whole catalogue: every fault is refused, with the code that it promises."""

from __future__ import annotations

import re

import pytest

from attest import AttestError, Code, Verifier
from attest.testing import FakeAuthority
from attest.testing.mutations import FORGERIES, MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_refused(authority: FakeAuthority, mutation: Mutation) -> None:
    """The verifier refuses it with its code."""
    case = mutation.apply(authority)
    with pytest.raises(AttestError) as caught:
        case.verify()
    assert caught.value.code == mutation.code, caught.value


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_inspected(g2: FakeAuthority, mutation: Mutation) -> None:
    """An inspection names its code among the steps that failed, and raises nothing."""
    case = mutation.apply(g2)
    inspection = Verifier(case.trust, case.policy).inspect(
        case.evidence, at=case.at, nonce=case.nonce, crls=case.crls
    )
    assert mutation.code in {outcome.code for outcome in inspection.steps}


@pytest.mark.parametrize("mutation", FORGERIES, ids=str)
def test_forgery(g2: FakeAuthority, mutation: Mutation) -> None:
    """A verifier without demands refuses it, too, whatever document is asked for."""
    case = mutation.apply(g2, vm_id="960a4b4a-dab2-44ef-9b73-7753043b4f16", nonce="1234567890")
    with pytest.raises(AttestError):
        Verifier(g2.trust_store()).verify(case.evidence, at=case.at)


def test_catalogue() -> None:
    """Names are unique, descriptions are sentences, and every code has a fault."""
    assert len(MUTATIONS) > len(FORGERIES) > 100
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len({mutation.what for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        assert re.fullmatch(r"[a-z][a-z0-9_]+", mutation.name)
        assert re.fullmatch(r"\w.*\.", mutation.what)
        assert str(mutation) == mutation.name
    assert {mutation.code for mutation in MUTATIONS} == set(Code)


def test_authority_stays_as_it_is() -> None:
    """After every fault the authority still signs, trusts and revokes as before."""
    authority = FakeAuthority(shape="ecdsa")
    generation, crls = authority.trust_store().generation, authority.crls()
    for mutation in MUTATIONS:
        mutation.apply(authority)
    assert authority.trust_store().generation == generation
    for before, after in zip(crls, authority.crls(), strict=True):
        assert list(after) == list(before) == []
    verifier = Verifier(authority.trust_store())
    assert verifier.verify(authority.sign().der, at=authority.now(), crls=crls)


@pytest.mark.parametrize("mutation", FORGERIES, ids=str)
def test_without_the_fault_it_verifies(g2: FakeAuthority, mutation: Mutation) -> None:
    """The arguments of a forgery's case accept a good document: only the fault is refused."""
    good = g2.sign().json
    case = mutation.apply(g2)
    verifier = Verifier(case.trust, case.policy)
    assert verifier.verify(good, at=case.at, nonce=case.nonce, crls=case.crls)
