"""What the prompts of a benchmark were worth, for their files."""

from __future__ import annotations

from pathlib import Path

from poise import registry
from poise.errors import ConfigError, PoiseError
from poise.evals.rows import Row
from poise.evals.stats import wilson
from poise.prompts import Measurement, bytes_of, load
from poise.prompts.measured import with_measurements
from poise.records import Json
from poise.report.read import Reading
from poise.store.whole import drafted
from poise.strategies.direct import Direct


def worth(reading: Reading) -> dict[str, list[Measurement]]:
    """By prompt, as arms name it (an id, or a file), a measurement for each task that an arm of single draws asked with
    it. Rows that failed are wrong.

    Raises ConfigError where the benchmark is unfinished, where no arm draws once a question, where two arms ask with
    one prompt, and where a prompt is no longer what was asked."""
    found, arms = dict[str, list[Measurement]](), dict[str, str]()
    if len(reading.rows) < reading.wanted:
        raise ConfigError("run", str(reading.path), "a benchmark that is finished: the same command goes on")
    by_arm = reading.by_arm()
    for arm in reading.settings.get("arms", ()):
        name, plan = arm["name"], arm["plan"]
        if not by_arm.get(name) or not _draws_once(plan["strategy"]["name"]):
            continue
        prompt = plan["strategy"].get("prompt") or plan["prompt"]
        if prompt in arms:
            raise ConfigError("arms", f"{arms[prompt]} and {name}", f"one arm that asks with the prompt {prompt}")
        if load(prompt).hash != plan["prompt_hash"]:
            raise ConfigError("prompt", prompt, f"the file that was asked with, hash {plan['prompt_hash']}")
        arms[prompt] = name
        found[prompt] = _measured(reading, plan, by_arm[name])
    if not found:
        raise ConfigError(
            "run", str(reading.path), "a benchmark with an arm that draws once a question: direct, cot, ..."
        )
    return found


def write_worth(prompt: str, measured: list[Measurement], folder: Path) -> Path:
    """Write a prompt's file into a folder with what was measured, beside what a file of the same prompt there says
    already. Raises ConfigError where another prompt has its name there, and StoreError where it cannot be written."""
    told = load(prompt)
    path = folder / f"{told.id}.md"
    source = prompt
    if path.exists():
        source = str(path)
        if load(source).hash != told.hash:
            raise ConfigError("into", str(path), f"a folder without another prompt named {told.id}")
    with drafted(path) as draft:
        draft.write_bytes(with_measurements(bytes_of(source), measured))
    return path


def _measured(reading: Reading, plan: Json, rows: list[Row]) -> list[Measurement]:
    models = reading.settings.get("models", {})
    model = models.get(plan["engines"]["main"], plan["engines"]["main"]).replace(":", " ")
    found = []
    for task in dict.fromkeys(row.task for row in rows):
        some = [row for row in rows if row.task == task]
        share, n = wilson(sum(row.correct for row in some), len(some)), len(some)
        tokens = sum(row.usage.new_tokens for row in some) / n
        found.append(Measurement(model, share.mean, share.low, share.high, tokens, n, task))
    return found


def _draws_once(name: str) -> bool:
    """Whether a strategy is `direct` or one that only asks with another prompt."""
    try:
        return issubclass(registry.strategy_class(name), Direct)
    except PoiseError:  # of a plug-in that is gone
        return False
