"""Timing on shared, noisy machines: the best of many short rounds, taken in turn."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping


def best(
    functions: Mapping[str, Callable[[], object]], *, rounds: int, calls: int
) -> dict[str, float]:
    """Time functions against each other.

    The rounds of all functions alternate, so that a slow phase of the machine strikes each of
    them, and the best round of each counts.

    Args:
        functions: what to call, by name.
        rounds: how many rounds each function gets.
        calls: how many calls make a round.

    Returns:
        Seconds for one call, by name.
    """
    found = dict.fromkeys(functions, float("inf"))
    gc.disable()
    try:
        for _ in range(rounds):
            for name, function in functions.items():
                start = time.perf_counter()
                for _ in range(calls):
                    function()
                found[name] = min(found[name], (time.perf_counter() - start) / calls)
    finally:
        gc.enable()
    return found


def report(what: str, measured: float, unit: str, limit: float) -> None:
    """Print one line: what was measured, its value and its limit."""
    mark = "ok" if measured <= limit else "OVER"
    print(f"{what:<58}{measured:>9.2f} {unit:<6} limit {limit:>6g}  {mark}")
