"""Numbers in running text and in LaTeX, read exactly and written in one canonical form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

_LONGEST = 400  # characters of a number; longer ones are not answers and cost time
_LINES = 200  # lines that may hold a last number
_GROUPING = ",_'\u00a0\u2009\u202f"
_DIGITS = rf"(?:[0-9]+(?:[.{_GROUPING}][0-9]+)*|(?<![\w.)])\.[0-9]+)"
# Not inside a word or a date; groups: the 1 of "1 1/2", above and below the bar, exponents, percent sign. The first
# look-ahead changes nothing but makes scanning four times as fast.
_NUMBER = re.compile(
    r"(?=[0-9.])(?<![^\W_])(?<!/)(?:([0-9]{1,9})[ ](?=[0-9]+[ ]?/))?"
    rf"({_DIGITS})(?:[ ]?/[ ]?({_DIGITS})(?![0-9]*/))?"
    r"(?:[eE]([-+]?[0-9]{1,3})(?![0-9A-Za-z])|\s?[x*]\s?10\s?(?:\^|\*\*)\s?\{?(-?[0-9]{1,3})(?![0-9])\}?)?"
    r"(\s?(?:%|percent\b|per cent\b))?"
)
_ENGLISH = re.compile(
    rf"[1-9][0-9]{{0,2}}([{_GROUPING}])[0-9]{{3}}(?:\1[0-9]{{3}})*(?:\.[0-9]+)?"  # 1,234,567.89
    r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?"  # 12,34,567
)
_CONTINENTAL = re.compile(
    r"[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}|[1-9][0-9]{0,2}([.'\u00a0\u2009\u202f])[0-9]{3}(?:\1[0-9]{3})*,[0-9]+"
    r"|0,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})"  # 1.234.567 and 1.234,5; 0,125 and 3,14, but 1234,567 is anything
)
# Minus, en dash, times, middle dot, division sign, closing quote.
_TYPOGRAPHY = str.maketrans("\u2212\u2013\u00d7\u00b7\u00f7\u2019", "--**/'")
_BOLD = re.compile(r"(?<![0-9A-Za-z)])\*\*|\*\*(?![0-9A-Za-z(])")
_LATEX = (
    (re.compile(r"\\[!,;: ]|\\left|\\right"), ""),  # 1\,234
    (re.compile(r"\{,\}"), ","),  # 1{,}234
    (re.compile(r"(?<=[0-9])(?=\\[dt]?frac)"), " "),
    (re.compile(r"\\[dt]?frac\s*\{\s*(-?[0-9.,]+)\s*\}\s*\{\s*([0-9.,]+)\s*\}"), r"\1/\2"),
    (re.compile(r"\\[dt]?frac\s*([0-9])\s*([0-9])"), r"\1/\2"),
    (re.compile(r"\\(?:times|cdot)"), "*"),
    (re.compile(r"\\([%$])"), r"\1"),
)
_NUMBERING = re.compile(r"[\s*#>-]*(?:[Ss]tep\s+[0-9]+\s*[.):]?|[0-9]{1,3}[.)])\**\s+(?=\S)")
_EQUATION = re.compile(r"\s*[A-Za-z]{0,12}\s*(?:=|[-+*/^x]{1,2}\s*(?:[($€£-]*[0-9]|$))")
_SENTENCE_END = re.compile(r"[.!?;](?:\s|$)|\n")


class Found(NamedTuple):
    """A number in a text: its canonical form, and where its digits start and end."""

    form: str
    start: int
    end: int


def find(text: str) -> Iterator[Found]:
    """The readable numbers of a text, in order. Dates, versions and lists such as 1,2,3 are not numbers."""
    for match in _NUMBER.finditer(text):
        form = _canonical(match)
        if form is not None:
            yield Found(form, match.start(), match.end())


def read(phrase: str) -> str | None:
    """The number that a phrase states: the first one, or the outcome where it opens an equation ("4 + 3 = 7"); None
    when that equation has no outcome."""
    phrase = _plain(_BOLD.sub("", phrase) if "**" in phrase else phrase)
    for found in find(phrase):
        if not _EQUATION.match(phrase, found.end):
            return found.form
        stop = _SENTENCE_END.search(phrase, found.end)
        sentence = phrase[found.end : stop.start() if stop else len(phrase)]
        _, equals, outcome = sentence.rpartition("=")
        return next((result.form for result in find(outcome)), None) if equals else None
    return None


def exact(text: str) -> str | None:
    """The number that a text is, with nothing but signs, dollars and a final period around it."""
    text = _plain(text)
    for found in find(text):
        alone = not text[: found.start].strip(" $+-") and not text[found.end :].strip(" $.")
        return found.form if alone else None
    return None


def last(text: str) -> str | None:
    """The last number of a text, the numbering of lists and steps aside."""
    for raw in reversed(text.rstrip().splitlines()[-_LINES:]):
        line = _plain(raw)
        numbering = _NUMBERING.match(line)
        matches = list(_NUMBER.finditer(line, numbering.end() if numbering else 0))
        forms = (_canonical(match) for match in reversed(matches))
        if form := next(filter(None, forms), None):
            return form
    return None


def readings(form: str) -> tuple[str, ...]:
    """What a canonical form may mean: itself, and for a percentage also its share and its bare number."""
    if not form.endswith("%") or exact(form) != form:
        return (form,)
    return (form, form[:-1], _write(Fraction(form[:-1]) / 100))


def _plain(text: str) -> str:
    """LaTeX and typography as plain arithmetic; other text as it is."""
    if not text.isascii():
        text = text.translate(_TYPOGRAPHY)
    if "\\" in text or "{" in text:
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
    return text


def _negative(text: str, start: int) -> bool:
    """Whether a minus before the digits is a sign; after a word or a number it is a hyphen or an operator."""
    before = text[max(start - 3, 0) : start].rstrip("$€£¥₹")
    if not before.endswith("-"):
        return False
    left = before[-2:-1]
    return not (left.isalnum() or left in tuple(")]}%"))


def _canonical(match: re.Match[str]) -> str | None:
    whole, top, bottom, exponent, ten, percent = match.groups()
    decimal = _decimal(top) if match.end() - match.start() <= _LONGEST else None
    if decimal is None:
        return None
    form: str | None
    if bottom is None and exponent is None and ten is None:  # nearly every answer
        integer, _, places = decimal.partition(".")
        form = ".".join(filter(None, (integer.lstrip("0") or "0", places.rstrip("0"))))
    else:
        form = _quotient(decimal, bottom, whole, int(exponent or ten or "0"))
    if form is None or len(form) > _LONGEST - 2:  # so that every form can be read again
        return None
    if form != "0" and _negative(match.string, match.start()):
        form = "-" + form
    return form + "%" if percent else form


def _decimal(token: str) -> str | None:
    """Digits with at most one decimal point; None where the separators could mean several things."""
    if token.replace(".", "", 1).isdigit():
        return token
    if _ENGLISH.fullmatch(token):
        return re.sub(r"[^0-9.]", "", token)
    if _CONTINENTAL.fullmatch(token):
        return re.sub(r"[^0-9,]", "", token).replace(",", ".")
    return None


def _quotient(top: str, bottom: str | None, whole: str | None, exponent: int) -> str | None:
    """whole + top / bottom x 10^exponent, where that makes sense."""
    lower = _decimal(bottom or "1")
    if lower is None or not Fraction(lower):
        return None
    share = Fraction(top) / Fraction(lower)
    if whole is not None and share >= 1:
        return None
    return _write((int(whole or "0") + share) * Fraction(10) ** exponent)


def _write(value: Fraction) -> str:
    """An integer, a terminating decimal or a reduced fraction."""
    top, bottom = value.numerator, value.denominator
    places, rest = 0, bottom
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest, count = rest // prime, count + 1
        places = max(places, count)
    if rest != 1:
        return f"{top}/{bottom}"
    digits = str(abs(top) * 10**places // bottom).rjust(places + 1, "0")
    point = len(digits) - places
    return "-" * (top < 0) + digits[:point] + ("." + digits[point:] if places else "")
