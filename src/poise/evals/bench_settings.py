"""What a benchmark is: tasks, arms, how many items, and the seed. Plain data, checked when made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from poise import prompts
from poise.errors import ConfigError, UnknownName
from poise.records import Json, plan_to_json, sampling_to_json, strategy_to_json
from poise.seams import Arm, Engine

VERSION = 1


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """Every arm answers the same `limit` items of each task. `parallel`: questions at once (None: the engine's slots,
    else 8); with more than one, seconds per question include waiting for the engine. `compare`: (first, second) arms to
    be tested against each other, named beforehand. `replays`: the engines replay what they drew before, so seconds are
    not measured. Raises ConfigError where this cannot work."""

    tasks: tuple[str, ...]
    arms: tuple[Arm, ...]
    limit: int = 100
    seed: int = 0
    parallel: int | None = None
    compare: tuple[tuple[str, str], ...] = ()
    replays: bool = False

    def __post_init__(self) -> None:
        for field, given in (("tasks", self.tasks), ("arms", self.arms)):
            if not given:
                raise ConfigError(field, given, "at least one")
        names = Counter(arm.name for arm in self.arms)
        name, times = names.most_common(1)[0]
        if times > 1:
            raise ConfigError("arms", name, "each name once")
        for field, number in (("limit", self.limit), ("parallel", self.parallel)):
            if number is not None and number < 1:
                raise ConfigError(field, number, "1 or more")
        for name in (name for pair in self.compare for name in pair):
            if name not in names:
                raise UnknownName("compare", name, names)

    def to_json(self, engines: Mapping[str, Engine]) -> Json:
        """Everything that decides the outcome, for config.json: the settings, and by name the models behind the engines
        and the hashes of the prompts in use. A run goes on only under the same."""
        told: Json = {
            "version": VERSION,
            "tasks": self.tasks,
            "limit": self.limit,
            "seed": self.seed,
            "parallel": self.parallel,
            "compare": self.compare,
            "arms": [_arm_to_json(arm) for arm in self.arms],
            "models": {name: engines[name].card.name for arm in self.arms for _, name in arm.plan.engines},
            "prompts": {id: prompts.load(id).hash for arm in self.arms for id in _prompts(arm)},
        }
        return told | ({"replays": True} if self.replays else {})


def _arm_to_json(arm: Arm) -> Json:
    return {"name": arm.name, "plan": plan_to_json(arm.plan), "sampling": sampling_to_json(arm.sampling)}


def _prompts(arm: Arm) -> Iterator[str]:
    """The prompt of the strategy, and those of the strategies among its knobs."""

    def inside(node: Any) -> Iterator[str]:
        if isinstance(node, list):
            for item in node:
                yield from inside(item)
        elif isinstance(node, dict):
            if "prompt" in node:
                yield node["prompt"]
            yield from inside(list(node.values()))

    yield arm.plan.strategy.prompt
    yield from inside(strategy_to_json(arm.plan.strategy))
