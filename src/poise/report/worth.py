"""What the prompts of a benchmark were worth, for their files."""

from __future__ import annotations

from collections.abc import Iterable

from poise.errors import ConfigError
from poise.evals.stats import wilson
from poise.prompts import Measurement
from poise.report.read import Reading


def worth(reading: Reading) -> dict[str, list[Measurement]]:
    """By prompt, a measurement for each task that an arm of single draws asked with it. Rows that failed are wrong.
    Raises ConfigError where no arm draws once a question."""
    models, found = reading.settings.get("models", {}), dict[str, list[Measurement]]()
    arms = {arm["name"]: arm["plan"] for arm in reading.settings.get("arms", ())}
    for name, rows in reading.by_arm().items():
        plan = arms.get(name)
        if not plan or not plan.get("prompt") or any(row.usage.calls > 1 for row in rows):
            continue
        model = models.get(plan["engines"]["main"], plan["engines"]["main"]).replace(":", " ")
        for task in dict.fromkeys(row.task for row in rows):
            some = [row for row in rows if row.task == task]
            share, n = wilson(sum(row.correct for row in some), len(some)), len(some)
            tokens = sum(row.usage.new_tokens for row in some) / n
            told = Measurement(model, share.mean, share.low, share.high, tokens, n, task)
            found.setdefault(plan["prompt"], []).append(told)
    if not found:
        raise ConfigError(
            "run", str(reading.path), "a benchmark with an arm that draws once a question: direct, cot, ..."
        )
    return found


def with_worth(text: str, measured: Iterable[Measurement]) -> str:
    """A prompt file's text with measurements at the end of its header, in the place of older ones of the same model on
    the same task."""
    lines, told = text.splitlines(), list(measured)
    end = lines.index("---", 1)
    header = [line for line in lines[:end] if not any(_same(line, each) for each in told)]
    added = [f"measured {each.model}: {each.told()}" for each in told]
    return "\n".join([*header, *added, *lines[end:], ""])


def _same(line: str, each: Measurement) -> bool:
    return line.startswith(f"measured {each.model}: ") and line.endswith(f", {each.task}")
