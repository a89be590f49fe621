"""Prompts for use without Poise: as messages, as a Python function, as a dspy signature. The question is left open."""

from __future__ import annotations

import json
import re

from poise.core import Kind, Request, Role
from poise.prompts.file import PromptFile

_OPEN = "\ufffcquestion\ufffc"  # stands for the question while the rest is filled in


def messages(prompt: PromptFile, kind: Kind) -> list[dict[str, str]]:
    """Role and content of each message; "{question}" stands once in the last, and braces of the text are doubled, so
    that `str.format` fills it."""
    found = prompt.render(Request.ask(_OPEN, kind))
    texts = (message.text.replace("{", "{{").replace("}", "}}").replace(_OPEN, "{question}") for message in found)
    return [{"role": message.role.value, "content": text} for message, text in zip(found, texts, strict=True)]


def as_json(prompt: PromptFile, kind: Kind) -> str:
    """An array of messages, as chat endpoints take them."""
    return json.dumps(messages(prompt, kind), indent=1, ensure_ascii=False) + "\n"


def as_python(prompt: PromptFile, kind: Kind) -> str:
    """A module with one function, which needs nothing."""
    lines = [f'    {{"role": {m["role"]!r}, "content": {m["content"]!r}}},' for m in messages(prompt, kind)]
    return "\n".join(
        [
            f'"""Prompt {prompt.id}, version {prompt.version}: {_plain(prompt.description)}"""',
            "",
            "MESSAGES = [",
            *lines,
            "]",
            "",
            "",
            "def messages(question: str) -> list[dict[str, str]]:",
            '    """The messages that ask a question."""',
            '    return [{**each, "content": each["content"].format(question=question)} for each in MESSAGES]',
            "",
        ]
    )


def as_dspy(prompt: PromptFile, kind: Kind) -> str:
    """A module with a dspy signature whose instructions are the prompt without its question and examples, and a
    predictor of it whose demos the examples are."""
    told = prompt.render(Request.ask(_OPEN, kind))
    system = [message.text for message in told if message.role is Role.SYSTEM]
    turns = [message.text for message in told if message.role is not Role.SYSTEM]
    text = "\n\n".join(part.replace(_OPEN, "").strip() for part in (*system, turns[-1])).strip()
    name = "".join(word.capitalize() for word in re.split(r"\W|_", prompt.id) if word) or "Asked"
    shown = [
        f'    dspy.Example(question={asked!r}, answer={answered!r}).with_inputs("question"),'
        for asked, answered in zip(turns[:-1:2], turns[1:-1:2], strict=True)
    ]
    return "\n".join(
        [
            f'"""Prompt {prompt.id}, version {prompt.version}, for dspy: {_plain(prompt.description)}"""',
            "",
            "import dspy",
            "",
            "",
            f"class {name}(dspy.Signature):",
            f"    __doc__ = {text!r}",
            "    question: str = dspy.InputField()",
            "    answer: str = dspy.OutputField()",
            "",
            "",
            f"predict = dspy.Predict({name})",
            *(["predict.demos = [", *shown, "]"] if shown else []),
            "",
        ]
    )


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")
