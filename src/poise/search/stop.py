"""When a vote is settled. `first` and `second` are the votes of the leader and the runner-up."""

from __future__ import annotations

import math


def margin(first: int, second: int, k: int) -> bool:
    """A lead of k."""
    return first - second >= k


def beta(first: int, second: int, bar: float) -> bool:
    """P(p1 > 1/2) >= bar under Beta(first + 1, second + 1) (Aggarwal et al. 2023, arXiv 2305.11860, eq. 3)."""
    return majority_probability(first, second) >= bar


def majority_probability(first: int, second: int) -> float:
    """P(p > 1/2) for p ~ Beta(first + 1, second + 1): for whole counts an exact binomial sum, P(X <= first) with
    X ~ Binomial(first + second + 1, 1/2)."""
    trials = first + second + 1
    return sum(math.comb(trials, k) for k in range(first + 1)) / float(2**trials)


def decided(first: int, second: int, left: int) -> bool:
    """Whether the `left` votes still to come cannot change the winner. A tie is no win for sure, since who was seen
    first among equals is not known here."""
    return first > second + left or left <= 0
