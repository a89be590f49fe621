"""A trace as a tree in the terminal (`poise ask --explain`)."""

from __future__ import annotations

import shutil

from rich.text import Text
from rich.tree import Tree as Branches

from poise.core import Finish
from poise.costs import Usage
from poise.report import words
from poise.report.nodes import Fate, Node, Tree, grow
from poise.trace import Drawn, Launched, Opened, Picked, Scored, Trace

_SEPARATOR = "  "
_BESIDE = 54  # columns that the figures beside a text take


def trace_tree(trace: Trace, width: int | None = None) -> Branches:
    """A rich tree of a whole, partial or failed trace; texts are cut to `width` characters (None: what the terminal
    has room for). Nothing the model wrote is read as markup or as a terminal code."""
    width = width or max(shutil.get_terminal_size().columns - _BESIDE, 24)
    shape = grow(trace)
    root = Branches(_head(shape.opened, width), guide_style="bright_black")
    waiting = [(root, 0)]
    while waiting:
        branch, parent = waiting.pop()
        for place in shape.under(parent):
            twig = branch.add(_line(place.node, width, place.link))
            if place.hangs:
                waiting.append((twig, place.node.id))
    root.add(_foot(trace, shape))
    return root


def usage_line(usage: Usage) -> str:
    """A bill in one line."""
    tokens = [f"{usage.prompt_tokens:,} prompt", f"{usage.new_tokens:,} new"]
    for amount, name in (
        (usage.thought_tokens, "thought"), (usage.scorer_tokens, "scorer"), (usage.overrun_tokens, "overrun"),
    ):  # fmt: skip
        tokens += [f"{amount:,} {name}"] if amount else []
    parts = [
        f"{usage.calls} call{'s' if usage.calls != 1 else ''}",
        f"{' + '.join(tokens)} tokens{' (estimated)' if usage.estimated else ''}",
        f"span {words.seconds(usage.seconds)}, work {words.seconds(usage.busy_seconds)}",
    ]
    parts += [words.si(usage.flops, "FLOP")] if usage.flops else []
    parts += [f"money {usage.money:.4g}"] if usage.money else []
    return " · ".join(parts)


def ending(picked: Picked | None) -> str:
    """How the run ended, in words."""
    if picked is None:
        return "no answer: the run ended without a pick"
    sure = f", confidence {picked.confidence:.2f}" if picked.confidence is not None else ""
    votes = f" after {picked.votes} votes" if picked.votes > 1 else ""
    return f"stopped: {picked.stopped.value}; picked #{picked.step}{votes}{sure}"


def _head(opened: Opened | None, width: int) -> Text:
    if opened is None:
        return Text("a trace without its opening", style="red")
    plan = opened.plan
    head = Text(words.cut(opened.request.question, width + _BESIDE), style="bold")
    head.append(f"\n{words.clean(plan.strategy.name)}", style="not bold cyan")
    head.append(f"{_SEPARATOR}{words.clean(plan.because)}", style="not bold dim")
    return head


def _line(node: Node, width: int, link: bool) -> Text:
    line = Text("↳ " if link else "", style="dim" if node.fate in (Fate.CLOSED, Fate.LOST) else "")
    line.append(f"{'●' if node.picked else '○'} #{node.id}", style="bold green" if node.picked else "bright_black")
    step = node.step
    if step is not None:
        line.append(f"{_SEPARATOR}{words.cut(step.text, width) or '(no text)'}", style="bold" if node.picked else "")
        line.append(f"{_SEPARATOR}{step.draft.tokens} tok {step.draft.finish.value}", style="bright_black")
        if step.value is not None:
            colour = "green" if node.agrees else "yellow"
            line.append(f"{_SEPARATOR}= {words.cut(step.value.text, 32)}", style=colour)
            line.append(f" [{step.value.rule.value}]", style="bright_black")
        elif step.draft.finish in (Finish.EOS, Finish.LENGTH):
            line.append(f"{_SEPARATOR}no value", style="yellow")
    elif node.fate is Fate.LOST:
        line.append(f"{_SEPARATOR}{node.fate.value}")
    for scored in node.scores:
        _add_score(line, scored.scorer, scored.score.value, scored.score.failure)
    for failed in node.failures:
        line.append(f"{_SEPARATOR}{words.clean(failed.error)}: {words.cut(failed.message, width)}", style="red")
    if node.seconds is not None:
        line.append(f"{_SEPARATOR}{words.seconds(node.seconds)}", style="bright_black")
    return line


def _add_score(line: Text, scorer: str, value: float, failure: str | None) -> None:
    if failure is None:
        line.append(f"{_SEPARATOR}{words.clean(scorer)} {value:.2f}", style="magenta")
    else:
        line.append(f"{_SEPARATOR}{words.clean(scorer)}: {words.cut(failure, 48)}", style="red")


def _foot(trace: Trace, shape: Tree) -> Text:
    foot = Text(ending(shape.picked), style="bold" if shape.picked else "bold red")
    foot.append(f"\n{usage_line(trace.usage)}{_reads(trace)}", style="not bold bright_black")
    draws, scores = trace.failures
    if draws or scores:
        told = [f"{draws} of {sum(1 for _ in trace.of(Launched))} draws failed"] * bool(draws)
        told += [f"{scores} of {sum(1 for _ in trace.of(Scored))} scores failed"] * bool(scores)
        foot.append(f"\n{', '.join(told)}: answered without them", style="not bold yellow")
    return foot


def _reads(trace: Trace) -> str:
    """How often a token of the tree was read, where steps go on from others."""
    reads = trace.prefix_reads
    deep = any(event.step.parent for event in trace.of(Drawn))
    return f"{_SEPARATOR}each token read {reads:.2f} times" if reads and deep else ""
