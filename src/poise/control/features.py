"""What can be told of a question without a model."""

from __future__ import annotations

import re

from poise.core import Kind

_CHOICES = re.compile(r"(?:^|[\s(])\(?A[).:]\s.*?(?:^|[\s(])\(?B[).:]\s", re.DOTALL)
_NUMBER = re.compile(
    r"\bhow (?:many|much|long|old|far|tall|fast)\b|\b(?:calculate|compute|evaluate)\b"
    r"|\bwhat is the (?:sum|product|difference|total|number|average|gcd|lcm|value)\b|\d\s*[-+*/x\u00d7\u00f7]\s*\d",
    re.IGNORECASE,
)


def kind_of(question: str) -> Kind:
    """The kind of answer a question seems to ask for: lettered options, a number, or text."""
    if _CHOICES.search(question):
        return Kind.CHOICE
    return Kind.NUMBER if _NUMBER.search(question) else Kind.TEXT
