"""What the search study is: plain data, checked when made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from poise.core import Ability, Sampling
from poise.costs import Card
from poise.errors import AbilityMissing, ConfigError, UnknownName
from poise.records import Json, plan_to_json, sampling_to_json
from poise.seams import Arm
from poise.store.pool_dir import PoolSettings
from poise.study.arms import way_of
from poise.study.grid import Way

VERSION = 1
TASKS = (
    "gsm_symbolic:templates=0-84",
    "leg_counting:min_animals=3,max_animals=6",
    "products:min_digits=2,max_digits=2",
)


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """`flat` arms choose from `draws` recorded draws of the first `limit` items of each task; `tree` arms are drawn
    live on the first `tree_limit` of the same items. `against`: the flat methods that trees are tested against, named
    beforehand. Raises ConfigError where this cannot work."""

    flat: tuple[Arm, ...]
    tree: tuple[Arm, ...]
    tasks: tuple[str, ...] = TASKS
    limit: int = 170
    tree_limit: int = 50
    draws: int = 32
    seed: int = 7700
    prompt: str = "bare"
    sampling: Sampling = field(default=Sampling())
    against: tuple[str, ...] = ("self_consistency", "weighted_vote")

    def __post_init__(self) -> None:
        pool = self.pool  # checks what it is made of
        if not 1 <= self.tree_limit <= self.limit:
            raise ConfigError("tree_items", self.tree_limit, f"1 to items = {self.limit}: trees search the same items")
        for side, arms in (("flat", self.flat), ("tree", self.tree)):
            if not arms:
                raise ConfigError(f"{side} arms", arms, "at least one")
        names = [way.arm for way in self.ways]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError("arms", name, "each name once, flat and tree arms together")
        for arm in self.flat:
            if Ability.CONTINUES in arm.plan.strategy.needs:
                raise AbilityMissing(arm.name, "the pool of draws", [Ability.CONTINUES.value], ["as a tree arm"])
            if way_of(arm, tree=False).width > pool.draws:
                raise ConfigError(f"draws, for {arm.name}", pool.draws, f"at least {way_of(arm, tree=False).width}")
        methods = {way.method for way in self.ways if not way.tree}
        for method in self.against:
            if method not in methods:
                raise UnknownName("against", method, methods)

    @property
    def pool(self) -> PoolSettings:
        """The draws that flat arms replay; their logprobs are kept, for scorers that read them."""
        sampling = dataclasses.replace(self.sampling, top_logprobs=0)
        return PoolSettings(self.tasks, self.limit, self.seed, self.draws, self.prompt, sampling)

    @property
    def ways(self) -> tuple[Way, ...]:
        """All arms, the flat ones first."""
        flat = (way_of(arm, tree=False) for arm in self.flat)
        return (*flat, *(way_of(arm, tree=True) for arm in self.tree))

    def to_json(self, card: Card) -> Json:
        """Everything that decides the outcome, with the model: a study goes on only under the same."""
        arms = {side: [_arm_to_json(arm) for arm in arms] for side, arms in (("flat", self.flat), ("tree", self.tree))}
        return {
            "version": VERSION,
            "study": "search",
            "tasks": self.tasks,
            "items": self.limit,
            "tree_items": self.tree_limit,
            "draws": self.draws,
            "seed": self.seed,
            "prompt": self.prompt,
            "sampling": sampling_to_json(self.sampling),
            "against": self.against,
            "model": card.name,
            **arms,
        }


def _arm_to_json(arm: Arm) -> Json:
    return {"name": arm.name, "plan": plan_to_json(arm.plan)}
