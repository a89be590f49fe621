"""The study "inference scaling vs reasoning": thoughts at every token, search, both, and why both together failed.

    study.json             the settings; a study cannot go on under others
    main/  ablation/       benchmarks, as `poise bench` leaves them
    study.md  study.html   what they show, beside what was published

Each part goes on where it was stopped, and a finished one costs nothing more.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from poise import run
from poise.errors import ConfigError
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.evals.tasks import load_task
from poise.records import Json
from poise.report.read import Reading, read
from poise.seams import Engine, Scorer
from poise.store.environment import environment
from poise.store.run_dir import RunDir
from poise.study.reasoning_arms import ABLATIONS, BENEATH, COMPARISONS, Design, ablation_arms, main_arms
from poise.study.reasoning_page import markdown, page
from poise.study.search import Phase
from poise.study.settings import TASKS

VERSION, PAGE, HTML = 1, "study.md", "study.html"


@dataclass(frozen=True, slots=True)
class ReasoningSettings:
    """`limit` items of each task for the main arms, the first `ablation_limit` of the same for the ablations. Raises
    ConfigError where this cannot work."""

    design: Design = Design()
    tasks: tuple[str, ...] = TASKS
    limit: int = 100
    ablation_limit: int = 50
    seed: int = 8800
    beneath: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.ablation_limit <= self.limit:
            raise ConfigError("ablation_items", self.ablation_limit, f"1 to items = {self.limit}")

    def main(self, parallel: int | None = None) -> BenchSettings:
        """The main arms."""
        arms = main_arms(self.design, beneath=self.beneath)
        return BenchSettings(self.tasks, arms, self.limit, self.seed, parallel, COMPARISONS)

    def ablation(self, parallel: int | None = None) -> BenchSettings:
        """The ablations."""
        return BenchSettings(
            self.tasks, ablation_arms(self.design), self.ablation_limit, self.seed, parallel, ABLATIONS
        )

    def to_json(self, engines: Mapping[str, Engine]) -> Json:
        """Everything that decides the outcome."""
        parts = {"main": self.main().to_json(engines), "ablation": self.ablation().to_json(engines)}
        return {"version": VERSION, "study": "inference-scaling-vs-reasoning", **parts}


class ReasoningDir(RunDir):
    """The directory of the study. Its parts are directories of their own."""

    settings_file: ClassVar[str] = "study.json"
    line_files: ClassVar[tuple[str, ...]] = ()

    @property
    def main(self) -> RunDir:
        """The benchmark of the main arms."""
        return RunDir(self.path / "main")

    @property
    def ablation(self) -> RunDir:
        """The benchmark of the ablations."""
        return RunDir(self.path / "ablation")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the finished parts hold."""

    main: Reading
    ablation: Reading


async def reasoning(
    settings: ReasoningSettings,
    engines: Mapping[str, Engine],
    scorers: Mapping[str, Scorer],
    store: ReasoningDir,
    phase: Phase,
    parallel: int | None = None,
) -> Outcome:
    """The whole study in `store`, going on where it was left. `engines`: "main", which can think, and "beneath" where
    the settings want it; `parallel`: questions at once (None: the engine's slots).

    Raises ConfigError before a token is spent, EngineError when an engine is gone, and StoreError as benchmarks do; the
    same call then goes on. Cost: most is that of the arms that always think: `votes` draws at 1 + passes each."""
    main, ablation = settings.main(parallel), settings.ablation(parallel)
    for arm in (*main.arms, *ablation.arms):
        run.check(arm.plan, engines, scorers)
    for task in settings.tasks:
        load_task(task)
    needed = {name: engine for name, engine in engines.items() if name != BENEATH or settings.beneath}
    with store.claimed(settings.to_json(needed), environment({name: e.card for name, e in needed.items()})):
        with phase("main arms") as watch:
            await bench(main, needed, scorers, store.main, watch)
        with phase("ablations") as watch:
            await bench(ablation, {"main": engines["main"]}, scorers, store.ablation, watch)
        found = Outcome(read(store.main.path), read(store.ablation.path))
        write(found, store.path)
    return found


def write(found: Outcome, folder: Path) -> None:
    """The pages of a study; the HTML needs plotly."""
    (folder / PAGE).write_text(markdown(found.main, found.ablation), encoding="utf-8")
    if importlib.util.find_spec("plotly"):
        (folder / HTML).write_text(page(found.main, found.ablation), encoding="utf-8")
