"""Which edits of a prompt are tried: by the gradient, by likelihood, by chance, or half and half. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from poise.errors import ConfigError


class By(Enum):
    """How candidates are chosen: half of them the most negative gradients and half at random, the most negative
    gradients alone, the likeliest of the proposals without any gradient, or any of the proposals. The last two are
    controls. GREATER: the most negative gradients, in steps as that method was published (`poise.tune.greater`)."""

    MIXED = "mixed"
    GRADIENT = "gradient"
    LIKELIHOOD = "likelihood"
    RANDOM = "random"
    GREATER = "greater"

    @property
    def slopes(self) -> bool:
        """Whether a gradient is taken."""
        return self in (By.GRADIENT, By.MIXED, By.GREATER)


class Source(Enum):
    """Why an edit is tried; FREE: it needed no choice among tokens; PHRASE: it is from the bank; REFLECTION: a model
    proposed it."""

    GRADIENT = "gradient"
    LIKELIHOOD = "likelihood"
    RANDOM = "random"
    FREE = "free"
    PHRASE = "phrase"
    REFLECTION = "reflection"


class Kind(Enum):
    """What an edit does at a place: put a token there, leave the token out, end the prompt before it, or put a token
    behind the last one. Of the text: put a phrase in, cut a sentence out, change a number. REWRITE: it is the whole
    prompt anew, at no place."""

    SWAP = "swap"
    DELETE = "delete"
    STOP = "stop"
    GROW = "grow"
    INSERT = "insert"
    CUT = "cut"
    NUMBER = "number"
    REWRITE = "rewrite"


@dataclass(frozen=True, slots=True)
class Edit:
    """One change at `place`: that of a token, or, of an edit of the text, of a character. `slope`: the gradient of the
    candidate less that of the prompt's own token, summed over rows: how much the loss is expected to change (None where
    no gradient was taken). `text`: the whole prompt after an edit of the text."""

    kind: Kind
    place: int
    source: Source
    token: int | None = None
    slope: float | None = None
    text: str | None = None

    def of(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """The prompt's tokens with this change of one of them."""
        before, after = tuple(prompt[: self.place]), tuple(prompt[self.place + 1 :])
        if self.kind is Kind.STOP:
            return before
        if self.kind is Kind.DELETE or self.token is None:
            return before + after
        return (*before, self.token, *after)


def shortlist(
    by: By, candidates: Sequence[int], slopes: Sequence[float] | None, place: int, size: int, dice: random.Random
) -> list[Edit]:
    """At most `size` swaps at a place. `candidates`: the prompt's own token first, then proposals, the likeliest first;
    `slopes`: the gradient of each, summed over rows (needed where a gradient chooses). Of MIXED the gradient has the
    larger half, and chance picks from what is left, so that both can be compared on the same steps."""
    if size < 1:
        raise ConfigError("shortlist", size, "1 or more")
    if by.slopes and (slopes is None or len(slopes) != len(candidates)):
        raise ConfigError("slopes", None if slopes is None else len(slopes), f"one for each of {len(candidates)}")
    rest = list(candidates[1:])
    told = {token: slopes[k] - slopes[0] for k, token in enumerate(candidates)} if slopes is not None else {}
    steep = ((size + 1) // 2 if by is By.MIXED else size) if by.slopes else 0
    ranked = sorted(rest, key=lambda token: told[token])[:steep] if steep else []
    left = [token for token in rest if token not in ranked]
    if by is By.LIKELIHOOD:
        others, source = left[:size], Source.LIKELIHOOD
    else:
        count = 0 if steep == size else min(size - len(ranked), len(left))
        others, source = dice.sample(left, count), Source.RANDOM
    first = [Edit(Kind.SWAP, place, Source.GRADIENT, token, told[token]) for token in ranked]
    return first + [Edit(Kind.SWAP, place, source, token, told.get(token)) for token in others]


def free_edits(prompt: Sequence[int], place: int) -> list[Edit]:
    """Edits that only shorten: the token left out, or the prompt ended before it; none that would leave nothing."""
    found = [Edit(Kind.DELETE, place, Source.FREE)] if len(prompt) > 1 else []
    if 0 < place < len(prompt) - 1:
        found.append(Edit(Kind.STOP, place, Source.FREE))
    return found
