"""What tests of strategies that draw paths in pieces share: scripts, runs on virtual time, and steps by hand."""

import itertools
import random
from dataclasses import replace

from poise import answers, prompts
from poise.core import Draft, Finish, Goal, Kind, Request, Sampling, Step
from poise.costs import Budget
from poise.engines.scripted import Script, Scripted
from poise.run import solve
from poise.seams import Plan
from poise.testing import virtual
from poise.trace import Launched

REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER, Sampling(max_tokens=64))
CLOSING = prompts.closing(REQUEST)
LONG = Script((("7", 0.6), ("8", 0.4)), (60, 60), first_byte_seconds=0.05, seconds_per_token=0.01, remembers=True)
SURE = replace(LONG, answers=(("7", 1.0),))


def run(strategy, script=LONG, budget=Budget(), seed=5, engine=None):
    """(answer, engine) of one run."""
    engine = engine or Scripted(lambda _: script, per_delta=4)
    plan = Plan(strategy, (("main", engine.name),))
    request = replace(REQUEST, goal=Goal(budget))
    return virtual(solve(request, plan, {engine.name: engine}, seed=seed)), engine


def check_random_deadlines(strategy, script, runs=25):
    """An answer comes wherever the first text does, never 50 ms late, and the bill is right."""
    dice = random.Random(3)
    for seed in range(runs):
        seconds = dice.uniform(0.12, 1.2)
        answer, engine = run(strategy, script, Budget(seconds=seconds), seed)
        assert answer.text
        assert answer.trace.seconds <= seconds + 0.05
        check_bill(answer, engine)


def check_bill(answer, engine):
    """All that the engine made is billed."""
    assert answer.usage.new_tokens + answer.usage.overrun_tokens == engine.generated


def launches(answer):
    """(id, parent, tokens) of every draw."""
    return [(event.id, event.parent, event.max_tokens) for event in answer.trace.of(Launched)]


def step(id, text, finish=Finish.EOS, suffix="", parent=0, **draft):
    """A step by hand, its value read as a run would."""
    cut = finish in (Finish.LENGTH, Finish.CLOSED)
    value = answers.extract(suffix + text, Kind.NUMBER, truncated=cut)
    return Step(id, parent, Draft(text, finish, len(text.split()), **draft), value, suffix)


def failing(script, *calls):
    """An engine of which the calls with these numbers, from 1, fail."""
    numbers = itertools.count(1)
    return Scripted(lambda _: replace(script, failure=float(next(numbers) in calls)), per_delta=4)
