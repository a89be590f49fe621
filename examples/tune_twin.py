"""Tune a prompt on the local twin of a served model, then ask the server with it. `tune_twin.py MODEL URL SERVED`:

vllm serve ORG/MODEL, then tune_twin.py ORG/MODEL http://localhost:8000/v1 ORG/MODEL
"""

import sys

import poise
from poise.tune import Optimizer, Race, StepSettings, TuneBudget

model, *server = sys.argv[1:] or ["default"]  # without a server the twin answers itself
examples = [{"question": f"What is {k} + {k + 3}?", "answer": str(2 * k + 3)} for k in range(12)]


def right(example, prediction, trace=None):
    """As dspy's metrics: the example, what was answered, and a truth value or a number from 0 to 1."""
    return example.answer == prediction.answer


optimizer = Optimizer(
    right,
    engine=f"torch:{model}",  # gradients need the weights; the server is not asked while tuning
    budget=TuneBudget(calls=60),  # thousands, in earnest
    run_dir="runs/twin",  # run it again, with more, and it goes on
    step=StepSettings(rows=2, tries=1, reasoning_tokens=24, race=Race(block=4, most=4)),  # leave out, in earnest
)
print("headroom  ", optimizer.headroom(trainset=examples, rows=4, draws=3).told())
tuned = optimizer.compile("Let us think.", trainset=examples[:6], valset=examples[6:])
for point in tuned.pareto_front:
    print(f"accuracy   {point.accuracy.mean:.2f} at {point.tokens.mean:.0f} tokens: {point.measured.name!r}")
print("prompt    ", repr(tuned.best), "with a gain that is shown" if tuned.shown else "as it was: no gain is shown")

engine = " ".join(server) or f"torch:{model}"
answer = poise.solve("What is 17 + 25?", strategy=f"direct:prompt={tuned.path}", engine=engine)
print("answer    ", answer.text.strip() or "(nothing)")
