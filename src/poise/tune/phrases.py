"""Edits of a prompt's length that need no gradient: a phrase put in, a sentence cut, a number halved or doubled.

A prompt is plain text at every moment: where a phrase has the slot {n}, the number stands in the text, and it is found
again by the unit behind it ("50 words"). So nothing is kept beside the prompt, a run goes on from its text, and a
prompt of a user's own that has such a number is searched like those of the bank.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.errors import ConfigError, DataError
from poise.tune.shortlist import Edit, Kind, Source

_SLOT = re.compile(r"\{n\}(?: (\w+))?")
_SENTENCE = re.compile(r"\S[^\n]*?(?:[.!?]+(?=\s|$)|(?=\n)|$)")
_FIELDS = {"default": int, "low": int, "high": int, "phrases": list}


@dataclass(frozen=True, slots=True)
class Phrases:
    """A bank of phrases about length. `default`, `low`, `high`: of the number {n}, when it is put in, at least and at
    most. Raises ConfigError for phrases that are no line of text, and for a slot without a unit behind it."""

    phrases: tuple[str, ...]
    default: int = 50
    low: int = 3
    high: int = 400

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.default <= self.high:
            raise ConfigError(
                "phrases.default", self.default, f"from low = {self.low} to high = {self.high}, 1 or more"
            )
        for phrase in self.phrases:
            if not phrase.strip() or "\n" in phrase:
                raise ConfigError("phrases", phrase, "a line of text")
            if any(match[1] is None for match in _SLOT.finditer(phrase)):
                raise ConfigError("phrases", phrase, "{n} with a space and a unit behind it, such as {n} words")

    @property
    def units(self) -> tuple[str, ...]:
        """Words behind {n}, sorted."""
        return tuple(sorted({match[1] for phrase in self.phrases for match in _SLOT.finditer(phrase)}))

    def filled(self, prompt: str) -> str:
        """A prompt with its slots filled by the default. Raises ConfigError for a slot without a known unit behind it:
        its number could not be found again."""
        for match in _SLOT.finditer(prompt):
            if match[1] not in self.units:
                raise ConfigError("prompt", prompt, f"{{n}} in front of one of {', '.join(self.units)}")
        return prompt.replace("{n}", str(self.default))

    def numbers(self, prompt: str) -> list[re.Match[str]]:
        """Where a number stands in front of a unit."""
        units = "|".join(map(re.escape, self.units))
        return list(re.finditer(rf"(?<![\w.,])\d+(?= (?:{units})\b)", prompt)) if units else []

    def edits(self, prompt: str, dice: random.Random) -> list[Edit]:
        """At most four: one number of the prompt halved and doubled, one sentence cut, one phrase put in, each drawn.
        None leaves nothing, and none puts in a phrase that is there already, whatever its number."""
        found = []
        if numbers := self.numbers(prompt):
            found += self._moved(prompt, dice.choice(numbers))
        sentences = [match.span() for match in _SENTENCE.finditer(prompt)]
        if len(sentences) > 1:
            start, end = dice.choice(sentences)
            rest = f"{prompt[:start]}{prompt[end:].lstrip()}".strip()
            found.append(Edit(Kind.CUT, start, Source.FREE, text=rest))
        if new := [phrase for phrase in self.phrases if not self._there(phrase, prompt)]:
            phrase = self.filled(dice.choice(new))
            in_front = dice.random() < 0.5
            text = f"{phrase} {prompt}" if in_front else f"{prompt} {phrase}"
            found.append(Edit(Kind.INSERT, 0 if in_front else len(prompt), Source.PHRASE, text=text))
        return found

    def _moved(self, prompt: str, number: re.Match[str]) -> list[Edit]:
        now = int(number[0])
        there = {max(self.low, now // 2), min(self.high, 2 * now)} - {now}
        return [
            Edit(
                Kind.NUMBER,
                number.start(),
                Source.FREE,
                text=prompt[: number.start()] + str(n) + prompt[number.end() :],
            )
            for n in sorted(there)
        ]

    def _there(self, phrase: str, prompt: str) -> bool:
        return bool(re.search(re.escape(phrase).replace(r"\{n\}", r"\d+"), prompt))


def shipped() -> Phrases:
    """The bank of the package."""
    return load_phrases(Path(__file__).with_name("phrases.toml"))


def load_phrases(path: Path) -> Phrases:
    """A bank from a TOML file: `phrases`, and maybe `default`, `low`, `high`. Raises DataError for any other file."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(str(path), 0, str(error), "a TOML file of phrases") from error
    for key, value in table.items():
        if key not in _FIELDS or not isinstance(value, _FIELDS[key]) or isinstance(value, bool):
            raise DataError(str(path), 0, f"{key} = {value!r}", f"{', '.join(_FIELDS)}: whole numbers, and texts")
    texts = table.pop("phrases", [])
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(str(path), 0, texts, "phrases: at least one text")
    return Phrases(tuple(texts), **table)
