"""Budgets: what may be promised, and what comes back."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from poise.core import Thinking, ThinkingMode
from poise.costs import Budget, Card, Usage
from poise.ledger import Ledger, executed

CARD = Card("tiny", 1_000, 1_000, 2, 8, 8, 50, prompt_price=1.0, new_price=2.0)


def test_no_ceiling_grants_what_was_asked():
    assert Ledger(Budget()).grant(64, 10, CARD).max_tokens == 64


def test_sharers_leave_equal_room():
    ledger = Ledger(Budget(new_tokens=100))
    granted = [ledger.grant(64, 0, CARD, sharers).max_tokens for sharers in (4, 3, 2, 1)]
    assert granted == [25, 25, 25, 25]
    assert ledger.grant(64, 0, CARD) is None


def test_what_was_not_used_comes_back():
    ledger = Ledger(Budget(new_tokens=100))
    grant = ledger.grant(64, 0, CARD)
    ledger.settle(grant, Usage(calls=1, new_tokens=10))
    assert ledger.grant(200, 0, CARD).max_tokens == 90


def test_overrun_and_scorer_tokens_count():
    ledger = Ledger(Budget(new_tokens=100))
    ledger.charge(Usage(overrun_tokens=30, scorer_tokens=30))
    assert ledger.grant(100, 0, CARD).max_tokens == 40


def test_calls_are_promised_too():
    ledger = Ledger(Budget(calls=1))
    assert ledger.grant(10, 0, CARD) is not None
    assert ledger.grant(10, 0, CARD) is None


def test_a_fork_spends_from_its_parent():
    parent = Ledger(Budget(new_tokens=100))
    fork = Ledger(parent.left(0.5), parent)
    grant = fork.grant(80, 0, CARD)
    assert grant.max_tokens == 50
    fork.settle(grant, Usage(new_tokens=50))
    assert parent.grant(80, 0, CARD).max_tokens == 50


def test_prompts_count_against_total_tokens():
    assert Ledger(Budget(total_tokens=50)).grant(64, 20, CARD).max_tokens == 30
    assert Ledger(Budget(total_tokens=50)).grant(64, 50, CARD) is None


@given(
    st.integers(1, 400),
    st.lists(st.tuples(st.integers(1, 200), st.integers(0, 50), st.integers(1, 4), st.floats(0, 1)), max_size=12),
)
def test_no_ceiling_is_ever_passed(scale, draws):
    budget = Budget(
        new_tokens=scale,
        total_tokens=2 * scale,
        calls=5,
        flops=CARD.flops(20, 0, scale),
        money=CARD.money(20, scale),
    )
    ledger, pending = Ledger(budget), []
    for max_tokens, prompt_tokens, sharers, used in draws:
        grant = ledger.grant(max_tokens, prompt_tokens, CARD, sharers)
        if grant is None:
            continue
        pending.append((grant, int(grant.max_tokens * used)))
    for grant, new_tokens in pending:
        prompt = grant.prompt_tokens
        spent = Usage(1, prompt, 0, new_tokens, flops=CARD.flops(prompt, 0, new_tokens))
        ledger.settle(grant, spent)
    assert ledger.spent.new_tokens <= budget.new_tokens
    assert ledger.spent.total_tokens <= budget.total_tokens
    assert ledger.spent.calls <= budget.calls
    assert ledger.spent.flops <= budget.flops


THINKING = dataclasses.replace(CARD, passes=7)
EXACT, HALF = Thinking(ThinkingMode.EXACT), Thinking(ThinkingMode.GATED, 0.5)


def test_room_is_kept_for_thoughts():
    ledger = Ledger(Budget(new_tokens=100))
    first = ledger.grant(64, 0, THINKING, 2, EXACT)
    assert (first.max_tokens, first.thoughts) == (6, 42)  # 48 of the 50 that are its share
    assert ledger.grant(64, 0, THINKING, 1, Thinking(ThinkingMode.OFF)).max_tokens == 52
    assert ledger.grant(64, 0, THINKING, 1, EXACT) is None
    ledger.settle(first, Usage(new_tokens=2, thought_tokens=14))
    assert ledger.grant(64, 0, THINKING, 1, EXACT).max_tokens == 4  # of 32


def test_what_may_be_thought_by_each_way():
    assert [executed(CARD, 20, way) for way in (None, EXACT, HALF)] == [20, 20, 20]  # a card that cannot think
    assert executed(THINKING, 20, None) == 20
    assert executed(THINKING, 20, EXACT) == 160
    assert executed(THINKING, 20, HALF) == 20 + 7 * 16  # half of 30, and one
    assert executed(THINKING, 2, HALF) == 16
    assert executed(THINKING, 20, Thinking(ThinkingMode.GATED, 0.0)) == 20
    assert executed(THINKING, 1, Thinking(ThinkingMode.AMORTISED, drafts=3)) == 1 + 4 * 7 + 3
