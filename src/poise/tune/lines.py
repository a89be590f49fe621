"""A step as a line of `steps.jsonl`, whatever took it, and what is read of such a line; and what came of all steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poise.records import Json
from poise.tune.budget import Spent
from poise.tune.chain import Link
from poise.tune.step import Stepped, Tried

if TYPE_CHECKING:
    from poise.tune.optimizer import Tuned
    from poise.tune.tested import Tested


def step_to_json(number: int, place: int | None, found: Stepped, spent: Spent, tokens: Sequence[str] = ()) -> Json:
    """`place`: the token that was edited; None: the whole prompt was written anew. `tokens`: of the
    prompt before the step, as text."""
    right, rows = found.share
    return {
        "step": number,
        "place": place,
        "prompt": found.prompt,
        "accepted": found.accepted.source.value if found.accepted else None,
        "tried": [_tried(each) for each in found.tried],
        "failed": found.failed,
        "right": right,
        "rows": rows,
        "tokens": list(tokens),
        "spent": _spent(spent),
    }


def cut_to_json(number: int, seconds: float) -> Json:
    """A step that was cut off, as a line of `cut.jsonl`; what it asked until then is not known."""
    return {"step": number, "spent": _spent(Spent(seconds=seconds))}


def link(tried: Json) -> Link:
    """What a race saw of the prompt that it accepted; lines of before lengths were written tell nothing of them."""
    tokens, against = tried.get("tokens", 0.0), tried.get("incumbent_tokens", 0.0)
    gain = (tried["wins"] - tried["losses"]) / tried["rows"] if tried["rows"] else 0.0
    return Link(tried["prompt"], gain, tokens / against if against else 1.0)


def _spent(spent: Spent) -> Json:
    return {"calls": spent.calls, "tokens": spent.tokens, "seconds": round(spent.seconds, 3)}


def _tried(tried: Tried) -> Json:
    return {
        "prompt": tried.prompt,
        "kind": tried.edit.kind.value,
        "source": tried.edit.source.value,
        "slope": tried.edit.slope,
        "wins": tried.standing.wins,
        "losses": tried.standing.losses,
        "rows": tried.standing.rows,
        "tokens": round(tried.tokens, 3),
        "incumbent_tokens": round(tried.against, 3),
        "score": tried.score,
    }


def tested_to_json(tested: Tested) -> Json:
    """The outcome of the test, for `result.json`."""
    gained = tested.gained
    return {
        "n": len(tested.after.right),
        "before": tested.before.accuracy,
        "after": tested.after.accuracy,
        "gain": [gained.interval.mean, gained.interval.low, gained.interval.high],
        "p": gained.p,
    }


def tuned_to_json(tuned: Tuned) -> Json:
    """The outcome, for `result.json`."""
    return {
        "initial": tuned.initial,
        "best": tuned.best,
        "shown": tuned.shown,
        "gain": [tuned.gain.mean, tuned.gain.low, tuned.gain.high],
        "p": tuned.gained.p,
        "steps": tuned.steps,
        "prompts": [
            {"prompt": one.name, "accuracy": one.accuracy, "tokens": one.cost, "n": len(one.right)}
            for one in tuned.detailed_results
        ],
        "front": [placed.measured.name for placed in tuned.pareto_front],
    }
