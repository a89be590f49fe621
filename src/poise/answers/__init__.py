"""Answers: read a value out of a text, and tell which values are the same.

>>> extract("16 - 3 - 4 = 9, and 9 * 2 = 18. The answer is $18.00.", Kind.NUMBER)
Value(text='18', rule=<Rule.ANSWER_IS: 'answer is'>)

`Value.text` is a canonical form: exact for numbers ("1,234.50" is "1234.5", "0.5" and "1/2" are "0.5", "2/6" is
"1/3"), an upper-case letter for choices, tidied text otherwise. A percentage keeps its sign, because only the question
knows what is meant: "50%" is the same as "0.5" and the same as "50", which are not the same as each other.
"""

from poise.answers.equality import classes, same
from poise.answers.extraction import extract
from poise.answers.forms import canonical

__all__ = ["canonical", "classes", "extract", "same"]
