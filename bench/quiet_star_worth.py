"""What thoughts are worth: of answers that are given at once, the share that greedy decoding gets right with thoughts
and without, on the same checkpoint; nats a token saved on those and on worked solutions; and the same for controls.

Name the folders of trainings: first the one that thinks, then controls that learnt from the same examples - plain
fine-tuning (knobs n_ahead=3, n_ahead_talk=1, places=1, and mixed_loss_beta, policy_loss_beta, thought_loss_beta and
worked_loss_beta 0, each with "quiet_star." before it) and pause tokens (knob quiet_star.filler=.). Questions are new:
none was trained on. Pairs by McNemar's exact test; nats by a sign-flip test over questions.

    .venv/bin/python bench/quiet_star_worth.py runs/lab-quiet-star runs/plain runs/pause
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from poise.evals.stats import mcnemar, sign_flip, wilson
from poise.lab.batches import Encoded, encoded
from poise.lab.data import examples_of, without
from poise.lab.quiet_star.judging import Judged, judged
from poise.lab.recipe import Recipe, Source, read_recipe
from poise.models.quiet_star.files import load_quiet_star

SEED = 4400
SILENT = (("silent", 1.0),)
SETS = {
    "arithmetic, at once": Source(
        "basic_arithmetic:min_terms=3,max_terms=3,min_digits=1,max_digits=1", 0, SEED, 600, SILENT, values=True
    ),
    "sums, at once": Source(
        "chain_sum:min_terms=3,max_terms=3,min_digits=1,max_digits=2", 0, SEED, 600, SILENT, values=True
    ),
    "products, worked": Source("products:min_digits=2,max_digits=2", 0, SEED, 80),
    "new templates, worked": Source("gsm_symbolic:templates=85-99", 0, SEED, 30),
}


@dataclass(frozen=True)
class Told:
    """One set of questions by one training."""

    run: str
    set: str
    rows: list[Judged]


def questions(recipe: Recipe, limit: int, only: str) -> dict[str, list[Any]]:
    """Of each set the first `limit` that the recipe's training has not seen."""
    learnt = [example.question for example in examples_of(recipe, {}).training]
    found = {}
    for name, source in SETS.items():
        if not re.search(only, name):
            continue
        asked = examples_of(Recipe(sources=(source, Source("chain_sum", 1))), {}).validation
        found[name] = without(asked, learnt)[:limit]
    return found


def told_by(run: Path, asked: dict[str, list[Any]]) -> list[Told]:
    """All sets by one training."""
    model, base = load_quiet_star(run / "adapter")
    filler = json.loads((run / "recipe.json").read_text())["quiet_star"]["filler"]
    token = base.tokenizer.encode(filler, add_special_tokens=False)[0] if filler else None
    found = []
    for name, examples in asked.items():
        rows: list[Encoded] = encoded(examples, base.tokenizer, 512)
        found.append(Told(run.name, name, judged(model, rows, filler=token)))
        Console(stderr=True).print(f"{run.name}: {name}", highlight=False)
    return found


def shown(told: list[Told]) -> Table:
    """One line a set and training."""
    table = Table("questions", "training", "n", "right, no thoughts", "right, thoughts", "p", "nats saved a token", "p")
    first = {each.set: each for each in told if each.run == told[0].run}
    for each in sorted(told, key=lambda one: list(SETS).index(one.set)):
        n, rows = len(each.rows), each.rows
        gains = np.array([row.base - row.mixed for row in rows])
        p = _paired([row.mixed_right for row in rows], [row.base_right for row in rows])
        saved, tokens = gains.sum(), sum(row.tokens for row in rows)
        worth = f"{saved / tokens:+.4f} of {sum(row.base for row in rows) / tokens:.3f}"
        table.add_row(
            each.set,
            each.run,
            str(n),
            _share([row.base_right for row in rows]),
            _share([row.mixed_right for row in rows]),
            f"{p:.2g}",
            worth,
            f"{sign_flip(gains, range(n)):.2g}",
        )
        if each is not first[each.set]:
            better = [row.mixed_right for row in first[each.set].rows]
            plain, own = [row.base_right for row in rows], [row.mixed_right for row in rows]
            for label, theirs in (("without its columns", plain), ("with them", own)):
                p = _paired(better, theirs)
                table.add_row("", f"  {told[0].run}'s thoughts : it {label}", "", "", "", f"{p:.2g}", "", "")
    return table


def _paired(first: list[bool], second: list[bool]) -> float:
    pairs = list(zip(first, second, strict=True))
    return mcnemar(pairs.count((True, False)), pairs.count((False, True)))


def _share(right: list[bool]) -> str:
    found = wilson(sum(right), len(right))
    return f"{100 * found.mean:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("runs", type=Path, nargs="+", help="folders of trainings, the one that thinks first")
    words.add_argument("--recipe", default="quiet-star", help="whose examples are not asked for")
    words.add_argument("--limit", type=int, default=500, help="questions of a set at most")
    words.add_argument("--only", default="", help="sets whose name matches this regular expression")
    given = words.parse_args()
    asked_of = questions(read_recipe(given.recipe), given.limit, given.only)
    found_by = [each for run in given.runs for each in told_by(run, asked_of)]
    Console(width=150).print(shown(found_by))
