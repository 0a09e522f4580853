"""One authority of each shape for the whole session."""

from __future__ import annotations

import functools

import pytest

from attest.testing import FakeAuthority, Shape


@functools.cache
def authority_of(shape: Shape) -> FakeAuthority:
    """Return the session's authority of a shape."""
    return FakeAuthority(shape=shape)


@pytest.fixture(scope="session", params=Shape, ids=str)
def authority(request: pytest.FixtureRequest) -> FakeAuthority:
    """An authority of each shape in turn; tests leave it as it is."""
    shape: Shape = request.param
    return authority_of(shape)


@pytest.fixture(scope="session")
def g2() -> FakeAuthority:
    """The authority of the shape of 2026; tests leave it as it is."""
    return authority_of(Shape.G2)
