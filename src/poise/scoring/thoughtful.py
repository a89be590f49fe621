"""Reading drafts with thoughts before their tokens: what the Quiet-STaR scorer loads with its first score. PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from poise.core import Prompt, Score
from poise.costs import Usage
from poise.models.quiet_star.decoding import ThinkingRows
from poise.models.quiet_star.files import load_quiet_star
from poise.models.turns import Text, beyond, prompt_ids, text_ids

if TYPE_CHECKING:
    from poise.costs import Card

_ABREAST = 32  # tokens of a draft that are thought about side by side
_SHARP = 10.0  # of the logistic that makes a score of a mean gain


class Thoughtful:
    """A model with thoughts, and one row of its cache to read in. Raises as `load_quiet_star` does."""

    def __init__(self, folder: Path, base: str = "") -> None:
        self.model, self.loaded = load_quiet_star(folder, base)

    def scores(self, prompt: Prompt, texts: Sequence[Text], *, gain: bool) -> list[Score]:
        """One score for each text that continues the prompt; a failed one where the model's window holds too few places
        for both and the thoughts."""
        asked = prompt_ids(self.loaded.tokenizer, prompt)
        told = [text_ids(self.loaded.tokenizer, text) for text in texts]
        why = [beyond(len(asked) + len(ids), self.model.room) for ids in told]
        longest = max((len(asked) + len(ids) for ids, failure in zip(told, why, strict=True) if not failure), default=0)
        rows = ThinkingRows(self.model, 1, longest, min(_ABREAST, longest)) if longest else None
        found, cached = list[Score](), False
        for ids, failure in zip(told, why, strict=True):
            if failure or rows is None:
                found.append(Score(0.0, failure=failure))
                continue
            mixed, base = read(rows, asked, ids)
            value = 1 / (1 + math.exp(-_SHARP * (mixed - base))) if gain else math.exp(mixed)
            found.append(Score(value, _usage(self.loaded.card, rows.passes, len(asked), len(ids), cached=cached)))
            cached = True
        return found


def read(rows: ThinkingRows, asked: Sequence[int], told: Sequence[int]) -> tuple[float, float]:
    """Mean log-probability of the tokens `told` behind `asked`, after a thought before each and without any, in row 0,
    which must be free. Thoughts are sampled by the same numbers for every text."""
    dice = torch.Generator().manual_seed(0)
    rows.admit([(asked[:-1], 1)])
    before, mixed, base = [asked[-1], *told[:-1]], 0.0, 0.0  # the tokens that are thought behind
    for start in range(0, len(before), rows.abreast):
        part = slice(start, start + rows.abreast)
        wanted = torch.tensor(told[part])
        states, logits = rows.follow(0, torch.tensor(before[part]))
        numbers = torch.rand(1, len(wanted), rows.passes - 2, generator=dice)
        base += _likely(logits, wanted)
        mixed += _likely(rows.think(torch.tensor([0]), states[None], numbers)[0], wanted)
    rows.retire(0, [None])
    return mixed / len(told), base / len(told)


def _likely(logits: torch.Tensor, tokens: torch.Tensor) -> float:
    return float(torch.log_softmax(logits.float(), -1).gather(1, tokens[:, None]).sum())


def _usage(card: Card, passes: int, asked: int, told: int, *, cached: bool) -> Usage:
    """Reading a text of `told` tokens, and thinking before each."""
    kept = asked if cached else 0
    flops = card.flops(asked + told, kept, told) + told * passes * card.flops(asked + told + 1, asked + told, 1)
    tokens = asked - kept + told + told * passes
    return Usage(calls=1, scorer_tokens=tokens, cached_prompt_tokens=kept, flops=flops)
