"""Which tokens could stand at a place of a prompt: those that the model itself finds likely there. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from poise.errors import ConfigError
from poise.tune.branches import branches, keeps
from poise.tune.placing import placed, said

POOL = 32
"""Tokens likely from the left that are looked at from the right."""
LOOKAHEAD = 5
"""Tokens of the prompt behind a candidate that tell whether it fits in front of them."""
FEWEST = 6
"""Candidates that the faithful way looks for, besides the prompt's own token."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """Candidates for a place, the prompt's own token first where it has one there, and how many tokens were run through
    the model to find them."""

    tokens: tuple[int, ...]
    cost: int


class Proposer:
    """A frozen causal model of `transformers`; `safe`: whether token ids survive being written and read again (a
    prompt is kept as text)."""

    def __init__(self, model: Any, safe: Callable[[Sequence[int]], bool] = lambda ids: True) -> None:
        self._model, self._safe = model, safe

    def shared(self, befores: Sequence[Sequence[int]], prompt: Sequence[int], place: int, k: int = 10) -> Proposed:
        """As GReaTer does: the k likeliest tokens behind each row's text and the prompt up to the place, those that all
        rows share; k grows until there are six. A place behind the last token is for one more. Cost: one forward pass
        over the rows."""
        read = branches(self._model, [[*before, *prompt[:place]] for before in befores])
        ranks, order = read.next.argsort(-1, descending=True), read.next.mean(0)
        most = ranks.shape[-1]
        found: list[int] = []
        while True:
            sets = [set(row[:k].tolist()) for row in ranks]
            common = sorted(set.intersection(*sets), key=lambda token: -float(order[token]))
            found = [token for token in common if self._fits(prompt, place, token)]
            if len(found) >= FEWEST or k >= most:
                break
            k = min(2 * k, most)
        own = tuple(prompt[place : place + 1])
        return Proposed((*own, *(token for token in found if token not in own)), read.computed)

    def fitting(
        self, befores: Sequence[Sequence[int]], prompt: Sequence[int], place: int, count: int, pool: int = POOL
    ) -> Proposed:
        """From both sides: the `count` tokens of the largest log p(c | what is before) + log p(the next tokens of the
        prompt | ..., c), mean over rows, out of the `pool` that are likeliest from the left. Cost: one forward pass
        over the rows up to the place, and one over `pool` times the few tokens behind it."""
        if count < 1 or pool < count:
            raise ConfigError("count", count, f"1 to pool = {pool}")
        read = branches(self._model, [[*before, *prompt[:place]] for before in befores])
        some = []
        for token in read.next.mean(0).argsort(descending=True).tolist():
            if token != prompt[place] and self._fits(prompt, place, token):
                some.append(token)
            if len(some) == pool:
                break
        behind = prompt[place + 1 : place + 1 + LOOKAHEAD]
        scores = read.told([(token, *behind) for token in some]).mean(0).tolist()
        best = sorted(zip(scores, some, strict=True), key=lambda pair: -pair[0])[:count]
        return Proposed((prompt[place], *(token for _, token in best)), read.computed)

    def fluency(self, befores: Sequence[Sequence[int]], prompts: Sequence[Sequence[int]]) -> tuple[list[float], int]:
        """The mean NLL of each prompt's tokens behind the rows' texts, and the tokens that it took."""
        read = branches(self._model, befores)
        told = read.told(prompts).mean(0).tolist()
        return [-each / len(prompt) for each, prompt in zip(told, prompts, strict=True)], read.computed

    def reading(self, text: int, behind: int, ways: int) -> int:
        """Tokens that are run through the model for a text of so many, and for some ways of going on that have so many
        together."""
        return text + behind if keeps(self._model) else (1 + ways) * text + behind

    def _fits(self, prompt: Sequence[int], place: int, token: int) -> bool:
        return self._safe([*prompt[:place], token, *prompt[place + 1 :]])


def survives(tokenizer: Any, question: str = "?") -> Callable[[Sequence[int]], bool]:
    """Whether ids come back the same when they are written as a prompt and read again behind a question, and none of
    them is a token that means something to the model's turns: the end of one is likely behind every prompt."""
    control = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special} | {
        *tokenizer.all_special_ids
    }

    def same(ids: Sequence[int]) -> bool:
        if not control.isdisjoint(ids):
            return False
        try:
            return placed(tokenizer, question, said(tokenizer, ids).strip()).prompt == tuple(ids)
        except ConfigError:
            return False

    return same
