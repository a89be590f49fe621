"""A summary in the terminal: a small frontier, a table of arms, and the comparisons as sentences."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from poise.evals.rows import ArmSummary, Interval, Summary
from poise.report import words
from poise.report.scatter import letters, scatter
from poise.report.words import Verdict

_STYLE = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.OPEN: "yellow"}


def show(summary: Summary, console: Console) -> None:
    """Print everything that a terminal should see of a benchmark."""
    console.print(table(summary))
    plot = scatter(summary)
    for part in [plot] if plot else []:
        console.print()
        console.print(part)
    for index, line in enumerate(comparisons(summary)):
        console.print(*[] if index else ["\n"], line)


def table(summary: Summary) -> Table:
    """One row per arm. `hull` is accuracy minus what mixing the other arms would reach at this cost, in points."""
    grid = Table(box=None, padding=(0, 1), header_style="bold", caption=_caption(summary), caption_justify="left")
    for heading in ("", "arm", "", "accuracy %", "complete", "new tokens", "FLOP", "p50", "p95", "work", "hull"):
        text = heading in ("arm", "")
        grid.add_column(heading, justify="left" if text else "right", no_wrap=True, overflow="ellipsis")
    names = letters(summary)
    for arm in summary.arms:
        grid.add_row(names[arm.arm], *_cells(arm), style="" if arm.on_frontier else "dim")
    return grid


def comparisons(summary: Summary) -> list[Text]:
    """The named comparisons, a sentence and a verdict each."""
    lines = []
    for comparison in summary.comparisons:
        verdict = words.verdict(comparison)
        line = Text("• ").append(words.sentence(comparison, summary))
        lines.append(line.append(f" {verdict.value.capitalize()}.", style=_STYLE[verdict]))
    return lines


def _cells(arm: ArmSummary) -> list[Text | str]:
    failed = f" ({arm.failed} failed)" if arm.failed else ""
    return [
        Text(words.cut(arm.arm, 40)).append(failed, style="red"),
        Text("◆ frontier", style="green") if arm.on_frontier else "",
        f"{100 * arm.accuracy.mean:.1f} {words.bracket(arm.accuracy, 100)}",
        words.percent(arm.completion.mean),
        _with_spread(arm.new_tokens, words.count),
        _with_spread(arm.flops, words.si),
        words.seconds(arm.seconds.p50),
        words.seconds(arm.seconds.p95),
        words.seconds(arm.busy_seconds),
        words.points(arm.hull_gap),
    ]


def _with_spread(cost: Interval, show: words.Show) -> str:
    half = (cost.high - cost.low) / 2
    return f"{show(cost.mean)} ±{100 * half / cost.mean:.0f}%" if cost.mean > 0 else "–"


def _caption(summary: Summary) -> Text:
    sizes = {arm.n for arm in summary.arms}
    n = f"n = {min(sizes)}" if len(sizes) == 1 else f"n = {min(sizes, default=0)} to {max(sizes, default=0)}"
    return Text(
        f"{n}; 95 % intervals; costs are means per question (± half a 95 % interval); some arm is right on "
        f"{words.percent(summary.oracle)} (oracle); hypervolume {summary.hypervolume.mean:.3f} "
        f"{words.bracket(summary.hypervolume, digits=3)}",
        style="dim",
    )
