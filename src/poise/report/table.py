"""A summary in the terminal: a table of arms, a small frontier, and the comparisons as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from poise.evals.rows import ArmSummary, Interval, Summary
from poise.evals.scaling import Scaling
from poise.report import words
from poise.report.frontier import Axis, main_axis
from poise.report.scaling import HEADINGS, cells
from poise.report.scatter import letters, scatter
from poise.report.words import Verdict

_STYLE = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.OPEN: "yellow"}
_WIDE, _NARROW, _SLIM = 132, 100, 78  # columns of a terminal that shows every figure, and of some that cannot

_SCALED = (
    "knee: the cost past which one more doubling buys less than half a point. Last doubling, selection gap (pass@k "
    "minus the accuracy of k drafts): in points, 95 % intervals."
)


def show(summary: Summary, console: Console, scaled: Sequence[Scaling] = ()) -> None:
    """Print all that a terminal should see of a benchmark. `scaled`: its families, by `poise.report.scaling`."""
    console.print(render(summary, console.width, scaled))


def render(summary: Summary, width: int = _WIDE, scaled: Sequence[Scaling] = ()) -> Group:
    """The table, the frontier, the families and the comparisons as one thing to print."""
    parts: list[RenderableType] = [table(summary, width)]
    parts += [Text(note, style="yellow") for note in words.unweighed(summary)]
    plot = scatter(summary)
    parts += [Text(), plot] if plot is not None else []
    parts += [Text(), families(scaled, main_axis(summary), width)] if scaled else []
    parts += [Text(), *comparisons(summary)] if summary.comparisons else []
    return Group(*parts)


def table(summary: Summary, width: int = _WIDE) -> Table:
    """One row per arm; narrower terminals see fewer figures. `hull`: accuracy minus what a mix of the other arms would
    reach at this cost, in points."""
    grid = Table(
        box=None, padding=(0, 1), header_style="bold", caption=_caption(summary, width), caption_justify="left"
    )
    names = letters(summary)
    cells = [_cells(arm, width, timed=not summary.replayed) for arm in summary.arms]
    for heading in ("", *(cells[0] if cells else ())):
        text = heading in ("", "arm", " ")
        grid.add_column(heading, justify="left" if text else "right", no_wrap=heading != "arm", overflow="fold")
    for arm, figures in zip(summary.arms, cells, strict=True):
        grid.add_row(names[arm.arm], *figures.values(), style="" if arm.on_frontier else "dim")
    return grid


def families(scaled: Sequence[Scaling], axis: Axis, width: int = _WIDE) -> Table:
    """One row per family of arms: where one more doubling stops paying, and what the choice among drafts loses.
    Narrower terminals see no intervals."""
    grid = Table(box=None, padding=(0, 1), header_style="bold", caption=_SCALED, caption_justify="left")
    for heading in HEADINGS:
        text = heading == HEADINGS[0]
        grid.add_column(heading.lower(), justify="left" if text else "right", no_wrap=not text, overflow="fold")
    for one in scaled:
        label, (budgets, _), *figures = cells(one, axis)
        spread = (Text(" ".join(filter(None, both)) if width >= _WIDE else both[0]) for both in figures)
        grid.add_row(Text(words.clean(label[0])), budgets, *spread)
    return grid


def comparisons(summary: Summary) -> list[Text]:
    """The named comparisons, a sentence and a verdict each."""
    lines = []
    for comparison in summary.comparisons:
        verdict = words.verdict(comparison)
        line = Text("• ").append(words.sentence(comparison, summary))
        lines.append(line.append(f" {verdict.value.capitalize()}.", style=_STYLE[verdict]))
    return lines


def _cells(arm: ArmSummary, width: int, timed: bool) -> dict[str, Text | str]:
    """Figures by heading; no seconds where they were not measured."""
    wide = width >= _WIDE
    failed = f" ({arm.failed} failed)" if arm.failed else ""
    cells: dict[str, Text | str] = {
        "arm": Text(words.cut(arm.arm, 40)).append(failed, style="red"),
        " ": Text("◆" + " frontier" * wide, style="green") if arm.on_frontier else "",
        "accuracy %": f"{100 * arm.accuracy.mean:.1f} {words.bracket(arm.accuracy, 100)}",
        "new tokens": words.count(arm.new_tokens.mean) + _spread(arm.new_tokens) * wide,
        "FLOP": words.si(arm.flops.mean) + _spread(arm.flops) * wide,
        "p50": words.seconds(arm.seconds.p50 if timed else None),
        "p95": words.seconds(arm.seconds.p95 if timed else None),
    }
    if width < _SLIM:
        return {name: cells[name] for name in ("arm", " ", "accuracy %", "FLOP")}
    if width >= _NARROW:
        cells["hull"] = words.points(arm.hull_gap)
    if wide:
        cells |= {
            "complete": words.percent(arm.completion.mean),
            "work": words.seconds(arm.busy_seconds if timed else None),
            "reads": words.times(arm.prefix_reads if timed else None),
        }
    return cells


def _spread(cost: Interval) -> str:
    """Half the interval, as a share of the mean."""
    return f" ±{50 * (cost.high - cost.low) / cost.mean:.0f}%" if cost.mean > 0 else ""


def _caption(summary: Summary, width: int) -> Text:
    sizes = {arm.n for arm in summary.arms}
    n = f"n = {min(sizes)}" if len(sizes) == 1 else f"n = {min(sizes, default=0)} to {max(sizes, default=0)}"
    told = [f"{n} per arm, 95 % intervals. Costs: means per question. ◆ on the frontier"]
    told += ["hull: points above a mix of the other arms"] * (width >= _NARROW)
    told += ["reads: tokens run through the model over the distinct ones"] * (width >= _WIDE)
    ceiling = f"Oracle {words.percent(summary.oracle)}, hypervolume {summary.hypervolume.mean:.3f}"
    about = f"{'; '.join(told)}. {ceiling} {words.bracket(summary.hypervolume, digits=3)}."
    return Text(about + " Draws are replayed: no seconds." * summary.replayed, style="dim")
