"""Steps as GreaTer takes them (Das et al. 2024, arXiv 2412.09722, section 3, and its released code): the control for
our own. A token at a time, greedy reasoning held fixed, and no test of whether a change is more than luck.

1. candidates: tokens that are likely at the place behind all of some rows, and the prompt's own;
2. a greedy answer to every question, and the gradient of the loss over candidates, summed over them;
3. the three most negative, the prompt's own among them or not, are asked again, all questions;
4. the lowest error rate + .02 of the prompt's mean NLL wins, even where it is worse than what stood there;
5. the next place. Behind a full stop it begins again; else one token more may stand at the end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from poise.errors import ConfigError
from poise.tune.asking import Asking
from poise.tune.budget import Spent
from poise.tune.generate import Generated
from poise.tune.lengths import means
from poise.tune.race import standing
from poise.tune.shortlist import Edit, Kind, Source
from poise.tune.step import Stepped, StepSettings, Tried

RIVALS = 3
"""Candidates that are asked again."""
FLUENCY = 0.02
"""Weight of the prompt's mean NLL beside the error rate."""


class GreaterStepper:
    """The same face as `poise.tune.step.Stepper`. Of the settings, `rows` is how many questions propose; all of them
    tell the gradient and decide. Cost of a step: about four greedy answers to every question."""

    def __init__(self, asking: Asking, settings: StepSettings, seed: int = 0) -> None:
        self._asking, self._settings, self._seed = asking, settings, seed

    def most(self, prompt: str) -> Spent:
        """What a step costs at most. Raises ConfigError for a prompt that cannot be placed or fills the window."""
        asking, ids = self._asking, self._asking.ids(prompt)
        every = len(asking.items)
        found = asking.most(prompt, every, RIVALS * every)
        longest = 1 + max(len(part.whole) for _, part in asking.parts(asking.items, prompt))
        proposing = min(self._settings.rows, every) * longest
        read = asking.proposer.reading(longest - len(ids), (RIVALS + 1) * (len(ids) + 1), RIVALS + 1)
        found.add(tokens=proposing + every * (1 + read))  # one more: the gradient sees the prompt with a token more
        return found

    def place(self, number: int, last: int | None, prompt: str) -> int:
        """Where the next step edits, after one at `last` (None: the first)."""
        ids = self._asking.ids(prompt)
        return next_place(last, len(ids), prompt.rstrip().endswith("."))

    async def step(self, number: int, prompt: str, place: int) -> Stepped:
        """Step `number` at token `place` of the prompt; the place behind its last token is for one more. Raises
        ConfigError for a place that it does not have."""
        asking, dice, spent = self._asking, random.Random(f"{self._seed}/{number}"), Spent()
        ids = asking.ids(prompt)
        if not 0 <= place <= len(ids):
            raise ConfigError("place", place, f"0 to {len(ids)}: the prompt's tokens, and one more")
        told = await asking.answers(asking.items, prompt, 0, spent)
        edits = await self._edits(prompt, place, told, dice, spent)
        rows = {prompt: told}
        for text in edits:
            if text not in rows:
                rows[text] = await asking.answers(asking.items, text, 0, spent)
        scores = await self._scores(rows, spent)
        first = [prompt] if place == len(ids) and prompt not in edits else []
        best = min([*first, *edits], key=lambda text: scores[text], default=prompt)
        tried = tuple(_tried(edit, text, told, rows[text], scores[text]) for text, edit in edits.items())
        failed = sum(bool(each.failure) for some in rows.values() for each in some)
        raced = tuple(each.right for each in told)
        return Stepped(best, edits[best] if best != prompt else None, tried, spent, failed, raced)

    async def _edits(
        self, prompt: str, place: int, told: Sequence[Generated], dice: random.Random, spent: Spent
    ) -> dict[str, Edit]:
        """The three most negative candidates at a place, and the prompts that they make."""
        asking = self._asking
        ids = asking.ids(prompt)
        kind = Kind.SWAP if place < len(ids) else Kind.GROW
        some = asking.some(self._settings.rows, prompt, dice)
        proposed = await asyncio.to_thread(asking.proposer.shared, [part.before for _, part in some], ids, place)
        spent.add(tokens=proposed.cost)
        made = {token: Edit(kind, place, Source.GRADIENT, token) for token in proposed.tokens}
        texts = {token: asking.text(edit.of(ids)) for token, edit in made.items()}
        tokens = [
            token for token in made if asking.stands(texts[token]) and asking.ids(texts[token]) == made[token].of(ids)
        ]
        if not tokens:
            return {}
        answered = {each.item: each for each in told}
        parts = asking.parts(asking.items, prompt)
        rows = await asking.rows(parts, prompt, [answered[item.id] for item, _ in parts], spent)
        slopes = await asking.slopes(rows, made[tokens[0]].of(ids), place, tokens, spent)
        steep = sorted(zip(slopes, tokens, strict=True), key=lambda pair: pair[0])[:RIVALS]
        return {texts[token]: Edit(kind, place, Source.GRADIENT, token, slope - slopes[0]) for slope, token in steep}

    async def _scores(self, rows: dict[str, list[Generated]], spent: Spent) -> dict[str, float]:
        """Error rate + .02 mean NLL of each prompt."""
        asking = self._asking
        befores = [part.before for _, part in asking.parts(asking.items, next(iter(rows)))]
        prompts = [asking.ids(text) for text in rows]
        told, cost = await asyncio.to_thread(asking.proposer.fluency, befores, prompts)
        spent.add(tokens=cost)
        return {
            text: sum(not each.right for each in some) / len(some) + FLUENCY * nll
            for (text, some), nll in zip(rows.items(), told, strict=True)
        }


def next_place(last: int | None, tokens: int, stopped: bool) -> int:
    """The place behind `last` in a prompt of so many tokens. Behind its end: the beginning where it `stopped` (by a
    full stop), or where a token more was tried there and not taken; else the end, for one token more."""
    if last is None or last + 1 < tokens:
        return 0 if last is None else last + 1
    return 0 if stopped or last >= tokens else tokens


def _tried(edit: Edit, text: str, told: Sequence[Generated], found: Sequence[Generated], score: float) -> Tried:
    before, after = ([each.outcome for each in some] for some in (told, found))
    stood = standing([each.right for each in told], [each.right for each in found])
    return Tried(edit, text, stood, *means(before, after), score)
