"""What early stops save: windowed sequential votes against a fixed vote of 9, on questions whose law is known.

20,000 questions of the mix: answer classes drawn from (normalised) .30 of questions {right .9, five wrong .02};
.25 {right .6, eight wrong .05}; .25 {right .4, one wrong .3, ten wrong .03}; .20 {right .15, one wrong .3, ten wrong
.055}. Draws of a question share seeds between the arms, so that they are paired; time is virtual, so that draws
overlap as they would. Cancelled draws are billed. Named beforehand: margin (k = 2, cap 10) is not inferior to fixed
9 by 1 point (one-sided 5 %, Tango's test for pairs), with <= 60 % of its tokens.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping

import numpy as np

from figures import Figure, parser, show
from poise.config import plan_of
from poise.core import Kind, Request, Sampling
from poise.draws import derived_seed
from poise.engines.scripted import Script, Scripted
from poise.evals.stats import noninferior
from poise.knobs import strategy
from poise.run import solve
from poise.testing import virtual

RIGHT = "100"
MIX = (  # share of questions, P(right), P(the favourite wrong one), the others, P(each of them)
    (0.30, 0.90, 0.0, 5, 0.02),
    (0.25, 0.60, 0.0, 8, 0.05),
    (0.25, 0.40, 0.3, 10, 0.03),
    (0.20, 0.15, 0.3, 10, 0.055),
)
FIXED, MARGIN = "fixed 9", "margin 2, cap 10"
ARMS = {FIXED: "self_consistency:n=9", MARGIN: "adaptive_consistency:n=10,rule=margin,k=2,slack=0"}
MORE = {
    "margin 2, slack 2": "adaptive_consistency:n=10,rule=margin,k=2,slack=2",
    "beta .95, cap 10": "adaptive_consistency:n=10,rule=beta,slack=0",
    "decided, cap 9": "adaptive_consistency:n=9,rule=decided,slack=0",
}
WORSE, TOKEN_SHARE = 0.01, 0.60


@functools.cache
def script_of(question: str) -> Script:
    """The law of question number i: which kind it is depends on i alone."""
    dice = random.Random(question)
    _, right, favourite, others, each = dice.choices(MIX, [share for share, *_ in MIX])[0]
    answers = ((RIGHT, right), ("1", favourite), *((str(2 + other), each) for other in range(others)))
    return Script(answers, tokens=(6, 18), first_byte_seconds=0.05, seconds_per_token=0.05)


async def votes(arms: Mapping[str, str], questions: int, seed: int) -> Mapping[str, np.ndarray]:
    """By arm: (right or not, tokens made, calls) of every question."""
    engine = Scripted(script_of, "main", per_delta=2)
    plans = {name: plan_of(strategy(spec)) for name, spec in arms.items()}
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in arms}
    for number in range(questions):
        request = Request.ask(f"Question {number}", Kind.NUMBER, Sampling(max_tokens=256))
        for name, plan in plans.items():
            answer = await solve(request, plan, {"main": engine}, seed=derived_seed(seed, number))
            usage, value = answer.usage, answer.value
            right = value is not None and value.text == RIGHT
            rows[name].append((right, usage.new_tokens + usage.overrun_tokens, usage.calls))
    return {name: np.array(found, float) for name, found in rows.items()}


def paired(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The mean of paired differences, and half its 95 % interval."""
    gaps = first - second
    return float(gaps.mean()), float(1.96 * gaps.std(ddof=1) / len(gaps) ** 0.5)


def against(fixed: np.ndarray, name: str, rows: np.ndarray) -> list[Figure]:
    """An arm's figures, and what it gains and loses against fixed 9. Only the named comparison has targets."""
    right, tokens, calls = rows.mean(axis=0)
    own = Figure(f"{name}: accuracy", right, f"share; {tokens:.1f} tokens, {calls:.2f} calls")
    if name == FIXED:
        return [own]
    target = ("< .05", f"<= {TOKEN_SHARE:.2f}") if name == MARGIN else ("", "")
    gap, half = paired(rows[:, 0], fixed[:, 0])
    better, worse = (int(found.sum()) for found in (rows[:, 0] > fixed[:, 0], rows[:, 0] < fixed[:, 0]))
    p = noninferior(better, worse, len(rows), WORSE)
    share = rows[:, 1].sum() / fixed[:, 1].sum()
    return [
        own,
        Figure(f"{name}: minus fixed 9", 100 * gap, f"points, ± {100 * half:.2f} (95 %)"),
        Figure(f"{name}: p of 1 point worse", p, "", target[0], p < 0.05 if target[0] else None),
        Figure(f"{name}: share of tokens", share, "", target[1], share <= TOKEN_SHARE if target[1] else None),
    ]


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--questions", type=int, default=20_000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--more", action="store_true", help="other stop rules too, without a target")
    options = arguments.parse_args()
    found = virtual(votes({**ARMS, **(MORE if options.more else {})}, options.questions, options.seed))
    figures = [figure for name, rows in found.items() for figure in against(found[FIXED], name, rows)]
    show(f"Sequential voting, {options.questions:,} questions, seed {options.seed}", figures, options.json)


if __name__ == "__main__":
    main()
