"""One step of an optimisation: propose tokens for a place, ask the gradient, race the shortlist on fresh answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from poise.core import Sampling
from poise.errors import ConfigError
from poise.tune.asking import Asking
from poise.tune.budget import Spent
from poise.tune.lengths import Outcome, Shorter, means, rights
from poise.tune.race import Race, Standing, standing
from poise.tune.shortlist import By, Edit, free_edits, shortlist

_FREE, _OF_LENGTH = 2, 4  # edits at most that need no choice among tokens, and that the bank and the numbers give


@dataclass(frozen=True, slots=True)
class StepSettings:
    """`rows` questions tell the gradient, over `candidates` tokens; `tries` of them are raced, and two edits that only
    shorten. Answers have at most `reasoning_tokens`, drawn at `temperature`. `shorter`: length is an objective too, and
    edits of length are raced (None: accuracy alone); with it, 0 `tries` race these alone: no token is chosen, and none
    left out. Steps as GReaTer takes them (`By.GREATER`) are greedy, have neither race nor bar, and know no other
    objective. Raises ConfigError."""

    by: By = By.MIXED
    rows: int = 8
    candidates: int = 8
    tries: int = 4
    reasoning_tokens: int = 96
    temperature: float = 0.7
    race: Race = field(default=Race())
    shorter: Shorter | None = None

    def __post_init__(self) -> None:
        for knob in ("rows", "candidates", "reasoning_tokens"):
            if getattr(self, knob) < 1:
                raise ConfigError(knob, getattr(self, knob), "1 or more")
        if self.tries < (0 if self.shorter else 1):
            raise ConfigError("tries", self.tries, "1 or more; 0 with shorter alone")
        if self.shorter and self.by is By.GREATER:
            raise ConfigError("shorter", self.by.value, "another way than greater, which knows accuracy alone")

    @property
    def slopes(self) -> bool:
        """Whether steps take a gradient."""
        return self.by.slopes and self.tries > 0

    @property
    def looks(self) -> Race:
        """The race as it is run: where length counts, too, nobody leaves for being behind others, so that looks stay a
        block apart."""
        return replace(self.race, keep=1.0) if self.shorter else self.race

    @property
    def sampling(self) -> Sampling:
        """Of every answer."""
        return Sampling(0.0 if self.by is By.GREATER else self.temperature, max_tokens=self.reasoning_tokens)


@dataclass(frozen=True, slots=True)
class Tried:
    """An edit, the prompt that it makes, and how it stood against the incumbent when the race ended. `tokens` a row,
    and the incumbent's `against` them on the same rows (0: no row). `score`: where steps decide by one, the lower the
    better."""

    edit: Edit
    prompt: str
    standing: Standing
    tokens: float = 0.0
    against: float = 0.0
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step found: the prompt after it (the same where nothing was surely better), what was tried, and what it
    cost. `failed`: answers that failed; they count as wrong on both sides. `raced`: whether the prompt that the step
    began with got the rows of the race right (none: not told)."""

    prompt: str
    accepted: Edit | None
    tried: tuple[Tried, ...]
    spent: Spent
    failed: int
    raced: tuple[bool, ...] = ()

    @property
    def share(self) -> tuple[int, int]:
        """How many of the race's rows that prompt got right, and how many there were."""
        return sum(self.raced), len(self.raced)


class Stepper:
    """Takes steps by what `asking` is told: one task on one engine with weights, and questions to learn from, never
    those that judge."""

    def __init__(self, asking: Asking, settings: StepSettings, seed: int = 0) -> None:
        self._asking, self._settings, self._seed = asking, settings, seed

    def most(self, prompt: str) -> Spent:
        """What a step costs at most. Raises ConfigError for a prompt that cannot be placed or fills the window."""
        from poise.tune.propose import LOOKAHEAD, POOL

        settings, items = self._settings, self._asking.items
        self._asking.ids(prompt)
        of_tokens = settings.tries + _FREE if settings.tries else 0
        rivals = of_tokens + (_OF_LENGTH if settings.shorter else 0)
        rows = min(settings.rows, len(items))
        found = self._asking.most(prompt, rows, settings.looks.answers(rivals, len(items)))
        if not settings.tries:
            return found
        longest = max(len(part.whole) for _, part in self._asking.parts(items, prompt))
        found.add(tokens=rows * self._asking.proposer.reading(longest, POOL * LOOKAHEAD, POOL))
        return found

    def place(self, number: int, last: int | None, prompt: str) -> int:
        """Where step `number` edits: from left to right, and round again."""
        return number % len(self._asking.ids(prompt))

    async def step(self, number: int, prompt: str, place: int) -> Stepped:
        """Step `number` at token `place` of the prompt: the same for the same seed, whatever came before. Raises
        ConfigError for a prompt that cannot be placed, or a place that it does not have."""
        dice, spent = random.Random(f"{self._seed}/{number}"), Spent()
        texts = self._texts(prompt, await self._edits(prompt, place, dice, spent))
        rows, failed = await self._race(prompt, texts, dice, spent)
        best = self._winner(rows[prompt], {text: told for text, told in rows.items() if text != prompt})
        told = tuple(
            Tried(edit, text, standing(rights(rows[prompt]), rights(rows[text])), *means(rows[prompt], rows[text]))
            for text, edit in texts.items()
        )
        raced = tuple(rights(rows[prompt]))
        return Stepped(best or prompt, texts[best] if best else None, told, spent, failed, raced)

    def _texts(self, prompt: str, edits: Sequence[Edit]) -> dict[str, Edit]:
        """What the edits make of the prompt, as far as that can be asked; of edits that make the same, the first."""
        asking = self._asking
        ids, found = asking.ids(prompt), dict[str, Edit]()
        for edit in reversed(edits):
            text = asking.text(edit.of(ids)) if edit.text is None else edit.text
            if text and text != prompt and asking.stands(text):
                found[text] = edit
        return found

    async def _edits(self, prompt: str, place: int, dice: random.Random, spent: Spent) -> list[Edit]:
        """The shortlist at a place, and edits of length."""
        ids, settings = self._asking.ids(prompt), self._settings
        if not 0 <= place < len(ids):
            raise ConfigError("place", place, f"0 to {len(ids) - 1}, the prompt's tokens")
        of_tokens = await self._swaps(prompt, place, dice, spent) + free_edits(ids, place) if settings.tries else []
        return of_tokens + (settings.shorter.phrases.edits(prompt, dice) if settings.shorter else [])

    async def _swaps(self, prompt: str, place: int, dice: random.Random, spent: Spent) -> list[Edit]:
        """Other tokens at a place, by answers to a few questions under the prompt as it is."""
        settings, asking = self._settings, self._asking
        ids = asking.ids(prompt)
        parts = asking.some(settings.rows, prompt, dice)
        befores = [part.before for _, part in parts]
        proposed = await asyncio.to_thread(asking.proposer.fitting, befores, ids, place, settings.candidates)
        spent.add(tokens=proposed.cost)
        slopes = None
        if settings.by.slopes:
            told = await asking.answers([item for item, _ in parts], prompt, dice.randrange(1 << 30), spent)
            rows = await asking.rows(parts, prompt, told, spent)
            slopes = await asking.slopes(rows, ids, place, proposed.tokens, spent)
        return shortlist(settings.by, proposed.tokens, slopes, place, settings.tries, dice)

    async def _race(
        self, prompt: str, texts: dict[str, Edit], dice: random.Random, spent: Spent
    ) -> tuple[dict[str, list[Outcome]], int]:
        """Outcomes of the prompt and of its rivals on fresh answers to the same questions, block by block. Rivals stand
        in any order, so that no kind of edit is the first of equals."""
        race, items = self._settings.looks, self._asking.items
        order = dice.sample(items, min(race.most, len(items)))
        rivals = dice.sample(list(texts), len(texts))
        rows: dict[str, list[Outcome]] = {text: [] for text in (prompt, *rivals)}
        for places in race.blocks(len(order)):
            running = self._running(rows[prompt], {text: rows[text] for text in rivals})
            if not running:
                break
            block, seed = [order[place] for place in places], dice.randrange(1 << 30)
            asked = (self._asking.answers(block, text, seed, spent) for text in (prompt, *running))
            for text, told in zip((prompt, *running), await asyncio.gather(*asked), strict=True):
                rows[text] += [each.outcome for each in told]
        return rows, sum(row.failed for each in rows.values() for row in each)

    def _running(self, incumbent: Sequence[Outcome], rivals: dict[str, list[Outcome]]) -> list[str]:
        race, shorter = self._settings.looks, self._settings.shorter
        if shorter:
            return shorter.running(race, incumbent, rivals)
        return race.running(rights(incumbent), {text: rights(rows) for text, rows in rivals.items()})

    def _winner(self, incumbent: Sequence[Outcome], rivals: dict[str, list[Outcome]]) -> str | None:
        race, shorter = self._settings.looks, self._settings.shorter
        if shorter:
            return shorter.winner(race, incumbent, rivals)
        return race.winner(rights(incumbent), {text: rights(rows) for text, rows in rivals.items()})
