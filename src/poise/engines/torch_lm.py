"""The PyTorch engine: a causal language model in this process; its weights and hidden states can be had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from poise.core import Ability, Delta, Prompt, Role, Sampling
from poise.costs import Card, Load, Overrun
from poise.engines.torch_worker import Call, Decoder, Worker
from poise.errors import ConfigError, EngineError, EngineRefused
from poise.models.dense import DenseModel, load_dense, with_adapter
from poise.models.turns import prompt_ids
from poise.seams import Stream

SLOTS, CONTEXT = 64, 1024
CACHE_BYTES = 8 << 30  # as many slots as their caches fit in, if no number is asked for
_BEFORE = 4  # tokens of a character at most: what is said of the next one depends on no more


class TorchLM:
    """Any causal language model of `transformers`: a hub repository, a folder, a known model, or a llama-family GGUF
    file (made dense once). Llama-family models (Mistral's among them) are decoded by a forward pass of our own with a
    cache of fixed size, others by the model's own.

    `slots`: draws decoded at once (0: as many as fit, 64 at most); `context`: tokens of one draw with its prompt, at
    most the model's own, or its sliding window where a llama-family model has one; `adapter`: a folder in peft's
    format, merged into the weights; `dtype`: see `load_dense`. Raises ConfigError, ModelError.

    SEEDS holds whatever a draw shares its batch with, in float32: logits differ by rounding only (< 1e-4), which moves
    a choice with a probability of about that size. In bfloat16 greedy texts may differ between batch sizes."""

    def __init__(
        self,
        model: str | DenseModel = "default",
        *,
        name: str = "torch",
        slots: int = 0,
        context: int = 0,
        adapter: str = "",
        dtype: str = "auto",
    ) -> None:
        for knob, value in (("slots", slots), ("context", context)):
            if value < 0:
                raise ConfigError(knob, value, "1 or more, or 0 for the default")
        loaded = load_dense(model, dtype) if isinstance(model, str) else model
        from poise.models.llama import view_of  # of torch, which may be missed until here

        if not loaded.tokenizer.chat_template:
            raise ConfigError("model", loaded.name, "a model whose tokenizer has a chat template")
        self._model = with_adapter(loaded.model, adapter) if adapter else loaded.model
        self._tokenizer = loaded.tokenizer
        self._llama = view_of(self._model)
        room = min(context or CONTEXT, loaded.card.context or CONTEXT)
        self.name, self.context = name, min(room, self._llama.shape.window) if self._llama else room
        self.slots = slots or _slots(loaded.card, self.context)
        self.card: Card = replace(loaded.card, context=self.context)
        self.can = frozenset({Ability.CONTINUES, Ability.LOGPROBS, Ability.SEEDS, Ability.N_SAMPLES, Ability.WHITE_BOX})
        self.ends = _ends(loaded)
        self._worker = self._thread(self.ends)

    def model(self) -> Any:
        """The `transformers` model itself, adapter merged."""
        return self._model

    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self._tokenizer

    def hidden(self, prompts: Sequence[Prompt]) -> list[Any]:
        """The last hidden states of each prompt, tensors [tokens, width] after the final norm. Blocks; one forward pass
        per prompt, no gradient."""
        import torch

        found = []
        for prompt in prompts:
            ids = torch.tensor([self.ids(prompt)], device=self._model.device)
            with torch.inference_mode():
                found.append(self._model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0])
        return found

    def ids(self, prompt: Prompt) -> list[int]:
        """A prompt as tokens: the chat template, then the assistant's turn opened, then its prefix as it is."""
        return prompt_ids(self._tokenizer, prompt)

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        """Raises EngineRefused, from the iteration, for a prompt that leaves no room in the context."""
        overrun = [0]

        async def settle() -> Overrun:
            left, overrun[0] = overrun[0], 0
            return Overrun(left)

        return Stream(self._deltas(prompt, sampling, n, overrun), settle)

    def load(self) -> Load:
        return Load(self._worker.living, self._worker.queued, self.slots)

    async def aclose(self) -> None:
        """End the decoding thread and free its cache; another draw would start it again."""
        await asyncio.to_thread(self._worker.stop)

    async def _deltas(
        self, prompt: Prompt, sampling: Sampling, n: int, overrun: list[int]
    ) -> AsyncGenerator[Delta, None]:
        tokens = self.ids(prompt)
        if len(tokens) >= self.context:
            raise EngineRefused(f"{self.name}: a prompt of {len(tokens)} tokens, but the context holds {self.context}")
        goes_on = prompt[-1].role is Role.ASSISTANT
        call = Call(tokens, sampling, n, asyncio.get_running_loop(), asyncio.Queue(), goes_on)
        self._worker.submit(call)
        given = 0
        try:
            while (letter := await call.inbox.get()) is not None:
                if isinstance(letter, EngineError):
                    raise letter
                for delta in letter:
                    given += delta.tokens
                    yield delta
        finally:
            if not call.over:
                self._worker.close(call)
                while isinstance(await call.inbox.get(), list):
                    pass
            overrun[0] = call.made - given

    def _thread(self, ends: frozenset[int]) -> Worker:
        """What decodes; starts with the first draw."""
        return Worker(self._decoder, self._words, ends)

    def _decoder(self) -> Decoder:
        from poise.models.decode import Rows
        from poise.models.gangs import Gangs

        if self._llama is None:
            return Gangs(self._model, self.slots, self.context)
        return Rows(self._llama, self.slots, self.context)

    def _words(self, before: Sequence[int]) -> Any:
        """An incremental detokeniser: token id -> the text it completes. `before`: of a text that is gone on with; a
        SentencePiece tokenizer drops the space before the first word of any text."""
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(ids=list(before[-_BEFORE:]), skip_special_tokens=True)
        backend = self._tokenizer.backend_tokenizer
        return lambda token: stream.step(backend, token) or ""


def _slots(card: Card, context: int) -> int:
    """Rows whose keys and values, 16 bits each, take CACHE_BYTES at most; grouped heads make them smaller than that."""
    row = 4 * card.layers * card.attention_width * context
    return max(1, min(SLOTS, CACHE_BYTES // row)) if row else SLOTS


def _ends(loaded: DenseModel) -> frozenset[int]:
    """Token ids that end a text: the tokenizer's and those of the generation settings."""
    said = getattr(loaded.model.generation_config, "eos_token_id", None)
    ends = said if isinstance(said, list) else [said]
    return frozenset(id for id in (*ends, loaded.tokenizer.eos_token_id) if id is not None)
