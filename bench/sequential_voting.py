"""What early stops save: windowed sequential votes against a fixed vote of 9, on questions whose law is known.

20,000 questions of the mix: answer classes drawn from (normalised) .30 of questions {right .9, five wrong .02};
.25 {right .6, eight wrong .05}; .25 {right .4, one wrong .3, ten wrong .03}; .20 {right .15, one wrong .3, ten wrong
.055}. Draws of a question share seeds between the arms, so that they are paired; time is virtual, so that draws
overlap as they would. Cancelled draws are billed. Named beforehand: margin (k = 2, cap 10) is not inferior to fixed
9 by 1 point (one-sided 5 %, Tango's test for pairs), with <= 60 % of its tokens.
"""

from __future__ import annotations

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
from poise.seams import Plan
from poise.testing import virtual

RIGHT = "100"
MIX = (  # share of questions, P(right), P(the favourite wrong one), the others, P(each of them)
    (0.30, 0.90, 0.0, 5, 0.02),
    (0.25, 0.60, 0.0, 8, 0.05),
    (0.25, 0.40, 0.3, 10, 0.03),
    (0.20, 0.15, 0.3, 10, 0.055),
)
FIXED, MARGIN = "self_consistency:n=9", "adaptive_consistency:n=10,rule=margin,k=2,slack=0"
WORSE, TOKEN_SHARE = 0.01, 0.60
MORE = (
    "adaptive_consistency:n=10,rule=margin,k=2,slack=2",
    "adaptive_consistency:n=10,rule=beta,slack=0",
    "adaptive_consistency:n=9,rule=decided,slack=0",
)


def script_of(question: str) -> Script:
    """The law of question number i: which kind it is depends on i alone."""
    dice = random.Random(question)
    _, right, favourite, others, each = dice.choices(MIX, [share for share, *_ in MIX])[0]
    answers = ((RIGHT, right), ("1", favourite), *((str(2 + other), each) for other in range(others)))
    return Script(answers, tokens=(60, 180), first_byte_seconds=0.05, seconds_per_token=0.005)


async def votes(specs: list[str], questions: int, seed: int) -> Mapping[str, np.ndarray]:
    """By arm: (right or not, tokens made, calls) of every question."""
    engine = Scripted(script_of, "main", per_delta=20)
    plans: dict[str, Plan] = {spec: plan_of(strategy(spec)) for spec in specs}
    rows: dict[str, list[tuple[float, ...]]] = {spec: [] for spec in specs}
    for number in range(questions):
        request = Request.ask(f"Question {number}", Kind.NUMBER, Sampling(max_tokens=256))
        for spec, plan in plans.items():
            answer = await solve(request, plan, {"main": engine}, seed=derived_seed(seed, number))
            usage, value = answer.usage, answer.value
            right = value is not None and value.text == RIGHT
            rows[spec].append((right, usage.new_tokens + usage.overrun_tokens, usage.calls))
    return {spec: np.array(found, float) for spec, found in rows.items()}


def paired(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The mean of paired differences, and half its 95 % interval."""
    gaps = first - second
    return float(gaps.mean()), float(1.96 * gaps.std(ddof=1) / len(gaps) ** 0.5)


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--questions", type=int, default=20_000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--more", action="store_true", help="other stop rules too, without a target")
    options = arguments.parse_args()
    specs = [FIXED, MARGIN, *(MORE if options.more else ())]
    found = virtual(votes(specs, options.questions, options.seed))
    fixed, figures = found[FIXED], []
    for spec, rows in found.items():
        right, tokens, calls = rows.mean(axis=0)
        figures.append(Figure(f"{spec}: accuracy", right, f"at {tokens:.0f} tokens, {calls:.2f} calls"))
        if spec == FIXED:
            continue
        named = spec == MARGIN
        difference, half = paired(rows[:, 0], fixed[:, 0])
        only_first = int((rows[:, 0] > fixed[:, 0]).sum())
        only_second = int((rows[:, 0] < fixed[:, 0]).sum())
        p = noninferior(only_first, only_second, len(rows), WORSE)
        share = rows[:, 1].sum() / fixed[:, 1].sum()
        figures += [
            Figure("  minus fixed 9", 100 * difference, f"points (95 %: {100 * half:+.2f} either side)"),
            Figure("  p: worse by 1 point", p, "", "< .05" if named else "", p < 0.05 if named else None),
            Figure(
                "  share of its tokens", share, "", "<= .60" if named else "", share <= TOKEN_SHARE if named else None
            ),
        ]
    show(f"Sequential voting, {options.questions:,} questions, seed {options.seed}", figures, options.json)


if __name__ == "__main__":
    main()
