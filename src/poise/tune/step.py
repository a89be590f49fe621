"""One step of an optimisation: propose tokens for a place, ask the gradient, race the shortlist on fresh answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from poise import prompts
from poise.core import Request, Sampling
from poise.errors import ConfigError
from poise.evals.rows import Item
from poise.evals.tasks import Task
from poise.tune.budget import Spent
from poise.tune.generate import Generated, generated
from poise.tune.placing import Placed, messages, placed
from poise.tune.race import Race, Standing, standing
from poise.tune.shortlist import By, Edit, free_edits, shortlist

if TYPE_CHECKING:
    from poise.engines.torch_lm import TorchLM
    from poise.tune.rows import LossTerms


@dataclass(frozen=True, slots=True)
class StepSettings:
    """`rows` questions tell the gradient, over `candidates` tokens; `tries` of them are raced, and two edits that only
    shorten. Answers have at most `reasoning_tokens`, drawn at `temperature`. Raises ConfigError."""

    by: By = By.MIXED
    rows: int = 8
    candidates: int = 8
    tries: int = 4
    reasoning_tokens: int = 96
    temperature: float = 0.7
    race: Race = field(default=Race())

    def __post_init__(self) -> None:
        for knob in ("rows", "candidates", "tries", "reasoning_tokens"):
            if getattr(self, knob) < 1:
                raise ConfigError(knob, getattr(self, knob), "1 or more")

    @property
    def sampling(self) -> Sampling:
        """Of every answer."""
        return Sampling(self.temperature, max_tokens=self.reasoning_tokens)


@dataclass(frozen=True, slots=True)
class Tried:
    """An edit, the prompt that it makes, and how it stood against the incumbent when the race ended."""

    edit: Edit
    prompt: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step found: the prompt after it (the same where nothing was surely better), what was tried, and what it
    cost. `failed`: answers that failed; they count as wrong on both sides. `raced`: whether the prompt that the step
    began with got the rows of the race right."""

    prompt: str
    accepted: Edit | None
    tried: tuple[Tried, ...]
    spent: Spent
    failed: int
    raced: tuple[bool, ...] = ()


class Stepper:
    """Takes steps for one task on one engine with weights. `items`: questions to learn from, never those that judge."""

    def __init__(
        self,
        engine: TorchLM,
        task: Task,
        items: Sequence[Item],
        settings: StepSettings,
        terms: LossTerms,
        seed: int = 0,
    ) -> None:
        from poise.tune.propose import Proposer, survives
        from poise.tune.relaxed import Relaxed

        if not items:
            raise ConfigError("trainset", 0, "at least one question")
        self._engine, self._task, self._items, self._settings = engine, task, list(items), settings
        self._tokenizer: Any = engine.tokenizer()
        self._relaxed = Relaxed(engine.model(), terms)
        self._proposer = Proposer(engine.model(), survives(self._tokenizer))
        self._seed = seed

    async def step(self, number: int, prompt: str, place: int) -> Stepped:
        """Step `number` at token `place` of the prompt: the same for the same seed, whatever came before. Raises
        ConfigError for a prompt that cannot be placed, or a place that it does not have."""
        dice, spent = random.Random(f"{self._seed}/{number}"), Spent()
        edits = await self._edits(prompt, place, dice, spent)
        texts = {self._tokenizer.decode(list(edit.of(self._ids(prompt)))).strip(): edit for edit in reversed(edits)}
        texts = {text: edit for text, edit in texts.items() if text and text != prompt and self._stands(text)}
        tried, failed = await self._race(prompt, texts, dice, spent)
        best = self._settings.race.winner(tried[prompt], {text: tried[text] for text in texts})
        told = tuple(Tried(edit, text, standing(tried[prompt], tried[text])) for text, edit in texts.items())
        return Stepped(best or prompt, texts[best] if best else None, told, spent, failed, tuple(tried[prompt]))

    def _ids(self, prompt: str) -> tuple[int, ...]:
        return placed(self._tokenizer, self._items[0].question, prompt).prompt

    def _stands(self, prompt: str) -> bool:
        """Whether a prompt can be taken apart in its turn."""
        try:
            self._ids(prompt)
        except ConfigError:
            return False
        return True

    async def _edits(self, prompt: str, place: int, dice: random.Random, spent: Spent) -> list[Edit]:
        """The shortlist at a place, by answers to a few questions under the prompt as it is."""
        settings = self._settings
        items = dice.sample(self._items, min(settings.rows, len(self._items)))
        parts = [placed(self._tokenizer, item.question, prompt) for item in items]
        ids = parts[0].prompt
        if not 0 <= place < len(ids):
            raise ConfigError("place", place, f"0 to {len(ids) - 1}, the prompt's tokens")
        befores = [part.before for part in parts]
        candidates = await asyncio.to_thread(self._proposer.fitting, befores, ids, place, settings.candidates)
        spent.add(tokens=sum(len(before) + place for before in befores))
        slopes = None
        if settings.by in (By.GRADIENT, By.MIXED):
            answers = await self._answers(items, prompt, dice.randrange(1 << 30), spent)
            slopes = await asyncio.to_thread(self._slopes, items, parts, answers, place, candidates)
            spent.add(tokens=sum(len(part.whole) + len(told.ids) for part, told in zip(parts, answers, strict=True)))
        chosen = shortlist(settings.by, candidates, slopes, place, settings.tries, dice)
        return chosen + free_edits(ids, place)

    def _slopes(
        self, items: Sequence[Item], parts: Sequence[Placed], told: Sequence[Generated], place: int, tokens: list[int]
    ) -> list[float]:
        """The gradient of each candidate, summed over the rows that could be answered."""
        rows = []
        for item, part, each in zip(items, parts, told, strict=True):
            if not each.failure:
                asked = prompts.closing(Request.ask(item.question, item.kind))
                rows.append(part.row(each.ids, self._read(asked), self._read(f" {item.truth}")))
        if not rows:
            return [0.0] * len(tokens)
        found = self._relaxed.slopes(rows, parts[0].prompt, place, tokens)
        return [float(slope) for slope in found.gradient.sum(0)]

    def _read(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)

    async def _race(
        self, prompt: str, texts: dict[str, Edit], dice: random.Random, spent: Spent
    ) -> tuple[dict[str, list[bool]], int]:
        """Outcomes of the prompt and of its rivals on fresh answers to the same questions, block by block."""
        race = self._settings.race
        order = dice.sample(self._items, min(race.most, len(self._items)))
        right: dict[str, list[bool]] = {text: [] for text in (prompt, *texts)}
        failed = 0
        for first in range(0, len(order), race.block):
            running = race.running(right[prompt], {text: right[text] for text in texts})
            if not running:
                break
            block, seed = order[first : first + race.block], dice.randrange(1 << 30)
            every = await asyncio.gather(*(self._answers(block, text, seed, spent) for text in (prompt, *running)))
            for text, told in zip((prompt, *running), every, strict=True):
                right[text] += [each.right for each in told]
                failed += sum(bool(each.failure) for each in told)
        return right, failed

    async def _answers(self, items: Sequence[Item], prompt: str, seed: int, spent: Spent) -> list[Generated]:
        told = await generated(
            self._engine, self._task, items, lambda item: messages(item.question, prompt), self._settings.sampling, seed
        )
        spent.add(calls=len(told), tokens=sum(each.tokens for each in told))
        return told
