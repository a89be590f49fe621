"""Messages and answers as tokens, by a tokenizer's chat template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poise.core import Prompt, Role


def prompt_text(tokenizer: Any, prompt: Prompt) -> str:
    """Messages as one text, the assistant's turn opened; a last assistant message is a prefix, kept as it is."""
    prefix = prompt[-1].text if prompt[-1].role is Role.ASSISTANT else ""
    turns = prompt[:-1] if prompt[-1].role is Role.ASSISTANT else prompt
    messages = [{"role": turn.role.value, "content": turn.text} for turn in turns]
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text + prefix


def prompt_ids(tokenizer: Any, prompt: Prompt) -> list[int]:
    """The same as tokens."""
    ids: list[int] = tokenizer(prompt_text(tokenizer, prompt), add_special_tokens=False).input_ids
    return ids


def beyond(tokens: int, room: int) -> str:
    """Why a text is not read, as scores say it; nothing where it fits into the model."""
    return f"{tokens} tokens with its question, of {room} that the model can read" if tokens > room else ""


@dataclass(frozen=True, slots=True)
class Text:
    """An answer as it is read: its text, whether its turn ended by itself, and how many lines it has."""

    text: str
    ended: bool
    lines: int = 1


def text_ids(tokenizer: Any, text: Text) -> list[int]:
    """An answer as tokens, with the end of its turn where it ended by itself."""
    ids: list[int] = tokenizer(text.text, add_special_tokens=False).input_ids
    return [*ids, tokenizer.eos_token_id] if text.ended else ids
