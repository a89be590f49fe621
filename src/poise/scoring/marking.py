"""Reading a process reward model's marks: what the scorer `prm` loads with its first score. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from poise.costs import Usage
from poise.errors import ConfigError
from poise.models.dense import load_dense
from poise.models.llama import norm
from poise.models.packed import product
from poise.models.reader import Asked, load_reader, read

_WORD = "so"


class Marking:
    """A model and the ids of its marks. Raises ConfigError where a mark is not one token, or the model is none of
    llama's family (Mistral's are), and as `load_dense` does."""

    def __init__(self, model: str, mark: str, right: str, wrong: str) -> None:
        self._reader = load_reader(load_dense(model))
        self._mark = self._token("prm.mark", mark)
        self._sides = [self._token("prm.right", right), self._token("prm.wrong", wrong)]

    @property
    def window(self) -> int:
        """Tokens that the model can read together."""
        return self._reader.llama.shape.window

    def _token(self, name: str, text: str) -> int:
        """The id of a mark, as it stands behind a word."""
        last = self._behind(f" {text}")[-1]
        if self._reader.tokenizer.decode([last]).strip() != text.strip():
            raise ConfigError(name, text, "a text that is a single token of the model")
        return last

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._reader.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def _behind(self, text: str) -> list[int]:
        """The ids of a text that stands behind another: some tokenizers put a space before whatever begins."""
        return self._ids(f"{_WORD}{text}")[len(self._ids(_WORD)) :]

    def marks(self, question: str, texts: Sequence[str]) -> list[tuple[list[float], Usage]]:
        """For each text, P(right) after every line of it, and what reading it cost; no marks of one that does not fit
        into the model together with the question."""
        reader = self._reader
        start = getattr(reader.tokenizer, "bos_token_id", None)
        prompt = ([] if start is None else [int(start)]) + self._ids(question)
        told = [self._marked(text) for text in texts]
        fits = [len(prompt) + len(ids) <= self.window for ids, _ in told]
        some = [ids for (ids, _), fit in zip(told, fits, strict=True) if fit]
        states = iter(read(reader.llama, [Asked(prompt, some)], (len(reader.llama.layers),))[0] if some else [])
        found, read_before = list[tuple[list[float], Usage]](), False
        for (ids, ends), fit in zip(told, fits, strict=True):
            if not fit:
                found.append(([], Usage()))
                continue
            state = next(states)
            rows = norm(state[torch.tensor(ends)], reader.llama.norm, reader.llama.shape.epsilon)
            logits = product(rows, reader.llama.head).float()[:, self._sides]
            cached, read_before = len(prompt) if read_before else 0, True
            flops = reader.card.flops(len(prompt) + len(ids), cached, len(ends))
            tokens = len(prompt) - cached + len(ids)
            usage = Usage(calls=1, scorer_tokens=tokens, cached_prompt_tokens=cached, flops=flops)
            found.append((torch.softmax(logits, -1)[:, 0].tolist(), usage))
        return found

    def _marked(self, text: str) -> tuple[list[int], list[int]]:
        """A text as ids with a mark behind each line, and where the marks stand."""
        ids, ends = list[int](), list[int]()
        for line in (line for line in text.splitlines() if line.strip()):
            ids += self._behind(f" {line.strip()}" if not ids else f"\n{line.strip()}")
            ends.append(len(ids))
            ids.append(self._mark)
        return ids, ends
