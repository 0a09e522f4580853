"""How a test states a refusal: by its code and its step, both written out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from attest import AttestError, Code


@contextlib.contextmanager
def refused(code: Code, step: int, detail: str = "") -> Iterator[None]:
    """Demand that the block is refused with this code, by this step, with this in the detail."""
    with pytest.raises(AttestError) as caught:
        yield
    assert (caught.value.code, caught.value.step) == (code, step), caught.value
    assert detail in caught.value.detail
    assert caught.value.detail.isascii()
    assert caught.value.detail.isprintable()


@contextlib.contextmanager
def refused_somehow() -> Iterator[None]:
    """Demand a refusal whose code is not the point; code and step must still agree."""
    with pytest.raises(AttestError) as caught:
        yield
    assert caught.value.step == caught.value.code.step
