"""Which edits of a prompt are tried: by the gradient, by likelihood, by chance, or half and half. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from poise.errors import ConfigError


class By(Enum):
    """How candidates are chosen: the most negative gradients (GReaTer), half of them so and half at random, the
    likeliest of the proposals without any gradient, or any of the proposals. The last two are controls."""

    GRADIENT = "gradient"
    MIXED = "mixed"
    LIKELIHOOD = "likelihood"
    RANDOM = "random"


class Source(Enum):
    """Why an edit is tried; FREE: it needed no choice among tokens; REFLECTION: a model proposed it."""

    GRADIENT = "gradient"
    LIKELIHOOD = "likelihood"
    RANDOM = "random"
    FREE = "free"
    REFLECTION = "reflection"


class Kind(Enum):
    """What an edit does at a place: put a token there, leave the token out, or end the prompt before it. REWRITE: it is
    the whole prompt anew, at no place."""

    SWAP = "swap"
    DELETE = "delete"
    STOP = "stop"
    REWRITE = "rewrite"


@dataclass(frozen=True, slots=True)
class Edit:
    """One change at `place`. `slope`: the gradient of the candidate less that of the prompt's own token, summed over
    rows: how much the loss is expected to change (None where no gradient was taken)."""

    kind: Kind
    place: int
    source: Source
    token: int | None = None
    slope: float | None = None

    def of(self, prompt: Sequence[int]) -> tuple[int, ...]:
        """The prompt with this change."""
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
    `slopes`: the gradient of each, summed over rows (needed by GRADIENT and MIXED). Of MIXED the gradient has the
    larger half, and chance picks from what is left, so that both can be compared on the same steps."""
    if size < 1:
        raise ConfigError("shortlist", size, "1 or more")
    if by in (By.GRADIENT, By.MIXED) and (slopes is None or len(slopes) != len(candidates)):
        raise ConfigError("slopes", None if slopes is None else len(slopes), f"one for each of {len(candidates)}")
    rest = list(candidates[1:])
    told = {token: slopes[k] - slopes[0] for k, token in enumerate(candidates)} if slopes is not None else {}
    steep = {By.GRADIENT: size, By.MIXED: (size + 1) // 2}.get(by, 0)
    ranked = sorted(rest, key=lambda token: told[token])[:steep] if steep else []
    left = [token for token in rest if token not in ranked]
    if by is By.LIKELIHOOD:
        others, source = left[:size], Source.LIKELIHOOD
    else:
        count = 0 if by is By.GRADIENT else min(size - len(ranked), len(left))
        others, source = dice.sample(left, count), Source.RANDOM
    first = [Edit(Kind.SWAP, place, Source.GRADIENT, token, told[token]) for token in ranked]
    return first + [Edit(Kind.SWAP, place, source, token, told.get(token)) for token in others]


def free_edits(prompt: Sequence[int], place: int) -> list[Edit]:
    """Edits that only shorten: the token left out, or the prompt ended before it; none that would leave nothing."""
    found = [Edit(Kind.DELETE, place, Source.FREE)] if len(prompt) > 1 else []
    if 0 < place < len(prompt) - 1:
        found.append(Edit(Kind.STOP, place, Source.FREE))
    return found
