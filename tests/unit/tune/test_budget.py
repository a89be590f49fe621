"""One ceiling, in one unit."""

import pytest

from poise.errors import ConfigError
from poise.tune.budget import Spent, TuneBudget


@pytest.mark.parametrize("given", [{}, {"calls": 5, "tokens": 5}, {"calls": 0}, {"seconds": -1.0}])
def test_exactly_one_ceiling_above_nothing(given):
    with pytest.raises(ConfigError, match="budget"):
        TuneBudget(**given)


def test_what_is_left_and_what_fits():
    budget, spent = TuneBudget(tokens=100), Spent()
    spent.add(calls=2, tokens=60, seconds=3.0)
    assert (budget.unit, budget.left(spent)) == ("tokens", 40)
    assert budget.affords(spent, Spent(tokens=40))
    assert not budget.affords(spent, Spent(tokens=41))
    assert budget.affords(spent, Spent(calls=10_000))


def test_a_budget_below_one_step_is_refused():
    TuneBudget(tokens=100).check(Spent(tokens=100))
    with pytest.raises(ConfigError, match=r"budget.tokens.*at least 101, which one step may take"):
        TuneBudget(tokens=100).check(Spent(tokens=101))


def test_a_step_begins_only_where_what_it_may_cost_is_left():
    calls, spent = TuneBudget(calls=10), Spent(calls=6, seconds=99.0)
    assert calls.begins(spent, Spent(calls=4), Spent(calls=4))
    assert not calls.begins(spent, Spent(calls=5), Spent())
    assert not calls.begins(spent, Spent(), Spent(calls=5))
    assert not calls.begins(Spent(calls=10), Spent(), Spent())
    assert calls.patience(spent) is None


def test_seconds_cut_off_what_is_under_way():
    seconds = TuneBudget(seconds=10.0)
    assert seconds.begins(Spent(seconds=4.0), Spent(calls=999), Spent(seconds=6.0))
    assert not seconds.begins(Spent(seconds=4.1), Spent(), Spent(seconds=6.0))
    assert seconds.patience(Spent(seconds=4.0)) == 6.0
