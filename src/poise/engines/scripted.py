"""The scripted engine: a language model whose law is known.

It answers by a script instead of weights: P(each answer), token lengths, latencies and failures are given, so every
stop rule and allocator can be checked against exact numbers. Deterministic under the seed of each draw. On a
virtual-time event loop (`poise.testing.virtual`) its latencies cost no real time.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TypeAlias

from poise.core import Ability, Delta, Finish, Prompt, Role, Sampling, Thinking, ThinkingMode
from poise.costs import Card, Load, Overrun
from poise.errors import ConfigError, EngineUnreachable
from poise.seams import Stream


@dataclass(frozen=True, slots=True)
class Script:
    """How one question is answered. `answers`: (value, weight) pairs, the right one first by convention; `tokens`:
    range of tokens a draw; `steps`: lines of a solution, the last of which answers; `failure`: P(a draw fails).
    `remembers`: `tokens` counts what the draw continues, so that a text told in pieces is as long as one told at once.
    `settles`: words of a prefix from which on a forced greedy answer is the likeliest; before, it is any of them.
    `thoughtful`: the answers of a draw that thinks before its tokens, where they are others."""

    answers: tuple[tuple[str, float], ...]
    tokens: tuple[int, int] = (60, 180)
    steps: int = 1
    first_byte_seconds: float = 0.0
    seconds_per_token: float = 0.0
    failure: float = 0.0
    remembers: bool = False
    settles: int = 0
    thoughtful: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.answers or any(weight < 0 for _, weight in self.answers) or not sum(w for _, w in self.answers) > 0:
            raise ConfigError("script.answers", self.answers, "(value, weight) pairs with weights >= 0, not all 0")
        if not 1 <= self.tokens[0] <= self.tokens[1]:
            raise ConfigError("script.tokens", self.tokens, "a range (low, high) with 1 <= low <= high")
        if not 1 <= self.steps <= self.tokens[0]:
            raise ConfigError("script.steps", self.steps, "1 to the least number of tokens")


ScriptOf: TypeAlias = Callable[[str], Script]
THOUGHT_PASSES = 7
"""Of a thought: those of Quiet-STaR with 8 ahead."""
_FILLER = [f"w{number} " for number in range(200)]
_SUM = re.compile(r"(-?\d+)\s*([-+*])\s*(-?\d+)")


def sums(question: str) -> Script:
    """The script of the registered engine: answers "a + b", "a - b", "a * b" rightly in 60 % of draws."""
    found = _SUM.search(question)
    if not found:
        return Script((("42", 0.6), ("41", 0.2), ("43", 0.2)))
    a, sign, b = int(found[1]), found[2], int(found[3])
    truth = a + b if sign == "+" else a - b if sign == "-" else a * b
    return Script(((str(truth), 0.6), (str(truth + 1), 0.2), (str(truth - 2), 0.2)))


@dataclass(frozen=True, slots=True)
class _Told:
    """One draw as it will be told: tokens of text, and whether the text ends or a stop string does."""

    words: list[str]
    finish: Finish
    right: bool


class Scripted:
    """See the module. `script` maps a question to its Script; `per_delta` tokens travel in one delta (0: all);
    `slots`: what it says it can run at once (0: it does not say)."""

    def __init__(
        self,
        script: ScriptOf = sums,
        name: str = "scripted",
        card: Card | None = None,
        *,
        per_delta: int = 0,
        slots: int = 0,
    ) -> None:
        self.name, self._script, self._per_delta, self._slots = name, script, per_delta, slots
        self.card = card or Card("scripted", 1_000_000, 1_000_000, 4, 128, 128, 1_000, 100_000, passes=THOUGHT_PASSES)
        self.can = frozenset({Ability.CONTINUES, Ability.LOGPROBS, Ability.SEEDS, Ability.N_SAMPLES, Ability.THOUGHTS})
        self.generated = 0
        """Tokens this engine made, delivered or not: its own counter."""
        self._in_flight = 0

    def load(self) -> Load:
        return Load(self._in_flight, slots=self._slots)

    async def aclose(self) -> None:
        """Nothing to free."""

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        behind = [0]  # tokens made but never delivered

        async def settle() -> Overrun:
            left, behind[0] = behind[0], 0
            return Overrun(left)

        return Stream(self._deltas(prompt, sampling, n, behind), settle)

    async def _deltas(
        self, prompt: Prompt, sampling: Sampling, n: int, behind: list[int]
    ) -> AsyncGenerator[Delta, None]:
        asked, prefix = _split(prompt)
        script = self._script(asked)
        self._in_flight += 1
        try:
            told = [self._tell(script, prefix, sampling, index) for index in range(n)]
            await asyncio.sleep(script.first_byte_seconds)
            if script.failure and _dice(sampling, 0, "failure").random() < script.failure:
                raise EngineUnreachable(f"{self.name}: scripted failure")
            prompt_tokens: int | None = sum(len(message.text.split()) + 4 for message in prompt)
            size = self._per_delta or max(len(draw.words) for draw in told)
            for start in range(0, max(len(draw.words) for draw in told), size):
                if script.seconds_per_token:
                    await asyncio.sleep(script.seconds_per_token * size * (1 + _thoughts(sampling)))
                pieces = [(at, draw.words[start : start + size]) for at, draw in enumerate(told)]
                made = sum(len(words) for _, words in pieces)
                self.generated += made
                behind[0] += made
                for index, words in pieces:
                    if words:
                        behind[0] -= len(words)
                        last = start + size >= len(told[index].words)
                        yield self._delta(words, index, told[index], sampling, prompt_tokens, last)
                        prompt_tokens = None
        finally:
            self._in_flight -= 1

    def _tell(self, script: Script, prefix: str, sampling: Sampling, index: int) -> _Told:
        dice = _dice(sampling, index, prefix)
        answers = script.thoughtful if script.thoughtful and _thoughts(sampling) else script.answers
        values = [value for value, _ in answers]
        words_told = len(prefix.split())
        if sampling.temperature == 0 and words_told >= script.settles:
            value = max(answers, key=lambda pair: pair[1])[0]
        else:
            value = dice.choices(values, [weight for _, weight in answers])[0]
        told = prefix.count("\n")
        length = dice.randint(*script.tokens) - (words_told if script.remembers else 0)
        if re.search(r"answer is:?\s*$", prefix):
            words = [f" {value}", "."]
        else:
            words = _lines(dice, length, max(script.steps - told, 1), value)
        return _cut(words, sampling, value == values[0])

    def _delta(
        self, words: list[str], index: int, draw: _Told, sampling: Sampling, prompt_tokens: int | None, last: bool
    ) -> Delta:
        logprobs: tuple[float, ...] = ()
        alternatives: tuple[tuple[float, ...], ...] = ()
        if sampling.top_logprobs is not None:
            logprobs = tuple(-0.2 - 0.01 * (len(word) % 5) - (0.0 if draw.right else 0.1) for word in words)
            if sampling.top_logprobs:
                alternatives = tuple((lp, *(lp - 2.0 - k for k in range(sampling.top_logprobs - 1))) for lp in logprobs)
        return Delta(
            "".join(words),
            len(words),
            index,
            draw.finish if last else None,
            logprobs,
            alternatives,
            (),
            prompt_tokens,
            0,
            round(len(words) * _thoughts(sampling)),
        )


def _thoughts(sampling: Sampling) -> float:
    """Tokens thought for each token of the text."""
    way = sampling.thinking or Thinking()
    return {ThinkingMode.OFF: 0.0, ThinkingMode.GATED: way.share}.get(way.mode, 1.0) * THOUGHT_PASSES


def _split(prompt: Prompt) -> tuple[str, str]:
    """The question, and the assistant prefix to continue."""
    prefix = prompt[-1].text if prompt[-1].role is Role.ASSISTANT else ""
    return next((m.text for m in reversed(prompt) if m.role is Role.USER), ""), prefix


def _dice(sampling: Sampling, index: int, salt: str) -> random.Random:
    return random.Random(f"{sampling.seed}|{index}|{salt}") if sampling.seed is not None else random.Random()


def _lines(dice: random.Random, length: int, lines: int, value: str) -> list[str]:
    """`length` tokens: filler over `lines` lines, the last of which states the value."""
    ending = ["The ", "answer ", "is ", value + "."]
    filler = max(length - len(ending), 0)
    start = dice.randrange(len(_FILLER))
    words = (_FILLER * (1 + (start + filler) // len(_FILLER)))[start : start + filler]
    for line in range(1, lines):
        at = filler * line // lines - 1
        if 0 <= at < filler:
            words[at] = words[at].rstrip() + "\n"
    return words + ending


def _cut(words: list[str], sampling: Sampling, right: bool) -> _Told:
    """Apply stop strings (kept in the text: the delimiter belongs to the step) and the token ceiling."""
    finish = Finish.EOS
    for at, word in enumerate(words if sampling.stop else ()):
        if any(stop in word for stop in sampling.stop):
            words, finish = words[: at + 1], Finish.DELIMITER
            break
    if len(words) > sampling.max_tokens:
        words, finish = words[: sampling.max_tokens], Finish.LENGTH
    return _Told(words, finish, right)
