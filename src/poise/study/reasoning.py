"""The study "inference scaling vs reasoning": thoughts at every token, search, both, and why both together failed.

    study.json             the settings; a study cannot go on under others
    main/  ablation/       benchmarks, as `poise bench` leaves them
    timed/                 the first items of the main arms once more, one at a time: what they take when nobody waits
    draws/                 what the arms of ablations drew: those that ask for the same share it
    study.md  study.html   what they show, beside what was published

Each part goes on where it was stopped, and a finished one costs nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from poise import run
from poise.core import Request, Sampling
from poise.engines.cache import cached
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.evals.tasks import load_task
from poise.records import Json
from poise.report.read import read
from poise.seams import Engine, Scorer
from poise.store.environment import environment
from poise.store.run_dir import SUMMARY, RunDir
from poise.store.whole import write_whole
from poise.strategies.quiet_star_rebase import QuietStarRebase
from poise.study.reasoning_arms import ABLATIONS, BENEATH, COMPARISONS, Design, ablation_arms, main_arms
from poise.study.reasoning_page import Outcome, markdown, page
from poise.study.search import Phase

VERSION, PAGE, HTML, DRAWS = 3, "study.md", "study.html", "draws"


@dataclass(frozen=True, slots=True)
class Part:
    """What is asked in one of the two parts, and how: `limit` items of each task."""

    design: Design
    tasks: tuple[str, ...]
    limit: int


MAIN = Part(
    Design(
        scorer="mean_logprob",
        union=QuietStarRebase(drafts=2, drafts_think=True, agree=1.0, sure=0.9, thought_share=1.0),
    ),
    (
        "basic_arithmetic:min_terms=3,max_terms=3,min_digits=1,max_digits=1",
        "chain_sum:min_terms=3,max_terms=3,min_digits=1,max_digits=2",
    ),
    250,
)
"""Answers at once, where thoughts are all the reasoning there is. Its gates and its scorer were chosen on other items
(docs/lab.md): two fast drafts that agree are right one time in ten there, two that thought four times in five, and the
mean logprob of an answer that was thought about tells right from wrong."""
ABLATION = Part(
    Design(prompt="bare", cut=12),
    ("chain_sum:min_terms=3,max_terms=4,min_digits=1,max_digits=2", "products:min_digits=1,max_digits=2"),
    75,
)
"""Answers in several written steps, where a search has something to search, and its flaws have something to spoil. They
have 24 to 32 tokens, so that a cut at the published 96 would never be one: it comes after 12."""


@dataclass(frozen=True, slots=True)
class ReasoningSettings:
    """Two parts; `seed` of items and draws; `beneath`: whether the model that never learnt to think answers, too;
    `timed`: items of each task that the main arms answer once more, one at a time."""

    main: Part = MAIN
    ablation: Part = ABLATION
    seed: int = 8800
    beneath: bool = False
    timed: int = 8

    def benches(self, parallel: int | None = None) -> tuple[BenchSettings, BenchSettings, BenchSettings]:
        """Main arms, the same one at a time, and ablations, as benchmarks. Raises ConfigError where they cannot
        work."""
        main, ablation = self.main, self.ablation
        arms = main_arms(main.design, beneath=self.beneath)
        parts = ablation_arms(ablation.design)
        return (
            BenchSettings(main.tasks, arms, main.limit, self.seed, parallel, COMPARISONS),
            BenchSettings(main.tasks, arms, min(self.timed, main.limit), self.seed, 1),
            BenchSettings(ablation.tasks, parts, ablation.limit, self.seed, parallel, ABLATIONS, replays=True),
        )

    def to_json(self, engines: Mapping[str, Engine]) -> Json:
        """Everything that decides the outcome."""
        main, timed, ablation = (bench.to_json(engines) for bench in self.benches())
        told: Json = {"version": VERSION, "study": "inference-scaling-vs-reasoning", "margin": self.main.design.margin}
        return told | {"main": main, "timed": timed, "ablation": ablation}


class ReasoningDir(RunDir):
    """The directory of the study. Its parts are directories of their own."""

    settings_file: ClassVar[str] = "study.json"
    line_files: ClassVar[tuple[str, ...]] = ()

    @property
    def main(self) -> RunDir:
        """The benchmark of the main arms."""
        return RunDir(self.path / "main")

    @property
    def timed(self) -> RunDir:
        """The benchmark of the main arms one at a time."""
        return RunDir(self.path / "timed")

    @property
    def ablation(self) -> RunDir:
        """The benchmark of the ablations."""
        return RunDir(self.path / "ablation")


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
    same call then goes on. Cost: most is that of the arms that always think: `votes` draws at 1 + passes each. Arms of
    ablations draw on the same dice, and a draw that two of them ask for is made once and billed to both."""
    main, timed, ablation = settings.benches(parallel)
    for arm in (*main.arms, *ablation.arms):
        run.check(arm.plan, engines, scorers, arm.sampling)
    for task in (*main.tasks, *ablation.tasks):
        load_task(task)
    needed = {name: engine for name, engine in engines.items() if name != BENEATH or settings.beneath}
    with store.claimed(settings.to_json(needed), environment({name: e.card for name, e in needed.items()})):
        with phase("main arms") as watch:
            await bench(main, needed, scorers, store.main, watch)
        if store.timed.read(SUMMARY) is None:
            await asyncio.gather(*map(warm, needed.values()))
        with phase("main arms, one question at a time") as watch:
            await bench(timed, needed, scorers, store.timed, watch)
        with phase("ablations") as watch:
            shared = {"main": cached(engines["main"], store.path / DRAWS)}
            await bench(ablation, shared, scorers, store.ablation, watch)
        found = Outcome(*(read(part.path) for part in (store.main, store.timed, store.ablation)))
        write(found, store.path, settings.main.design.margin)
    return found


async def warm(engine: Engine) -> None:
    """Have an engine ready, so that the first question that is timed does not wait for it. Cost: a token."""
    async with contextlib.aclosing(engine.stream(Request.ask("?").messages, Sampling(max_tokens=1))) as deltas:
        async for _ in deltas:
            pass


def write(found: Outcome, folder: Path, margin: float) -> None:
    """The pages of a study; the HTML needs plotly. Raises StoreError when the disk refuses."""
    write_whole(folder / PAGE, markdown(found, margin))
    if importlib.util.find_spec("plotly"):
        write_whole(folder / HTML, page(found, margin))
