"""A trace seen as a tree: what every draw came to, which path was picked, and who agreed with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from poise import answers
from poise.core import Finish, Kind, Step
from poise.trace import Drawn, Failed, Launched, Opened, Picked, Scored, Trace


class Fate(Enum):
    """What became of one draw."""

    DRAWN = "drawn"
    CLOSED = "closed by us"
    FAILED = "failed"
    LOST = "never came back"


@dataclass(frozen=True, slots=True)
class Node:
    """One draw with all that was said about it. `agrees`: whether its value is the picked one; None without values."""

    id: int
    parent: int
    launched: Launched | None
    drawn: Drawn | None
    failures: tuple[Failed, ...]
    scores: tuple[Scored, ...]
    picked: bool
    agrees: bool | None

    @property
    def step(self) -> Step | None:
        """What was drawn, if anything was."""
        return self.drawn.step if self.drawn else None

    @property
    def fate(self) -> Fate:
        """What became of it."""
        if self.drawn is None:
            return Fate.FAILED if self.failures else Fate.LOST
        return Fate.CLOSED if self.drawn.step.draft.finish is Finish.CLOSED else Fate.DRAWN

    @property
    def seconds(self) -> float | None:
        """From launch to end."""
        end = self.drawn.at if self.drawn else self.failures[0].at if self.failures else None
        return None if end is None or self.launched is None else end - self.launched.at


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands in a drawing: `link` continues the node just above it at the same level, `hangs` says that
    its own children are drawn under it."""

    node: Node
    link: bool
    hangs: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes of a trace by parent id, roots under 0."""

    opened: Opened | None
    picked: Picked | None
    children: dict[int, tuple[Node, ...]]

    def under(self, parent: int = 0) -> Iterator[Place]:
        """Where the children of `parent` stand. An only child is followed by its own only child at the same level, so
        that a long chain does not wander off to the right."""
        family = self.children.get(parent, ())
        if len(family) > 1:
            yield from (Place(node, False, node.id in self.children) for node in family)
            return
        link = False
        while len(family) == 1:
            node, family = family[0], self.children.get(family[0].id, ())
            yield Place(node, link, len(family) > 1)
            link = True

    @property
    def flat(self) -> bool:
        """Whether every draw starts at the root: a fan."""
        return not any(parent for parent in self.children)

    def __iter__(self) -> Iterator[Node]:
        return (node for family in self.children.values() for node in family)


def grow(trace: Trace) -> Tree:
    """The tree of a trace; one pass over its events. Whole or partial traces, failed ones too."""
    opened, picked = next(trace.of(Opened), None), next(trace.of(Picked), None)
    kind = opened.request.kind if opened else Kind.TEXT
    path = trace.path(picked.step) if picked else ()
    chosen = path[-1].value.text if path and path[-1].value else None
    launched = {event.id: event for event in trace.of(Launched)}
    drawn = {event.step.id: event for event in trace.of(Drawn)}
    failures, scores = _by_step(trace)
    on_path = {step.id for step in path}
    families: dict[int, list[Node]] = {}
    for id in sorted({*launched, *drawn} | {id for id in failures if id > 0}):
        start, end = launched.get(id), drawn.get(id)
        parent = end.step.parent if end else start.parent if start else 0
        agrees = _agrees(end.step if end else None, chosen, kind)
        node = Node(id, parent, start, end, failures.get(id, ()), scores.get(id, ()), id in on_path, agrees)
        families.setdefault(max(parent, 0), []).append(node)
    return Tree(opened, picked, {parent: tuple(family) for parent, family in families.items()})


def _by_step(trace: Trace) -> tuple[dict[int, tuple[Failed, ...]], dict[int, tuple[Scored, ...]]]:
    failures: dict[int, tuple[Failed, ...]] = {}
    for failed in trace.of(Failed):
        failures[failed.id] = (*failures.get(failed.id, ()), failed)
    scores: dict[int, tuple[Scored, ...]] = {}
    for scored in trace.of(Scored):
        scores[scored.step] = (*scores.get(scored.step, ()), scored)
    return failures, scores


def _agrees(step: Step | None, chosen: str | None, kind: Kind) -> bool | None:
    if step is None or step.value is None or chosen is None:
        return None
    return step.value.text == chosen or answers.same(step.value.text, chosen, kind)
