"""Deciding: the plan follows from the request and what is known, and says why."""

import pytest

from poise.control.features import kind_of
from poise.control.planner import plan
from poise.core import Goal, Kind, Request
from poise.costs import Budget, Card
from poise.strategies.self_consistency import SelfConsistency


def asked(budget=Budget(), kind=Kind.NUMBER):
    return Request.ask("What is 3 + 4?", kind, goal=Goal(budget))


def test_numbers_are_voted_on():
    decided = plan(asked())
    assert decided.strategy.name == "adaptive_consistency"
    assert "at most 10" in decided.because


def test_free_text_is_not():
    assert plan(asked(kind=Kind.TEXT)).strategy.name == "cot"


def test_a_named_strategy_is_obeyed():
    assert plan(asked(), strategy=SelfConsistency(3)).strategy == SelfConsistency(3)


@pytest.mark.parametrize(
    ("budget", "draws"),
    [(Budget(new_tokens=600), 5), (Budget(calls=3), 3), (Budget(new_tokens=600, calls=3), 3), (Budget(flops=1e6), 10)],
)
def test_the_cap_follows_the_budget(budget, draws):
    assert plan(asked(budget)).strategy.n == draws


def test_flops_bind_where_the_card_is_known():
    card = Card("m", 10**8, 10**8, 10, 500, 500, 30_000)
    each = card.flops(120, 0, 120)
    assert plan(asked(Budget(flops=4.5 * each)), card=card).strategy.n == 4


def test_room_for_one_draft_means_one_draft():
    assert plan(asked(Budget(new_tokens=130))).strategy.name == "cot"


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What is 17 + 25?", Kind.NUMBER),
        ("How many legs do 3 cats have?", Kind.NUMBER),
        ("Which is red?\n(A) grass\n(B) blood", Kind.CHOICE),
        ("Pick one. A) left B) right", Kind.CHOICE),
        ("Write a poem about rain.", Kind.TEXT),
    ],
)
def test_kinds_are_told_from_the_question(question, kind):
    assert kind_of(question) is kind
