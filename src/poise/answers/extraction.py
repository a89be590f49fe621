"""Where in a text the answer is: rules in order of trust."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from poise.answers import forms, numbers
from poise.core import Kind, Rule, Value

_TAIL = 20_000  # characters read: an answer stands at the end, and a megabyte must cost no more than a page
_TRIES = 8  # places per rule, from the last back

_ANSWER_IS = re.compile(
    r"nswers?(?:[ ](?:to|for|of)\b[^.:\n]{0,80}?)?[ *_\"')]*(?:\bis\b|\bwould be\b|\bwill be\b|:|=)[\s*:=]*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[^\sA-Z.][^\sA-Z.])[.!?](?=\s)|(?<=[0-9)\]}$\"'*])[.!?](?=\s)")
_CUT_WORD = re.compile(r"[\w.,%'/-]*\s*\Z")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}\s+[A-Za-z]{2,}")


class _Phrase(NamedTuple):
    """What follows a marker; `closed`: more text came after it, so it cannot have been cut short."""

    text: str
    closed: bool


def extract(text: str, kind: Kind, *, truncated: bool = False) -> Value | None:
    """The answer that a text states, and the rule that found it: the last `####`, `\\boxed{}`, "answer is" or
    "answer:", then by kind the last singled-out letter, the last number or the whole text.

    `truncated`: the draft was cut short, so only a marker with something complete after it is trusted. Never raises;
    reads the last 20,000 characters (all of them for free text).
    """
    tail = text[-_TAIL:]
    for rule, phrases in ((Rule.HASHES, _hashes), (Rule.BOXED, _boxed), (Rule.ANSWER_IS, _stated)):
        for phrase in phrases(tail, kind):
            whole = _whole(phrase, kind, truncated)
            form = forms.read(whole, kind) if whole else None
            if form is not None:
                return Value(form, rule)
    return None if truncated else _unmarked(text, kind)


def _unmarked(text: str, kind: Kind) -> Value | None:
    rule, form = Rule.LAST_NUMBER, None
    if kind is Kind.TEXT:
        rule, form = Rule.WHOLE_TEXT, forms.tidy(text)
    elif kind is Kind.CHOICE:
        rule, form = Rule.CHOICE, forms.last_choice(text[-_TAIL:])
    elif kind is Kind.EXPRESSION and "\n" not in (line := text.strip()[:_TAIL]) and not _PROSE.search(line):
        rule, form = Rule.WHOLE_TEXT, forms.expression(line)
    else:
        form = numbers.last(text[-_TAIL:])
    return Value(form, rule) if form else None


def _hashes(text: str, kind: Kind) -> Iterator[_Phrase]:
    """After the last `####`, unless that is a heading: a number must come first, anything else on the last line."""
    at = text.rfind("####")
    if at < 0 or text[at - 1 : at] == "#":
        return
    phrase = _line(text, at + 4)
    opening = phrase.text.lstrip(" *$+-\u2212.")[:1]
    if opening.isdecimal() if kind is Kind.NUMBER else not text[at + 4 + len(phrase.text) :].strip():
        yield phrase


def _boxed(text: str, kind: Kind) -> Iterator[_Phrase]:
    """The contents of `\\boxed{}`, last first."""
    end = len(text)
    for _ in range(_TRIES):
        end = text.rfind("\\boxed{", 0, end)
        if end < 0:
            return
        contents = _braced(text, end + 7)
        if contents is not None:
            yield _Phrase(contents, True)


def _braced(text: str, start: int) -> str | None:
    depth = 1
    for at in range(start, min(len(text), start + 1000)):
        depth += (text[at] == "{") - (text[at] == "}")
        if not depth:
            return text[start:at]
    return None


def _stated(text: str, kind: Kind) -> Iterator[_Phrase]:
    """After "answer is" or "answer:", last first."""
    end = len(text)
    for _ in range(_TRIES):
        end = max(text.rfind("nswer", 0, end), text.rfind("NSWER", 0, end))
        if end < 0:
            return
        match = _ANSWER_IS.match(text, end)
        if match:
            yield _line(text, match.end())


def _line(text: str, start: int) -> _Phrase:
    end = text.find("\n", start)
    return _Phrase(text[start:], False) if end < 0 else _Phrase(text[start:end], True)


def _whole(phrase: _Phrase, kind: Kind, truncated: bool) -> str:
    """The part of a phrase that is surely whole; of free text and mathematics only its first sentence."""
    text, closed = phrase
    if kind in (Kind.TEXT, Kind.EXPRESSION):
        stop = _SENTENCE_END.search(text)
        if stop:
            return text[: stop.start()]
        return "" if truncated and not closed else text
    if truncated and not closed:
        text = _CUT_WORD.sub("", text, count=1)
        return text if text.count("{") == text.count("}") else ""
    return text
