"""The PyTorch engine of a model that thinks before its tokens (Quiet-STaR, arXiv 2403.09629)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poise.core import Ability, Prompt, Sampling, Thinking, ThinkingMode
from poise.engines.torch_lm import TorchLM
from poise.engines.torch_worker import Decoder, Draw, Worker
from poise.errors import ConfigError, EngineRefused
from poise.models.quiet_star.files import load_quiet_star
from poise.models.quiet_star.gates import Gate
from poise.seams import Stream

_APART = 0x5EED_7407  # sets the numbers of thoughts apart from those of the text, so that gating moves neither


class QuietStarLM(TorchLM):
    """A trained Quiet-STaR on a llama, `folder` as `poise lab train` leaves it; `base`: the model beneath, where it is
    not found by its name. Every draw thinks as its `Sampling.thinking` says, else as `thinking` does: OFF is the
    model beneath; EXACT thinks before every token, which costs n_ahead passes instead of one; GATED before the `share`
    of tokens that its head is least sure of (see `models.quiet_star.gates`). Thoughts are billed as thought tokens, one
    for each pass; they are never part of the text. Raises ConfigError, ModelError."""

    def __init__(
        self,
        folder: str,
        *,
        name: str = "quiet-star",
        base: str = "",
        slots: int = 0,
        context: int = 0,
        thinking: Thinking = Thinking(ThinkingMode.EXACT),
    ) -> None:
        self._thoughtful, loaded = load_quiet_star(Path(folder).expanduser(), base)
        self.thinking, self._gate = thinking, self._thoughtful.gate
        _check(thinking, self._gate)
        super().__init__(loaded, name=name, slots=slots, context=context)
        self.can |= {Ability.THOUGHTS}

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        """Raises ConfigError for a mode that it does not have, and as TorchLM does."""
        _check(sampling.thinking or self.thinking, self._gate)
        return super().stream(prompt, sampling, n)

    def _thread(self, ends: frozenset[int]) -> Worker:
        return ThinkingWorker(self._decoder, self._words, ends, self.thinking, self._gate)

    def _decoder(self) -> Decoder:
        from poise.models.quiet_star.decoding import ThinkingRows

        return ThinkingRows(self._thoughtful, self.slots, self.context)


def _check(thinking: Thinking, gate: Gate | None) -> None:
    if thinking.mode is ThinkingMode.AMORTISED:
        raise ConfigError("thinking.mode", thinking.mode.value, "off, exact or gated")
    if thinking.mode is ThinkingMode.GATED and 0 < thinking.share < 1 and gate is None:
        raise EngineRefused("this checkpoint has no gate; `poise lab train` measures one when it ends")


class ThinkingWorker(Worker):
    """See Worker. Draws think, each by its own dice, whoever else does."""

    def __init__(self, make: Any, words_of: Any, ends: frozenset[int], thinking: Thinking, gate: Gate | None) -> None:
        super().__init__(make, words_of, ends)
        self._thinking, self._gate = thinking, gate

    def reconsider(self, decoder: Any, logits: Any, states: Any, first: int) -> tuple[Any, list[int]]:
        import torch

        draws = self._draws[first:]
        which = self._thinkers(draws, logits)
        if not which:
            return logits, [0] * len(draws)
        count = decoder.passes - 2
        numbers = torch.tensor([self._numbers(draws[row], count) for row in which], dtype=torch.float64)
        thought = decoder.think(torch.tensor(which) + first, states[which], numbers.view(len(which), count))
        mixed = logits.clone()
        mixed[which] = thought
        some = frozenset(which)
        return mixed, [decoder.passes if row in some else 0 for row in range(len(draws))]

    def _thinkers(self, draws: Sequence[Draw], logits: Any) -> list[int]:
        """Which draws think about their next token."""
        ways = [draw.call.sampling.thinking or self._thinking for draw in draws]
        gated = [row for row, way in enumerate(ways) if way.mode is ThinkingMode.GATED]
        opened: set[int] = set()
        if gated and self._gate:
            shares = [ways[row].share for row in gated]
            opened = {row for row, opens in zip(gated, self._gate.opens(logits[gated], shares), strict=True) if opens}
        elif gated:
            opened = {row for row in gated if ways[row].share == 1}
        return [row for row, way in enumerate(ways) if way.mode is ThinkingMode.EXACT or row in opened]

    @staticmethod
    def _numbers(draw: Draw, count: int) -> list[float]:
        """The uniform numbers of the thought before the draw's next token: of its seed and place alone."""
        from poise.models.sampling import Dice, seed_of

        if draw.thoughts is None:
            seed = seed_of(draw.call.sampling.seed, draw.index)
            draw.thoughts = Dice(None if seed is None else seed ^ _APART)
        return [draw.thoughts.number(draw.count * count + place) for place in range(count)]
