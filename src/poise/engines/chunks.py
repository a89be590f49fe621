"""The JSON chunks of a streamed chat completion, turned into deltas. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from poise.core import Delta, Finish, Sampling
from poise.engines.dialect import Traits
from poise.engines.failures import failure_of_event
from poise.errors import EngineError, EngineRefused, EngineUnreachable


@dataclass(slots=True)
class _Sample:
    """One sample so far: its tokens, and the end of its text, where a stop string may have begun."""

    tokens: int = 0
    tail: str = ""
    ended: bool = False


class Decoder:
    """Turns the chunks of one call of n samples into deltas.

    The finish of the last sample is held back until `end`, because what the call used is said after it. Tokens are the
    server's count where chunks carry one; else one per piece of text or per logprob, set right at the end by the
    usage of the call (n = 1 only: of several samples servers count one, or all). A stop string that the server
    has cut off is put back: it belongs to the step. Reasoning that a server keeps apart from the text is counted, not
    shown. `unsent`: see Traits; `running`: samples that have not ended; `begun`: something was said; `done`: all was;
    `cut`: samples that met a stop string that only we look for."""

    def __init__(self, traits: Traits, sampling: Sampling, n: int) -> None:
        self._traits, self._alternatives = traits, sampling.top_logprobs or 0
        self._served = bool(sampling.stop) and traits.stop_field is not None  # the server looks for the stop strings
        self._watched = () if self._served else tuple(filter(None, sampling.stop))  # we do
        self._reach = max(map(len, self._watched), default=1) - 1
        self._samples = [_Sample() for _ in range(n)]
        self._prompt: tuple[int | None, int | None] = (None, None)
        self._prompt_told: tuple[int | None, int | None] = (None, None)
        self._held: Delta | None = None
        self._total = 0
        self._most_tokens = n * sampling.max_tokens
        self.unsent, self.running = traits.unsent, n
        self.begun = self.done = False
        self.cut = 0

    @property
    def generated(self) -> int:
        """Tokens of all samples so far, delivered or not."""
        return max(self._counted, self._total) if len(self._samples) == 1 else self._counted

    @property
    def _counted(self) -> int:
        return sum(sample.tokens for sample in self._samples)

    @property
    def room(self) -> int:
        """Tokens that can still come."""
        return max(0, self._most_tokens - self.generated)

    @property
    def ended(self) -> bool:
        """Whether nothing more is wanted: the server said so, or every sample has ended and one was cut by us."""
        return self.done or (self.cut > 0 and not self.running)

    def decode(self, data: bytes) -> list[Delta]:
        """The deltas of one event. Raises EngineError for an error that the server reports and for what is no chunk."""
        self.begun = True
        if data == b"[DONE]":
            self.done = True
            return []
        try:
            chunk = json.loads(data)
            if error := chunk.get("error"):
                raise failure_of_event(error)
            self._note_usage(chunk)
            deltas = [self._delta(choice, chunk) for choice in chunk.get("choices") or ()]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as flaw:
            raise EngineError(f"the server sent what is no chunk of a chat completion: {data[:200]!r}") from flaw
        return [delta for delta in deltas if delta]

    def end(self) -> list[Delta]:
        """The finish that was held back. Raises EngineUnreachable when the stream ended before its samples."""
        if self.running:
            raise EngineUnreachable("the stream ended before the text did")
        if self._held is None:
            return []
        prompt_tokens, cached_tokens = self._prompt_news()
        tokens = self._held.tokens + self.generated - self._counted
        return [replace(self._held, tokens=tokens, prompt_tokens=prompt_tokens, cached_tokens=cached_tokens)]

    def _note_usage(self, chunk: dict[str, Any]) -> None:
        usage, timings = chunk.get("usage"), chunk.get("timings") if self._traits.counts else None
        if timings:
            self._prompt = int(timings["cache_n"]) + int(timings["prompt_n"]), int(timings["cache_n"])
        elif usage:
            details = usage.get("prompt_tokens_details") or {}
            self._prompt = _count(usage.get("prompt_tokens")), _count(details.get("cached_tokens"))
        if usage:
            self._total = int(usage.get("completion_tokens") or 0)

    def _prompt_news(self) -> tuple[int | None, int | None]:
        """What is known of the prompt and no delta has told yet."""
        known, told = self._prompt, self._prompt_told
        if known == told:
            return None, None
        news = tuple(now if before is None else None for now, before in zip(known, told, strict=True))
        self._prompt_told = known
        return news[0], news[1]

    def _delta(self, choice: dict[str, Any], chunk: dict[str, Any]) -> Delta | None:
        index, said = choice.get("index") or 0, choice.get("delta") or {}
        sample, text = self._samples[index], said.get("content") or ""
        if not text.isascii():
            text = _without_halves(text)
        entries = (choice.get("logprobs") or {}).get("content") or ()
        pieces = len(entries) or (1 if text or said.get("reasoning_content") or said.get("reasoning") else 0)
        tokens = self._new_tokens(sample, chunk, pieces)
        sample.tokens += tokens
        if sample.ended:
            return None
        text, finish = self._ending(sample, text, choice, chunk)
        if not (text or tokens or finish):
            return None
        logprobs, alternatives, token_ids = self._logprobs(entries, choice)
        if finish:
            sample.ended = True
            self.running -= 1
            if not self.running:
                self._held = Delta(text, tokens, index, finish, logprobs, alternatives, token_ids)
                return None
        prompt_tokens, cached_tokens = self._prompt_news()
        return Delta(text, tokens, index, finish, logprobs, alternatives, token_ids, prompt_tokens, cached_tokens)

    def _new_tokens(self, sample: _Sample, chunk: dict[str, Any], pieces: int) -> int:
        if not self._traits.counts:
            return pieces
        if timings := chunk.get("timings"):
            total = timings["predicted_n"]
        elif verbose := chunk.get("__verbose"):
            total = verbose["tokens_predicted"]
        elif usage := chunk.get("usage"):
            total = usage["completion_tokens"]
        else:
            return pieces
        return max(0, int(total) - sample.tokens)

    def _ending(
        self, sample: _Sample, text: str, choice: dict[str, Any], chunk: dict[str, Any]
    ) -> tuple[str, Finish | None]:
        """The text of this delta, cut after or completed by a stop string, and why the sample ended, if it did."""
        if self._watched and text:
            window, before = sample.tail + text, len(sample.tail)
            ends = [at + len(stop) for stop in self._watched if (at := window.find(stop)) >= 0]
            if ends:
                self.cut += 0 if choice.get("finish_reason") else 1
                return text[: min(ends) - before], Finish.DELIMITER
            sample.tail = window[-self._reach :] if self._reach else ""
        reason = choice.get("finish_reason")
        if not reason:
            return text, None
        if reason == "length":
            return text, Finish.LENGTH
        if reason == "content_filter":
            raise EngineRefused("the server withheld the text (content filter)")
        if reason in ("abort", "error"):
            raise EngineError(f"the server gave up in the middle of the text ({reason})")
        word = self._stop_word(choice, chunk) if self._served else None
        return (text + word, Finish.DELIMITER) if word else (text, Finish.EOS)

    def _stop_word(self, choice: dict[str, Any], chunk: dict[str, Any]) -> str | None:
        field, told = self._traits.stop_field, {**choice, **(chunk.get("__verbose") or {})}
        if field not in told:
            raise EngineError(f"the server does not say what ended the text ({field} is missing): use another dialect")
        word = told[field]
        return word if isinstance(word, str) else None  # a number is the id of an end token

    def _logprobs(
        self, entries: Any, choice: dict[str, Any]
    ) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...], tuple[int, ...]]:
        token_ids = tuple(choice.get("token_ids") or ())
        if not entries:
            return (), (), token_ids
        count = self._alternatives
        return (
            tuple([float(entry["logprob"]) for entry in entries]),
            tuple([tuple([top["logprob"] for top in entry["top_logprobs"][:count]]) for entry in entries])
            if count
            else (),
            token_ids or tuple([entry["id"] for entry in entries if "id" in entry]),
        )


def _count(said: Any) -> int | None:
    return None if said is None else int(said)


def _without_halves(text: str) -> str:
    """Halves of surrogate pairs, which JSON can carry and UTF-8 cannot, are joined or replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
