import dataclasses
import io

from rich.console import Console

from poise.report import words
from poise.report.scatter import scatter
from poise.report.table import show, table


def shown(summary, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    show(summary, console)
    return console.file.getvalue()


def test_every_arm_with_its_interval_and_every_comparison(reading):
    text = shown(reading.summary, 160)
    for arm in reading.summary.arms:
        assert f"{100 * arm.accuracy.mean:.1f} [{100 * arm.accuracy.low:.1f}, {100 * arm.accuracy.high:.1f}]" in text
    assert text.count("◆ frontier") == len(reading.summary.frontier)
    assert text.count("exact McNemar") == 2
    assert "n = 24 per arm" in text


def test_a_narrow_terminal_sees_whole_figures(reading):
    text = shown(reading.summary, 90)
    assert max(map(len, text.splitlines())) <= 90
    assert "accuracy %" in text
    assert "p95" in text
    assert "complete" not in text


def test_the_plot_has_every_letter_in_its_place(reading):
    plot = scatter(reading.summary).plain.splitlines()
    row = {letter: index for index, line in enumerate(plot) for letter in line[10:] if letter in "ABCD" and index < 12}
    by_accuracy = sorted(zip("ABCD", reading.summary.arms, strict=True), key=lambda pair: -pair[1].accuracy.mean)
    assert [row[letter] for letter, _ in by_accuracy] == sorted(row.values())
    assert (min(row.values()), max(row.values())) == (0, 11)


def test_no_plot_of_one_arm_or_of_unknown_costs(reading):
    summary = reading.summary
    assert scatter(dataclasses.replace(summary, arms=summary.arms[:1])) is None
    free = dataclasses.replace(summary.arms[0], flops=dataclasses.replace(summary.arms[0].flops, mean=0.0))
    assert scatter(dataclasses.replace(summary, arms=(free, *summary.arms[1:]))) is None


def test_arm_names_are_not_markup(reading):
    odd = dataclasses.replace(reading.summary.arms[0], arm="[red]x[/red]\x1b[2J")
    text = shown(dataclasses.replace(reading.summary, arms=(odd, *reading.summary.arms[1:])), 160)
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


def test_a_slim_terminal_sees_fewer_figures_but_whole_ones(reading):
    console = Console(width=60, file=io.StringIO())
    console.print(table(reading.summary, 60))
    told = console.file.getvalue()
    for arm in reading.summary.arms:
        assert arm.arm[:12] in told
        assert words.si(arm.flops.mean) in told
    assert "hull" not in told
    assert "hull" in str(table(reading.summary, 110).caption)
