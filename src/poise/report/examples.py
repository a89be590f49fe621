"""Real traces on the page: the question, a fan of what every draw came to, and the tree as nested details."""

from __future__ import annotations

from collections.abc import Sequence

from poise.core import Step
from poise.report import words
from poise.report.markup import Html, el
from poise.report.nodes import Fate, Node, Place, Tree, grow
from poise.report.read import Example
from poise.report.tree import ending, usage_line

_LONGEST = 20_000  # characters of one step that the page shows


def examples(found: Sequence[Example]) -> Html:
    """All examples behind one button per arm."""
    arms = list(dict.fromkeys(example.row.arm for example in found))
    buttons = (el("button", arm, type="button", data_shows=arm, aria_pressed="false") for arm in arms)
    key = el(
        "p", el("span", "agrees with the pick", class_="agrees"), el("span", "differs", class_="differs"),
        el("span", "no value, or closed", class_="silent"), el("span", "failed", class_="broken"), class_="key",
    )  # fmt: skip
    return el("div", el("div", *buttons, class_="switch", role="group", aria_label="arm"), key, *(map(_example, found)))


def _example(example: Example) -> Html:
    row, shape = example.row, grow(example.trace)
    badge = el("span", "right" if row.correct else "wrong", class_=f"badge {'good' if row.correct else 'bad'}")
    said = f"answered {row.value}" if row.value is not None else "no value of the asked kind"
    question = shape.opened.request.question if shape.opened else ""
    because = shape.opened.plan.because if shape.opened else ""
    return el(
        "article",
        el("h3", row.arm, " ", badge),
        el("p", f"{row.task} · {row.item} · {said}, truth {row.truth}", class_="quiet"),
        el("div", question, class_="question"),
        el("p", f"Plan: {because}; {ending(shape.picked)}.", class_="quiet"),
        _fan(shape),
        *_places(shape, 0),
        el("p", usage_line(example.trace.usage), class_="key"),
        class_="example",
        data_arm=row.arm,
    )


def _fan(shape: Tree) -> Html | None:
    """What every path came to: the draws that nothing was drawn after."""
    nodes = sorted((node for node in shape if node.id not in shape.children), key=lambda node: node.id)
    if len(nodes) < 2:
        return None
    return el("div", *(el("span", _value(node), class_=_kind(node), title=_meta(node)) for node in nodes), class_="fan")


def _kind(node: Node) -> str:
    if node.fate is Fate.FAILED:
        kind = "broken"
    elif node.fate is not Fate.DRAWN or node.agrees is None:
        kind = "silent"
    else:
        kind = "agrees" if node.agrees else "differs"
    return f"{kind} picked" if node.picked else kind


def _value(node: Node) -> str:
    step = node.step
    return words.cut(step.value.text, 24) if step and step.value else "✗" if node.fate is Fate.FAILED else "·"


def _places(shape: Tree, parent: int) -> list[Html]:
    found = []
    for place in shape.under(parent):
        inside = _places(shape, place.node.id) if place.hangs else []
        found.append(_node(place, inside))
    return found


def _node(place: Place, inside: Sequence[Html]) -> Html:
    node, step = place.node, place.node.step
    value = el("span", f"= {_value(node)}", class_=f"value {_kind(node)}") if step and step.value else None
    first = words.cut(step.text, 88) if step else node.fate.value
    failures = (el("div", f"{failed.error}: {failed.message}", class_="failure") for failed in node.failures)
    looks = ["node", "on-path" if node.picked else "", "faded" if node.fate in (Fate.CLOSED, Fate.LOST) else ""]
    return el(
        "details",
        el(
            "summary", "↳ " if place.link else None, f"#{node.id} ", el("span", first, class_="first"), value,
            el("span", _meta(node), class_="meta"),
        ),
        _text(step) if step else None,
        *failures,
        el("div", *inside, class_="inner") if inside else None,
        class_=" ".join(filter(None, looks)),
        open=node.picked or node.fate is Fate.FAILED,
    )  # fmt: skip


def _meta(node: Node) -> str:
    step = node.step
    parts = [f"#{node.id}"]
    if step:
        parts = [f"{step.draft.tokens} tokens", step.draft.finish.value]
        parts += [step.value.rule.value] if step.value else []
    for scored in node.scores:
        score = scored.score
        parts.append(f"{scored.scorer} {score.failure or f'{score.value:.2f}'}")
    parts += [words.seconds(node.seconds)] if node.seconds is not None else []
    return " · ".join(parts)


def _text(step: Step) -> Html:
    left = len(step.draft.text) - _LONGEST
    return el(
        "div",
        el("span", step.suffix, class_="given") if step.suffix else None,
        step.draft.text[:_LONGEST],
        el("span", f"… {left:,} more characters", class_="given") if left > 0 else None,
        class_="text",
    )
