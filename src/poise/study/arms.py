"""The arms of a study: read from files, and brought to one prompt, one sampling and one scorer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from poise.config import plan_of, read_bench
from poise.core import Sampling
from poise.errors import ConfigError
from poise.seams import Arm, Strategy
from poise.study.grid import Way

FLAT, TREE = (Path(__file__).with_name(name) for name in ("flat.toml", "tree.toml"))
"""Files of the arms that ship."""
LEARNT = "surprisal"
"""The learnt scorer of the shipped arms; another may take its place."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all arms of a study share. `scorer` scores whatever a file wants scored by LEARNT."""

    prompt: str = "bare"
    sampling: Sampling = Sampling()
    scorer: str = LEARNT


def read_arms(file: Path, terms: Terms, widest: int) -> tuple[Arm, ...]:
    """The arms of a file under these terms, those wider than `widest` left out, and those that the terms made equal to
    one before. Raises as `read_bench` does, UnknownName for the prompt, and ConfigError where no arm is left or one
    names engines or ceilings of its own."""
    found: dict[tuple[Strategy, str | None], Arm] = {}
    read = read_bench(file)
    for name, given in (("engines", read.engines), ("task", read.task)):
        if given:
            raise ConfigError(f"{file}: {name}", given, "arms alone; the study names the rest")
    for arm in read.arms:
        made = _under(arm, terms, str(file))
        if width_of(made.plan.strategy) <= widest:
            found.setdefault((made.plan.strategy, made.plan.scorer), made)
    if not found:
        raise ConfigError(str(file), [arm.name for arm in read.arms], f"at least one arm of width {widest} or less")
    return tuple(found.values())


def _under(arm: Arm, terms: Terms, file: str) -> Arm:
    plan = arm.plan
    plain = plan_of(plan.strategy, scorer=plan.scorer)
    if plan != plain or arm.sampling != Sampling():
        raise ConfigError(
            f"{file}: arms.{arm.name}", arm.name, "strategy, its knobs and scorer; the study sets the rest"
        )
    strategy = dataclasses.replace(plan.strategy, prompt=terms.prompt)  # type: ignore[type-var]
    scorer = terms.scorer if plan.scorer == LEARNT else plan.scorer
    return Arm(arm.name, plan_of(strategy, scorer=scorer), terms.sampling)


def width_of(strategy: Strategy) -> int:
    """The draws, or the paths of a tree; 1 where it has neither knob."""
    return int(getattr(strategy, "n", getattr(strategy, "width", 1)))


def way_of(arm: Arm, *, tree: bool) -> Way:
    """What an analysis needs to know of an arm."""
    strategy = arm.plan.strategy
    return Way(arm.name, strategy.name, arm.plan.scorer, width_of(strategy), tree)
