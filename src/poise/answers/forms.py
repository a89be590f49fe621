"""Canonical forms, by kind of answer."""

from __future__ import annotations

import re

from poise.answers import numbers
from poise.core import Kind

_QUOTES = " \t\r\n\v\f\"'`*\u201c\u201d\u2018\u2019"
_LONGEST = 1000  # characters of a value that is not free text

_LETTER = re.compile(
    r"[\s*_\"'`$:]*(?:\\(?:text|textbf|mathrm|mathbf)\{)?(?:the\s+)?(?:(?:option|choice|letter)\s*:?\s*)?"
    r"([(\[]?)[\"'*]*([A-Za-z])(?![^\W_]|['\u2019]\w)(?:(?=[\"'*]*[)\].:,;}$])|(?=[\s\"'*]*$)|())",
    re.IGNORECASE,
)
_BARE_CAPITAL = re.compile(r"[B-HJ-Z]|[AI](?!\s+(?!because|since|as\b|and\b|is\b|which|for\b)[a-z])")
_PARENTHESISED = re.compile(r"(?<!\w)\(([A-Za-z])\)")
_LISTED = re.compile(
    r"(?<!\w)\(([A-Za-z])\)|\b(?:[Oo]ption|[Cc]hoice)\s+\(?([A-Z])\b"
    r"|^[^\w\n]*([A-Z])[.):](?=[\s*]|$)|^[^\w\n]*([A-Za-z])[^\w\n]*$",
    re.MULTILINE,
)
_MATHS = re.compile(r"\${1,2}([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SPACED = re.compile(r"\s*([-+*/=^(){}\[\],<>|])\s*")
_TYPESETTING = re.compile(r"\\(?:left|right|displaystyle|quad|[!,;: ])(?![A-Za-z])")


def canonical(text: str, kind: Kind) -> str:
    """The form in which answers of this kind are compared; the tidied text itself where none can be read."""
    return read(text, kind) or tidy(text)


def read(phrase: str, kind: Kind) -> str | None:
    """The canonical value that a phrase states, or None."""
    if kind is Kind.TEXT:
        return tidy(phrase) or None
    phrase = phrase[:_LONGEST]
    if kind is Kind.NUMBER:
        return numbers.read(phrase)
    if kind is Kind.CHOICE:
        return choice(phrase)
    return expression(phrase) or None


def tidy(text: str) -> str:
    """Text without the quotes, emphasis and final period around it."""
    return text.rstrip(_QUOTES + ".").lstrip(_QUOTES)


def choice(phrase: str) -> str | None:
    """The letter that a phrase opens with ("B", "(B) Paris", "option b."), else the first in parentheses. The article
    of "A dog" is not a choice."""
    match = _LETTER.match(phrase)
    if match:
        marked = match[1] or match[3] is None
        if marked or _BARE_CAPITAL.match(phrase, match.start(2)):
            return match[2].upper()
    match = _PARENTHESISED.search(phrase)
    return match[1].upper() if match else None


def last_choice(text: str) -> str | None:
    """The last letter that a text singles out: (A), "option A", or a line that is or opens with "A." or "A)"."""
    letter = None
    for match in _LISTED.finditer(text):
        letter = match[match.lastindex or 1]
    return letter.upper() if letter else None


def expression(phrase: str) -> str:
    """LaTeX or plain mathematics without its delimiters and typesetting; numbers as numbers are written."""
    text = phrase[:_LONGEST]
    while (simpler := _simpler(text)) != text:
        text = simpler
    number = numbers.exact(text) if "," not in text else None  # 1,2 is a pair here
    return number or text


def _simpler(text: str) -> str:
    """One pass; it never lengthens the text, so passes come to rest."""
    text = tidy(text)
    maths = _MATHS.match(text)
    if maths:
        text = maths[maths.lastindex or 0]
    text = _TYPESETTING.sub("", text.replace("\u2212", "-")).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return _SPACED.sub(r"\1", text.replace("**", "^")).rstrip(",;:$ ").lstrip("$ ")
