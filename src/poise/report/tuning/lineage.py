"""From the initial prompt to the last, edit by edit, and what became of each token on the way. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from poise.report.tuning.read import Step, Tried, Tuning
from poise.tune.shortlist import Kind

_WORD = re.compile(r"\s*(?:\w+|[^\w\s]+)|\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A token of a prompt (a word, where tokens were not recorded). `born`: the number of the step that put it there,
    None for the initial prompt's own; `changes`: how often what stands at its place was replaced; `visits`: how many
    steps tried edits of it; `pull`: the steepest slope of the last that took a gradient."""

    text: str
    born: int | None = None
    changes: int = 0
    visits: int = 0
    pull: float | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """A prompt that was the incumbent: made by `step` (None: the initial one) out of the version before, of which it
    keeps what stands before and behind `removed`, with `added` in between."""

    step: Step | None
    before: tuple[Piece, ...]
    removed: tuple[Piece, ...]
    added: tuple[Piece, ...]
    behind: tuple[Piece, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The whole prompt."""
        return (*self.before, *self.added, *self.behind)

    @property
    def text(self) -> str:
        """As it is asked."""
        return "".join(piece.text for piece in self.pieces)


def words(text: str) -> list[str]:
    """Words and marks with the space before them; joined they are the text."""
    return _WORD.findall(text)


def lineage(tuning: Tuning) -> tuple[list[Version], tuple[Piece, ...]]:
    """Every incumbent in its turn, and the last one's tokens with all that the steps after it tried."""
    pieces = tuple(Piece(text) for text in words(tuning.initial))
    for step in tuning.steps[:1]:
        pieces = _recut(pieces, step.tokens, step.before)
    versions = [Version(None, pieces, (), (), ())]
    for step in tuning.steps:
        pieces = _visited(_recut(pieces, step.tokens, step.before), step)
        if step.prompt != step.before:
            versions.append(_edited(pieces, step))
            pieces = versions[-1].pieces
    return versions, pieces


def _recut(pieces: tuple[Piece, ...], tokens: Sequence[str], text: str) -> tuple[Piece, ...]:
    """The same prompt cut as the step recorded it; what is cut otherwise than before keeps the most of what it was."""
    old = [piece.text for piece in pieces]
    if not tokens or "".join(tokens) != text or list(tokens) == old:
        return pieces
    found: list[Piece] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, tokens, autojunk=False).get_opcodes():
        if kind == "equal":
            found += pieces[a:b]
        else:
            whole = _most(pieces[a:b])
            found += [replace(whole, text=text) for text in tokens[c:d]]
    return tuple(found)


def _most(pieces: Sequence[Piece]) -> Piece:
    """The latest and most of what these were."""
    born = max((piece.born for piece in pieces if piece.born is not None), default=None)
    pulls = [piece.pull for piece in pieces if piece.pull is not None]
    changes, visits = (max((getattr(each, name) for each in pieces), default=0) for name in ("changes", "visits"))
    return Piece("", born, changes, visits, min(pulls, default=None))


def _visited(pieces: tuple[Piece, ...], step: Step) -> tuple[Piece, ...]:
    """The token that the step tried to change, if it is known which."""
    place = step.place
    if place is None or [piece.text for piece in pieces] != list(step.tokens) or place not in range(len(pieces)):
        return pieces
    piece = pieces[place]
    slopes = [each.slope for each in step.tried if each.slope is not None]
    piece = replace(piece, visits=piece.visits + 1, pull=min(slopes) if slopes else piece.pull)
    return (*pieces[:place], piece, *pieces[place + 1 :])


def _edited(pieces: tuple[Piece, ...], step: Step) -> Version:
    """The next version: what both share at the two ends stays, the rest is what the step changed."""
    texts, won = [piece.text for piece in pieces], step.accepted
    first, last = kept(texts, step.prompt, place_of(step, won, texts) if won else None)
    before, removed, behind = pieces[:first], pieces[first : len(pieces) - last], pieces[len(pieces) - last :]
    middle = between(texts, step.prompt, first, last)
    made = _most(removed)
    parts = [middle] if middle and won and won.kind in (Kind.SWAP, Kind.GROW) else words(middle)
    added = tuple(replace(made, text=text, born=step.number, changes=made.changes + 1) for text in parts)
    return Version(step, before, removed, added, behind)


def place_of(step: Step, each: Tried, texts: Sequence[str]) -> int | None:
    """Where among `texts` an edit of one token was made; None where that is not known, or it was none of one token."""
    one = each.kind in (Kind.SWAP, Kind.DELETE) and list(texts) == list(step.tokens)
    return step.place if one and step.place in range(len(texts)) else None


def kept(texts: Sequence[str], after: str, place: int | None) -> tuple[int, int]:
    """How many of the pieces of a prompt, from its beginning and from its end, are still there after an edit. Where the
    place is known and all else stands, the edit is there, however much the new token looks like the old one. Nothing is
    kept of a number that changed."""
    if place is not None:
        before, behind = "".join(texts[:place]), "".join(texts[place + 1 :])
        if len(before) + len(behind) <= len(after) and after.startswith(before) and after.endswith(behind):
            return place, len(texts) - place - 1
    first, at = 0, 0
    while first < len(texts) and after.startswith(texts[first], at):
        at += len(texts[first])
        first += 1
    last, end = 0, len(after)
    while last < len(texts) - first and end - len(texts[-1 - last]) >= at and after.endswith(texts[-1 - last], 0, end):
        end -= len(texts[-1 - last])
        last += 1
    return _whole_numbers(texts, after, first, last)


def _whole_numbers(texts: Sequence[str], after: str, first: int, last: int) -> tuple[int, int]:
    changed = "".join(texts[first : len(texts) - last]), between(texts, after, first, last)
    if any(part[:1].isdigit() for part in changed):
        while first and texts[first - 1][-1:].isdigit():
            first -= 1
    if any(part[-1:].isdigit() for part in changed):
        while last and texts[-last][:1].isdigit():
            last -= 1
    return first, last


def between(texts: Sequence[str], after: str, first: int, last: int) -> str:
    """What stands after the edit between the pieces that were kept."""
    start, end = len("".join(texts[:first])), len("".join(texts[len(texts) - last :]))
    return after[start : len(after) - end]
