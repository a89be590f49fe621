"""Examples as token batches of one shape: whole examples packed into lines, little padding, order fixed by the seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from poise.errors import ConfigError
from poise.lab.data import Example
from poise.models.turns import prompt_ids

_POOL = 512  # examples that are packed together


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as tokens; the loss counts those from `start` on. `thought`: tokens that are worth thinking before
    them, where some are known."""

    tokens: tuple[int, ...]
    start: int
    thought: tuple[int, ...] = ()


def encoded(examples: Sequence[Example], tokenizer: Any, longest: int) -> list[Encoded]:
    """Examples as tokens by the model's chat template, answers closed by the end of the turn; longer ones are left out,
    but plain text is cut into spans. Raises ConfigError when none is short enough, or where an example has a prompt and
    the tokenizer no chat template."""
    if not tokenizer.chat_template and any(example.prompt for example in examples):
        raise ConfigError("model", tokenizer.name_or_path, "a model whose tokenizer has a chat template")
    kept = []
    for example in examples:
        if not example.prompt:
            kept += _spans(tokenizer(example.answer, add_special_tokens=False).input_ids, longest)
            continue
        head = prompt_ids(tokenizer, example.prompt)
        tail = tokenizer(example.answer, add_special_tokens=False).input_ids
        tokens = (*head, *tail, tokenizer.eos_token_id)
        if len(tokens) <= longest:
            thought = tokenizer(example.thought, add_special_tokens=False).input_ids if example.thought else ()
            kept.append(Encoded(tokens, len(head), (*thought, tokenizer.eos_token_id) if thought else ()))
    if examples and not kept:
        raise ConfigError("longest", longest, "a length that some example fits in")
    return kept


def _spans(ids: Sequence[int], longest: int) -> list[Encoded]:
    """Text cut into spans, the last of which may be shorter; all but the first token of a span are to be predicted."""
    parts = (tuple(ids[start : start + longest]) for start in range(0, len(ids), longest))
    return [Encoded(part, 1) for part in parts if len(part) > 1]


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch of rows, all of one length, each holding whole examples one after the other (packing without attention
    across). tokens, positions: [rows, length]; segments: which example, -1 for padding; `places`: flat places whose
    next token counts, `targets`: those tokens."""

    tokens: Any
    positions: Any
    segments: Any
    places: Any
    targets: Any
    filled: int


def batches(
    rows: Sequence[Encoded], batch_tokens: int, length: int, seed: int, packs: bool = True
) -> Iterator[list[list[Encoded]]]:
    """Batches without end: each pass over the examples in a new order, packed anew (or each example a line). Lines that
    do not fill a batch at the end of a pass open the next one. Raises ConfigError where there are no rows."""
    if not rows:
        raise ConfigError("source", 0, "at least one example to train on")
    size, waiting = max(1, batch_tokens // length), list[list[Encoded]]()
    for turn in itertools.count():
        rng = random.Random(f"{seed}/{turn}")
        order = list(rows)
        rng.shuffle(order)
        pools = (order[first : first + _POOL] for first in range(0, len(order), _POOL))
        lines = [line for pool in pools for line in packed_lines(pool, length)] if packs else [[row] for row in order]
        rng.shuffle(lines)
        waiting += lines
        while len(waiting) >= size:
            yield waiting[:size]
            del waiting[:size]


def packed_lines(pool: Sequence[Encoded], length: int) -> list[list[Encoded]]:
    """Examples put into lines of at most `length` tokens: longest first, each into the fullest line that has room."""
    lines: list[list[Encoded]] = []
    room: list[int] = []
    for row in sorted(pool, key=lambda row: -len(row.tokens)):
        fits = [(space, number) for number, space in enumerate(room) if space >= len(row.tokens)]
        if fits:
            number = min(fits)[1]
            lines[number].append(row)
            room[number] -= len(row.tokens)
        else:
            lines.append([row])
            room.append(length - len(row.tokens))
    return lines


def packed(lines: Sequence[Sequence[Encoded]], length: int) -> Packed:
    """Lines as tensors."""
    import torch

    tokens = torch.zeros(len(lines), length, dtype=torch.long)
    positions = torch.zeros_like(tokens)
    segments = torch.full_like(tokens, -1)
    places, targets = list[int](), list[int]()
    for number, line in enumerate(lines):
        at = 0
        for segment, row in enumerate(line):
            end = at + len(row.tokens)
            tokens[number, at:end] = torch.tensor(row.tokens)
            positions[number, at:end] = torch.arange(len(row.tokens))
            segments[number, at:end] = segment
            places += range(number * length + at + row.start - 1, number * length + end - 1)
            targets += row.tokens[row.start :]
            at = end
    filled = int((segments >= 0).sum())
    return Packed(tokens, positions, segments, torch.tensor(places), torch.tensor(targets), filled)


def block_mask(segments: Any) -> Any:
    """What is added to attention scores [rows, 1, length, length]: 0 for the same example up to here, else -inf."""
    import torch

    length = segments.shape[1]
    seen = (segments[:, :, None] == segments[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()
    return torch.zeros(seen.shape).masked_fill_(~seen, float("-inf")).unsqueeze(1)
