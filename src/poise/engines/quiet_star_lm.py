"""The PyTorch engine of a model that thinks before its tokens (Quiet-STaR, arXiv 2403.09629)."""

from __future__ import annotations

from dataclasses import replace

from poise.core import Ability, Prompt, Sampling, Thinking, ThinkingMode
from poise.engines.quiet_star_worker import ThinkingWorker
from poise.engines.torch_lm import CONTEXT, TorchLM
from poise.engines.torch_worker import Decoder, Worker
from poise.errors import ConfigError, EngineRefused
from poise.models.quiet_star.files import folder_of, load_quiet_star
from poise.models.quiet_star.gates import Gate
from poise.seams import Stream


class QuietStarLM(TorchLM):
    """A trained Quiet-STaR on a llama, `folder` as `poise lab train` leaves it (none: the one that ships); `base`: the
    model beneath, where it is not found by its name. Every draw thinks as its `Sampling.thinking` says, else as
    `thinking` does: OFF is the model beneath; EXACT thinks before every token, which costs n_ahead passes instead of
    one; GATED before the `share` of tokens that its head is least sure of (see `models.quiet_star.gates`); AMORTISED
    drafts so many tokens without thoughts, thinks about all of them side by side, and keeps what EXACT might have said:
    the same distribution. Thoughts are billed as thought tokens, one for each pass and place, and so are drafts that
    were not kept; they are never part of the text. `context`: at most the model's own, less a thought. Raises
    ConfigError (for what is no llama, too), ModelError."""

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
        self._thoughtful, loaded = load_quiet_star(folder_of(folder), base)
        self.thinking, self._gate = thinking, self._thoughtful.gate
        _check(thinking, self._gate)
        room = self._thoughtful.room
        if room < 1:
            raise ConfigError("n_ahead", self._thoughtful.config.n_ahead, "fewer passes than the model knows places")
        super().__init__(loaded, name=name, slots=slots, context=min(context or CONTEXT, room))
        if self._llama is None:  # here, and not with the first draw
            raise ConfigError("model", type(self._model).__name__, "a llama-family model")
        self.can |= {Ability.THOUGHTS}
        self.card = replace(self.card, passes=self._thoughtful.config.passes)

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        """Raises EngineRefused for a gate that was never measured, and as TorchLM does."""
        _check(sampling.thinking or self.thinking, self._gate)
        return super().stream(prompt, sampling, n)

    def _thread(self, ends: frozenset[int]) -> Worker:
        return ThinkingWorker(self._decoder, self._words, ends, self.thinking, self._gate)

    def _decoder(self) -> Decoder:
        from poise.models.quiet_star.decoding import ThinkingRows

        return ThinkingRows(self._thoughtful, self.slots, self.context)


def _check(thinking: Thinking, gate: Gate | None) -> None:
    if thinking.mode is ThinkingMode.GATED and 0 < thinking.share < 1 and gate is None:
        raise EngineRefused("this checkpoint has no gate; `poise lab train` measures one when it ends")
