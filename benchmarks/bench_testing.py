"""``python -m benchmarks.bench_testing``: what the fake authority costs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from attest import AttestError
from attest.testing import FakeAuthority, Shape
from attest.testing.mutations import MUTATIONS
from benchmarks.timing import best, report

MAX_AUTHORITY_S = 1.0
MAX_SIGN_MS = 2.0
MAX_CATALOGUE_S = 3.0
_ROUNDS = 5


def main() -> None:
    """Time authorities, documents and the whole catalogue; print them with their limits."""
    authorities = {shape: FakeAuthority(shape=shape) for shape in Shape}
    for shape in Shape:
        # RSA key generation is a matter of luck, so the worst of some counts.
        times = [seconds(functools.partial(FakeAuthority, shape=shape)) for _ in range(_ROUNDS)]
        report(f"an authority, {shape}, the worst of {_ROUNDS}", max(times), "s", MAX_AUTHORITY_S)
    signing = {f"a signed document, {shape}": a.sign for shape, a in authorities.items()}
    signing["a signed document, g2, signedAttrs"] = functools.partial(
        authorities[Shape.G2].sign, signed_attrs=True
    )
    for name, measured in best(signing, rounds=10, calls=20).items():
        report(name, measured * 1000, "ms", MAX_SIGN_MS)
    what = f"all {len(MUTATIONS)} mutations made and refused, g2"
    whole = seconds(functools.partial(catalogue, authorities[Shape.G2]))
    report(what, whole, "s", MAX_CATALOGUE_S)


def seconds(function: Callable[[], object]) -> float:
    """Time one call, in seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def catalogue(authority: FakeAuthority) -> None:
    """Make and refuse every mutation."""
    for mutation in MUTATIONS:
        case = mutation.apply(authority)
        try:
            case.verify()
        except AttestError:
            continue
        raise AssertionError(mutation.name)


if __name__ == "__main__":
    main()
