"""When a sequential vote may stop: pure rules on v1 >= v2, the votes of the two leading classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def margin(v1: int, v2: int, k: int) -> bool:
    """The leader is k votes ahead."""
    return v1 - v2 >= k


def beta(v1: int, v2: int, bar: float = 0.95) -> bool:
    """The leader is the majority with probability >= `bar` (Adaptive-Consistency, arXiv 2305.11860, section 3)."""
    return majority_probability(v1, v2) >= bar


def majority_probability(v1: int, v2: int) -> float:
    """P(p > 1/2) for p ~ Beta(v1 + 1, v2 + 1): the chance that the leader beats the runner-up in the long run, from a
    uniform prior. Exact: it is 1 - P(Binomial(v1 + v2 + 1, 1/2) <= v2), a sum of whole numbers."""
    n = v1 + v2 + 1
    every = 1 << n
    return (every - sum(math.comb(n, heads) for heads in range(v2 + 1))) / every


def decided(v1: int, v2: int, left: int, *, wins_ties: bool = False) -> bool:
    """No outcome of the `left` votes to come can change the leader. `wins_ties`: the leader was seen before every class
    with v2 votes, and the first seen wins ties (a class not seen yet always loses them); without it a tie counts as
    overtaking."""
    lead = v1 - v2
    return left == 0 or lead > left or (wins_ties and lead == left)


def wanted(settled: Callable[[int, int, int], bool], v1: int, v2: int, left: int) -> int:
    """The fewest further votes, all for the leader, after which `settled(v1, v2, left)` holds; `left` where it never
    does. With fewer draws than this in flight, the rule cannot fire on what comes back: the window to keep open."""
    return next((more for more in range(left) if settled(v1 + more, v2, left - more)), left)


def streak(classes: Sequence[int], k: int) -> bool:
    """The last k >= 1 values are there and mean the same (-1: no value)."""
    last = classes[-k:]
    return len(last) == k and last[0] >= 0 and len(set(last)) == 1
