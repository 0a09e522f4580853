"""The pytest plugin: fixtures for whoever tests code that checks attested documents.

Installing the package is enough; ``-p no:imds_attest`` turns it off.  To imitate another cloud,
hierarchy or time, define a fixture ``fake_authority`` of your own in a conftest.py: the other
fixtures follow it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, Unpack

import pytest

from attest.testing.authority import FakeAuthority
from attest.testing.document import DocumentFields, FakeDocument
from attest.testing.evidence import SignedEvidence
from attest.testing.mutations import FORGERIES, MutatedEvidence, Mutation

if TYPE_CHECKING:
    from attest.testing.imds import FakeImds


class SignDocument(Protocol):
    """The type of the ``attested_document`` fixture."""

    def __call__(
        self, document: FakeDocument | None = None, **fields: Unpack[DocumentFields]
    ) -> SignedEvidence:
        """Sign a document; see :meth:`attest.testing.FakeAuthority.sign`."""


@pytest.fixture(scope="session")
def fake_authority() -> FakeAuthority:
    """A test PKI of Azure's public cloud, made afresh for the session."""
    return FakeAuthority()


@pytest.fixture
def attested_document(fake_authority: FakeAuthority) -> SignDocument:
    """A function that signs a document: ``attested_document(vm_id=..., nonce=...)``."""
    return fake_authority.sign


@pytest.fixture
def fake_imds(fake_authority: FakeAuthority) -> Iterator[FakeImds]:
    """A live fake of the whole metadata endpoint, whose documents ``fake_authority`` signs."""
    from attest.testing.imds import FakeImds  # noqa: PLC0415 - Flask, for those who ask for it

    with FakeImds(authority=fake_authority, clock=fake_authority.now) as imds:
        yield imds


@pytest.fixture(params=FORGERIES, ids=str)
def forge_document(
    request: pytest.FixtureRequest, fake_authority: FakeAuthority
) -> Callable[..., MutatedEvidence]:
    """A function that forges a document; a test that takes it runs once for each forgery.

    Its arguments are those of ``attested_document``; what it returns has the forged answer of
    IMDS in ``evidence``, and no verifier may accept it.
    """
    mutation: Mutation = request.param
    return functools.partial(mutation.apply, fake_authority)
