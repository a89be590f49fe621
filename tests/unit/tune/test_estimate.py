"""What a budget means: arithmetic with numbers, then against what is really spent."""

from dataclasses import replace

import pytest
from scripted_task import engine as scripted
from scripted_task import sums

from poise.errors import ConfigError
from poise.tune.budget import Spent, TuneBudget
from poise.tune.estimate import estimate, estimate_evolving, scaled
from poise.tune.examples import problem_of
from poise.tune.lengths import Shorter
from poise.tune.optimizer import TuneSettings
from poise.tune.phrases import Phrases
from poise.tune.problem import Problem
from poise.tune.race import Race
from poise.tune.reflect import Reflection
from poise.tune.rows import LossTerms
from poise.tune.shortlist import By
from poise.tune.step import StepSettings

SMALL = StepSettings(rows=2, candidates=3, tries=2, reasoning_tokens=4, race=Race(block=2, most=4))


def test_a_budget_in_each_unit():
    measured = Spent(10, 500, 20.0)  # 50 tokens and 2 seconds a call
    calls = scaled(measured, TuneBudget(calls=1000), (10, 50), 600)
    assert (calls.steps, calls.calls, calls.tokens) == ((20, 100), 1000, 50_000)
    assert calls.hours == pytest.approx(1000 * 2 / 3600)
    assert (calls.judging.calls, calls.judging.tokens, calls.judging.seconds) == (600, 30_000, 1200.0)
    assert scaled(measured, TuneBudget(tokens=5000), (10, 50), 0).calls == 100
    assert scaled(measured, TuneBudget(seconds=3600), (10, 50), 0).calls == 1800
    assert "about 20 to 100 steps: 1,000 calls, 50,000 tokens, 0.56 h" in calls.told()
    with pytest.raises(ConfigError, match="measured"):
        scaled(Spent(), TuneBudget(calls=5), (1, 1), 0)


async def test_an_estimate_by_gradients_takes_one_small_step(engine, task):
    items = tuple(task.items(12, 0))
    problem = Problem(task, items[:8], items[8:])
    found = await estimate(engine, problem, TuneSettings("Go on.", TuneBudget(calls=200), SMALL))
    assert found.calls == 200
    assert found.steps == (200 // (2 + 5 * 2 + 3 * 2), 200 // (2 + 5 * 2))  # a look halves four rivals
    assert found.measured.calls <= 2 + 5 * 2
    assert found.hours > 0
    assert found.judging.calls == 6 * 4
    with pytest.raises(ConfigError, match="one step may take"):
        await estimate(engine, problem, TuneSettings("Go on.", TuneBudget(calls=17), SMALL))


@pytest.mark.parametrize(
    ("step", "calls", "finalists"),
    [
        (replace(SMALL, by=By.RANDOM), (5 * 2, 5 * 2 + 3 * 2), 5),
        (replace(SMALL, by=By.GREATER), (4 * 8, 4 * 8), 5),
        (replace(SMALL, shorter=Shorter(phrases=Phrases(("Use {n} words.",)))), (2 * 9 + 9 * 2, 2 * 9 + 9 * 4), 12),
    ],
)
async def test_an_estimate_knows_how_steps_are_taken(engine, task, step, calls, finalists):
    """Prompts in a race, or four answers to every question; of length, four prompts more and eight looks a row."""
    items = tuple(task.items(12, 0))
    terms = LossTerms.shorter() if step.shorter else LossTerms()
    settings = TuneSettings("Use {n} words." if step.shorter else "Go on.", TuneBudget(calls=500), step, terms)
    found = await estimate(engine, Problem(task, items[:8], items[8:]), settings)
    assert found.steps == (500 // calls[1], 500 // calls[0])
    assert found.measured.calls <= calls[0]
    assert found.judging.calls == (1 + finalists) * 4
    with pytest.raises(ConfigError, match=f"at least {calls[1]}"):
        await estimate(
            engine, Problem(task, items[:8], items[8:]), replace(settings, budget=TuneBudget(calls=calls[1] - 1))
        )


async def test_an_estimate_of_reflection_takes_one_round():
    live = scripted()
    problem = problem_of(lambda example, told: example.answer == told.answer, sums(12), sums(20, 50), 0)
    settings = TuneSettings("Go on.", TuneBudget(tokens=50_000), StepSettings(reasoning_tokens=16))
    found = await estimate_evolving(live, Reflection(live, tokens=40), problem, settings)
    assert found.measured.calls == 7
    assert found.tokens == pytest.approx(50_000, rel=0.01)
    assert found.steps == (found.calls // 13, found.calls // 7)
    assert found.judging.calls == 120
    with pytest.raises(ConfigError, match="one step may take"):
        await estimate_evolving(live, Reflection(live), problem, replace(settings, budget=TuneBudget(calls=12)))
