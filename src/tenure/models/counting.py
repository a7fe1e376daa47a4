"""How many purchases a law tells apart; the rest share its last place."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["longest"]

_NEGLIGIBLE = 1e-7
_MOST = 10_000


def longest(reached: Callable[[int], float]) -> int:
    """Return a count that is reached with a chance below 1e-7, at most 10,000.

    Examples
    --------
    >>> longest(lambda n: 0.1**n), longest(lambda n: 0.9**n)
    (8, 187)
    """
    most = 8
    while most < _MOST and reached(most) >= _NEGLIGIBLE:
        most += max(8, most // 4)
    return min(most, _MOST)
