"""Ceilings, spending and the cost formulas, against counting one by one."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.costs import Budget, Card, Usage
from poise.errors import ConfigError

law = settings(deadline=None, max_examples=60)
CEILINGS = [field.name for field in dataclasses.fields(Budget)]
SUMMED = [field.name for field in dataclasses.fields(Usage) if field.name not in ("seconds", "estimated")]

counts = st.integers(0, 10**9)
usages = st.builds(
    Usage,
    *(counts,) * 7,
    seconds=counts.map(float),
    busy_seconds=counts.map(float),
    flops=counts.map(float),
    money=counts.map(float),
    estimated=st.booleans(),
)
ceilings = st.one_of(st.none(), st.integers(1, 10**9))
budgets = st.builds(Budget, *(ceilings,) * len(CEILINGS))


def counted(card: Card, prompt: int, cached: int, new: int) -> float:
    """One position, one layer and one sampled token at a time. The last sampled token never enters the body."""
    total = 0
    for position in range(cached, prompt + max(new - 1, 0)):
        total += 2 * card.body_parameters
        for _ in range(card.layers):
            total += 2 * card.attention_width * (position + 1)  # scores: one product per key, itself included
            total += 2 * card.attention_width * (position + 1)  # and the weighted sum of the values
    return total + sum(2 * card.width * card.vocabulary for _ in range(new))


@law
@given(st.integers(1, 40), st.data(), st.integers(0, 30))
def test_flops_are_those_counted_one_by_one(prompt: int, data: st.DataObject, new: int) -> None:
    card = Card("tiny", body_parameters=101, layers=3, width=8, attention_width=6, vocabulary=50)
    cached = data.draw(st.integers(0, prompt))
    assert card.flops(prompt, cached, new) == counted(card, prompt, cached, new)


def test_flops_by_hand() -> None:
    card = Card("tiny", body_parameters=10, layers=1, width=2, attention_width=2, vocabulary=5)
    # 2 prompt positions and the first of 2 new ones run: 3 x 20; keys 1 + 2 + 3 at 8 each; two heads of 20
    assert card.flops(2, 0, 2) == 3 * 20 + 6 * 8 + 2 * 20
    assert card.flops(2, 2, 0) == 0
    assert Card("unknown").flops(1000, 0, 1000) == 0


@law
@given(st.integers(1, 500), st.integers(0, 200))
def test_a_cache_saves_exactly_the_prefill_it_holds(prompt: int, new: int) -> None:
    card = Card("tiny", body_parameters=7, layers=2, width=4, attention_width=4, vocabulary=11)
    held = prompt // 2
    assert card.flops(prompt, held, new) == card.flops(prompt, 0, new) - card.flops(held, 0, 0)


def test_money_is_priced_per_million_tokens() -> None:
    assert Card("m", prompt_price=2.0, new_price=8.0).money(500_000, 250_000) == pytest.approx(3.0)


@law
@given(usages, usages, usages)
def test_usages_add_up_in_any_order(a: Usage, b: Usage, c: Usage) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Usage() == a


@law
@given(usages, usages)
def test_adding_adds_everything_but_takes_the_longer_span(a: Usage, b: Usage) -> None:
    total = a + b
    for name in SUMMED:
        assert getattr(total, name) == getattr(a, name) + getattr(b, name), name
    assert total.seconds == max(a.seconds, b.seconds)
    assert total.estimated == (a.estimated or b.estimated)
    assert total.total_tokens == a.total_tokens + b.total_tokens


def test_total_tokens_counts_what_was_never_seen() -> None:
    usage = Usage(prompt_tokens=1, cached_prompt_tokens=1, new_tokens=10, overrun_tokens=100, scorer_tokens=1000)
    assert dataclasses.replace(usage, thought_tokens=10_000).total_tokens == 11_111


@law
@given(budgets, budgets, budgets)
def test_the_meet_is_the_tighter_and_a_semilattice(a: Budget, b: Budget, c: Budget) -> None:
    assert a.meet(b) == b.meet(a)
    assert a.meet(b).meet(c) == a.meet(b.meet(c))
    assert a.meet(a) == a
    assert a.meet(Budget()) == a
    for name in CEILINGS:
        both = [x for x in (getattr(a, name), getattr(b, name)) if x is not None]
        assert getattr(a.meet(b), name) == min(both, default=None)


@pytest.mark.parametrize("name", CEILINGS)
@pytest.mark.parametrize("bad", [0, -1, math.inf, math.nan])
def test_a_ceiling_is_a_finite_number_above_zero(name: str, bad: float) -> None:
    with pytest.raises(ConfigError, match=f"budget.{name}"):
        Budget(**{name: bad})


@pytest.mark.parametrize("ceilings", [{"calls": 1.5}, {"new_tokens": True}, {"total_tokens": 3.0}, {"seconds": True}])
def test_counts_are_whole_numbers_and_no_switches(ceilings):
    with pytest.raises(ConfigError, match="number"):
        Budget(**ceilings)
