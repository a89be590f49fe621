"""The search study, in four phases: record the pool, replay it by flat arms, search trees live, and read the outcome.

    study.json                     the settings; a study cannot go on under others
    pool/  flat/  tree/            as `poise lab rollouts` and, twice, `poise bench` leave them
    analysis.json  study.md  study.png    what they show

Each phase goes on where it was stopped, and a finished one costs nothing more.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar, TypeAlias

from poise import run
from poise.engines.replay import Replay
from poise.errors import EngineError
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.evals.outcome import rows_of
from poise.evals.progress import Progress
from poise.evals.tasks import load_task
from poise.lab.pool import Pool, read_items, read_pool
from poise.lab.rollouts import record
from poise.seams import Engine, Scorer
from poise.store.environment import environment
from poise.store.pool_dir import PoolDir
from poise.store.run_dir import RunDir
from poise.store.whole import write_whole
from poise.study.analysis import Analysis, analyse
from poise.study.markdown import page
from poise.study.once import Remembering
from poise.study.picture import write_picture
from poise.study.settings import SearchSettings

ANALYSIS, PAGE, PICTURE = "analysis.json", "study.md", "study.png"

Phase: TypeAlias = Callable[[str], AbstractContextManager[Callable[[Progress], None]]]
"""Opens what shows the progress of a phase, by the phase's title."""


class StudyDir(RunDir):
    """The directory of a study. Its parts are directories of their own."""

    settings_file: ClassVar[str] = "study.json"
    line_files: ClassVar[tuple[str, ...]] = ()

    @property
    def pool(self) -> PoolDir:
        """The recorded draws."""
        return PoolDir(self.path / "pool")

    @property
    def flat(self) -> RunDir:
        """The benchmark of the flat arms."""
        return RunDir(self.path / "flat")

    @property
    def tree(self) -> RunDir:
        """The benchmark of the tree arms."""
        return RunDir(self.path / "tree")


async def search(
    settings: SearchSettings,
    engine: Engine,
    scorers: Mapping[str, Scorer],
    store: StudyDir,
    phase: Phase,
    parallel: int | None = None,
) -> Analysis:
    """The whole study in `store`, going on where it was left. `engine` draws the pool and the trees; `parallel`:
    questions that trees search at once (None: the engine's slots).

    Raises ConfigError before a token is spent, EngineError when draws of the pool failed or the engine is gone, and
    StoreError as benchmarks do; the same call then goes on. Cost: draws per item, plus `width` times the depth per tree
    arm and tree item; scores besides."""
    for arm in (*settings.flat, *settings.tree):
        run.check(arm.plan, {"main": engine}, scorers)
    for task in settings.tasks:
        load_task(task)
    with store.claimed(settings.to_json(engine.card), environment({"main": engine.card})):
        with phase("pool: drawing") as watch:
            await record(settings.pool, engine, store.pool, watch)
        await _flat(settings, scorers, store, phase)
        tree = BenchSettings(settings.tasks, settings.tree, settings.tree_limit, settings.seed, parallel)
        with phase("trees: searching") as watch:
            await bench(tree, {"main": engine}, scorers, store.tree, watch)
        found = analysis_of(settings, store)
        store.write(ANALYSIS, dataclasses.asdict(found))
        _write(settings, found, store, engine.card.name)
    return found


async def _flat(settings: SearchSettings, scorers: Mapping[str, Scorer], store: StudyDir, phase: Phase) -> None:
    """Every flat arm over the pool, which must be whole. Each draft is scored once, whatever arms share it."""
    drawn = sum(1 for _ in store.pool.draws())
    wanted = settings.draws * len(read_items(store.pool))
    if drawn < wanted:
        raise EngineError(f"{wanted - drawn} of {wanted} draws failed; the same command asks for them again")
    flat = BenchSettings(settings.tasks, settings.flat, settings.limit, settings.seed)
    with phase("flat arms: replaying") as watch:
        engines = {"main": Replay(store.pool.path, name="main")}
        await bench(flat, engines, Remembering(scorers), store.flat, watch)


def analysis_of(settings: SearchSettings, store: StudyDir) -> Analysis:
    """What the finished parts show."""
    rows = [*rows_of(store.flat), *rows_of(store.tree)]
    return analyse(settings.ways, rows, _grades(read_pool(store.pool.path)), settings.against, settings.seed)


def _write(settings: SearchSettings, found: Analysis, store: StudyDir, model: str) -> None:
    write_whole(store.path / PAGE, page(settings, found, model))
    if importlib.util.find_spec("matplotlib"):
        write_picture(found, store.path / PICTURE)


def _grades(pool: Pool) -> dict[str, tuple[bool, ...]]:
    return {one.item.id: one.grades for one in pool.items}
