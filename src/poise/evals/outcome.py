"""What a run directory holds: its rows, and their summary."""

from __future__ import annotations

from dataclasses import replace

from poise.engines.replay import REPLAYED
from poise.errors import NoAnswer
from poise.evals.joules import joules_of
from poise.evals.rows import Row, Summary
from poise.evals.rows_json import row_from_json
from poise.evals.summary import summarise
from poise.store.run_dir import CONFIG, GRADES, RunDir


def rows_of(store: RunDir) -> list[Row]:
    """One row per item and arm: the last one written. Raises DataError for a broken line."""
    return list({(row.item, row.arm): row for row in map(row_from_json, store.lines(GRADES))}.values())


def final(row: Row) -> bool:
    """Whether the row stands: an answer, or none within the arm's own budget. What failed for any other reason (engine,
    model, scorer) counts as wrong for now and is asked again when the run goes on."""
    return row.error in (None, NoAnswer.__name__)


def summary_of(store: RunDir) -> Summary:
    """The summary of what is finished so far, its arms in the order of the settings whichever finished first. Raises
    ConfigError where nothing is."""
    config = store.read(CONFIG) or {}
    place = {arm["name"]: index for index, arm in enumerate(config.get("arms", ()))}
    rows = sorted(rows_of(store), key=lambda row: place[row.arm])
    answered = {row.arm for row in rows}
    compare = [(first, second) for first, second in config.get("compare", ()) if {first, second} <= answered]
    summary = summarise(rows, compare=compare, seed=config.get("seed", 0), joules=joules_of(store))
    pooled = any(model.endswith(REPLAYED) for model in config.get("models", {}).values())
    return replace(summary, replayed=pooled or config.get("replays", False))
