"""What every way of taking a step does: ask questions under a prompt, and take the gradient behind the answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from poise.core import Sampling
from poise.errors import ConfigError
from poise.evals.rows import Item
from poise.evals.tasks import Task
from poise.tune import stops
from poise.tune.budget import Spent
from poise.tune.emit import tidy
from poise.tune.generate import Generated, answered, generated
from poise.tune.labels import Label, labels
from poise.tune.placing import Placed, messages, placed, said
from poise.tune.rows import LossTerms, Row

if TYPE_CHECKING:
    from poise.engines.torch_lm import TorchLM

TOGETHER = 8
"""Rows of one pass that takes a gradient: what it holds in memory grows with them."""


class Asking:
    """Questions to learn from, put to one engine with weights. `sampling`: of every answer; `slopes`: whether gradients
    will be asked for; questions whose answer cannot be told apart from the text that asks for it tell none. Raises
    ConfigError where there is no question or, one named, none that tells a gradient."""

    def __init__(
        self, engine: TorchLM, task: Task, items: Sequence[Item], sampling: Sampling, terms: LossTerms, slopes: bool
    ) -> None:
        from poise.tune.propose import Proposer, survives
        from poise.tune.relaxed import Relaxed

        if not items:
            raise ConfigError("trainset", 0, "at least one question")
        self._engine, self._task, self.items, self._sampling = engine, task, list(items), sampling
        self.tokenizer: Any = engine.tokenizer()
        self._labels = labels(self.tokenizer, items) if slopes else dict[str, Label]()
        self._telling = [item for item in self.items if not slopes or item.id in self._labels]
        self._shortest = min(self.items, key=lambda item: len(item.question))
        self._relaxed, self._terms = Relaxed(engine.model(), terms), terms
        if slopes:
            self._relaxed.check()
        self._ends = tuple(sorted(engine.ends))
        self._places: int | None = getattr(engine.model().config, "max_position_embeddings", None)
        self.proposer = Proposer(engine.model(), survives(self.tokenizer, self._shortest.question))

    @property
    def reads_off(self) -> bool:
        """Whether answers are read off at step ends, for the stop term of the loss."""
        return bool(self._labels and self._ends) and self._terms.stop_weight > 0

    def ids(self, prompt: str) -> tuple[int, ...]:
        """A prompt's tokens. Raises ConfigError for one that cannot be taken apart in its turn, or that leaves no
        question's answer room in the window."""
        whole = placed(self.tokenizer, self._shortest.question, prompt)
        room = self._engine.context - self._sampling.max_tokens
        if len(whole.whole) > room:
            allowed = f"{room} at most with its question: a window of {self._engine.context}, less the answer"
            raise ConfigError("tokens of the prompt", len(whole.whole), allowed)
        return whole.prompt

    def text(self, ids: Sequence[int]) -> str:
        """A prompt's tokens as it is kept."""
        return said(self.tokenizer, ids).strip()

    def stands(self, prompt: str) -> bool:
        """Whether `ids` gives tokens for a prompt, and its file can hold it."""
        if tidy(prompt) != prompt:
            return False
        try:
            self.ids(prompt)
        except ConfigError:
            return False
        return True

    def parts(self, items: Sequence[Item], prompt: str) -> list[tuple[Item, Placed]]:
        """The prompt behind each question; questions behind which it cannot be told apart, or is read as other tokens,
        are left out."""
        found, ids = [], self.ids(prompt)
        for item in items:
            try:
                part = placed(self.tokenizer, item.question, prompt)
            except ConfigError:
                continue
            if part.prompt == ids:
                found.append((item, part))
        return found

    def some(self, count: int, prompt: str, dice: random.Random) -> list[tuple[Item, Placed]]:
        """The same for at most so many questions that tell what is asked for, drawn; at least one."""
        drawn = self.parts(dice.sample(self._telling, min(count, len(self._telling))), prompt)
        return drawn or self.parts([self._shortest], prompt)

    async def answers(self, items: Sequence[Item], prompt: str, seed: int, spent: Spent) -> list[Generated]:
        """A fresh answer to each item; see `generated`."""
        told = await generated(
            self._engine, self._task, items, lambda item: messages(item.question, prompt), self._sampling, seed
        )
        spent.add(calls=len(told), tokens=sum(each.tokens for each in told))
        return told

    async def rows(
        self, parts: Sequence[tuple[Item, Placed]], prompt: str, told: Sequence[Generated], spent: Spent
    ) -> list[Row]:
        """The questions that tell a gradient and whose answers came, as what it is taken of; with the stops of their
        reasoning, read off at its step ends, where the loss has that term."""
        kept = [(part, each) for part, each in zip(parts, told, strict=True) if part[0].id in self._labels]
        items = [item for (item, _), _ in kept]
        ends: list[tuple[int, tuple[int, ...]] | None] = [None] * len(kept)
        if self.reads_off:
            turns = [messages(item.question, prompt) for item in items]
            asked = stops.read_offs(self.tokenizer, items, turns, [each for _, each in kept], self._sampling.max_tokens)
            read = await answered(self._engine, self._task, [each.asked for each in asked], stops.READ_OFF, 0)
            spent.add(calls=len(read), tokens=sum(each.tokens for each in read))
            ends = stops.stops(len(kept), asked, read, self._ends)
        found = [
            part.row(each.ids, self._labels[item.id], end)
            for ((item, part), each), end in zip(kept, ends, strict=True)
            if not each.failure
        ]
        return [row for row in found if self._places is None or row.tokens + len(parts[0][1].prompt) <= self._places]

    async def slopes(
        self, rows: Sequence[Row], ids: Sequence[int], place: int, tokens: Sequence[int], spent: Spent
    ) -> list[float]:
        """The gradient of each candidate, summed over rows; zeros of no row."""
        sums = [0.0] * len(tokens)
        for first in range(0, len(rows), TOGETHER):
            some = rows[first : first + TOGETHER]
            found = await asyncio.to_thread(self._relaxed.slopes, some, ids, place, tokens)
            sums = [one + float(more) for one, more in zip(sums, found.gradient.sum(0), strict=True)]
        spent.add(tokens=sum(row.tokens + len(ids) for row in rows))
        return sums

    def most(self, prompt: str, rows: int, answers: int) -> Spent:
        """What a step costs at most that takes a gradient over so many `rows`, and has so many `answers` but theirs: a
        bound, so that no budget is passed."""
        turn = max(len(part.whole) for _, part in self.parts(self.items, prompt))
        each = self._sampling.max_tokens
        calls, tokens = answers, answers * each
        if self._labels:
            longest = max(len(made.asked) + len(made.answer) for made in self._labels.values())
            calls, tokens = calls + rows, tokens + rows * (2 * each + turn + longest)
        if self.reads_off:
            looks = rows * stops.MOST_ENDS
            calls, tokens = calls + looks, tokens + looks * stops.READ_OFF.max_tokens
        return Spent(calls, tokens)
