"""What `poise tune` opens: the engine that is tuned for, the one that reflects, and the search between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poise.cli.lab_rollouts import connected
from poise.config import engine_of
from poise.errors import ConfigError

if TYPE_CHECKING:
    from poise.config import EngineSpec
    from poise.seams import Engine
    from poise.tune.estimate import Estimate
    from poise.tune.headroom import Headroom
    from poise.tune.optimizer import Problem, Progress, Tuned, TuneSettings
    from poise.tune.reflect import Reflection


@dataclass(frozen=True, slots=True)
class Words:
    """Of the command line: how edits are found, the engine, its model where that is a URL, and the one that reflects
    (URL MODEL, or a word; the same if empty). Raises ConfigError for what cannot go together."""

    by: str
    engine: str
    model: str = ""
    reflection: str = ""

    def __post_init__(self) -> None:
        from poise.tune.evolve import GEPA, require_gepa

        if self.reflection and not self.evolves:
            raise ConfigError("reflection", self.reflection, f"nothing, unless --by {GEPA}")
        if self.evolves:
            require_gepa()
        elif self.spec.kind != "torch":
            allowed = f"an engine with weights: torch, or torch:MODEL; any engine will do with --by {GEPA}"
            raise ConfigError("engine", self.engine, allowed)

    @property
    def evolves(self) -> bool:
        """Whether prompts are proposed by reflection, without gradients."""
        from poise.tune.evolve import GEPA

        return self.by == GEPA

    @property
    def spec(self) -> EngineSpec:
        """The engine that is tuned for."""
        return engine_of(self.engine, self.model)

    @asynccontextmanager
    async def reflecting(self, engine: Engine) -> AsyncIterator[Reflection]:
        """The engine that reflects, closed in the end unless it is that one."""
        from poise.tune.reflect import Reflection

        if not self.reflection:
            yield Reflection(engine)
            return
        word, _, model = self.reflection.partition(" ")
        async with connected(engine_of(word, model) if model else engine_of(self.reflection)) as other:
            yield Reflection(other)


async def searched(words: Words, problem: Problem, settings: TuneSettings, run: Path) -> Tuned:
    """The search in a run directory, told on standard error step by step."""
    from rich.console import Console

    from poise.tune.evolve import EvolveDir, evolve
    from poise.tune.facade import with_weights
    from poise.tune.optimizer import TuneDir, optimise

    console = Console(stderr=True)

    def watch(progress: Progress) -> None:
        share = progress.spent / progress.ceiling
        console.print(f"{share:4.0%} step {progress.step}: {progress.prompt!r}", highlight=False, markup=False)

    async with connected(words.spec) as live:
        if not words.evolves:
            return await optimise(with_weights(live), problem, settings, TuneDir(run), watch)
        async with words.reflecting(live) as reflection:
            return await evolve(live, reflection, problem, settings, EvolveDir(run), watch)


async def before(words: Words, problem: Problem, settings: TuneSettings) -> tuple[Headroom, Estimate]:
    """Whether there is anything to gain, and what the budget will mean."""
    from poise.tune.estimate import estimate, estimate_evolving
    from poise.tune.facade import with_weights
    from poise.tune.headroom import ROWS, headroom

    async with connected(words.spec) as live:
        room = await headroom(live, problem.task, problem.learn[:ROWS], settings)
        if not words.evolves:
            return room, await estimate(with_weights(live), problem, settings)
        async with words.reflecting(live) as reflection:
            return room, await estimate_evolving(live, reflection, problem, settings)
