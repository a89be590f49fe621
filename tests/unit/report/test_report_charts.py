import dataclasses
import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.errors import ConfigError
from poise.evals.rows import Interval
from poise.report.calibration import reliability
from poise.report.frontier import Axis, axes, hull, points, span, stairs, ticks
from poise.report.labels import Box, along, place
from poise.report.palette import looks


def overlap(a, b):
    across = min(a.x + a.width / 2, b.x + b.width / 2) - max(a.x - a.width / 2, b.x - b.width / 2)
    up = min(a.y + a.height / 2, b.y + b.height / 2) - max(a.y - a.height / 2, b.y - b.height / 2)
    return max(across, 0) * max(up, 0)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(100, 860), st.integers(60, 440)), min_size=1, max_size=8))
def test_labels_neither_overlap_nor_leave_the_frame(centres):
    frame = Box(480, 250, 960, 500)
    found = place([Box(x, y, 14, 14) for x, y in centres], [(110.0, 17.0)] * len(centres), frame, [])
    for index, label in enumerate(found):
        assert overlap(label, frame) == pytest.approx(110 * 17)
        assert all(overlap(label, other) == 0 for other in found[:index])


def test_a_label_keeps_off_a_line_beside_its_point():
    point, line = Box(480, 250, 14, 14), along([480, 480], [100, 400])
    (label,) = place([point], [(100.0, 17.0)], Box(480, 250, 960, 500), line)
    assert sum(overlap(label, box) for box in line) == 0


@given(st.floats(-4, 20), st.floats(0.4, 12))
def test_ticks_are_round_few_and_inside(left, width):
    marks = ticks(left, left + width)
    assert 1 <= len(marks) <= 9
    assert marks == sorted(set(marks))
    for mark in marks:
        assert left <= math.log10(mark) <= left + width
        assert float(f"{mark:.1e}") == pytest.approx(mark)


def test_the_staircase_climbs_and_stays_below_the_hull(reading):
    line = points(reading.summary, Axis.FLOPS)
    right = 10 ** span(line)[1]
    xs, ys = stairs(line, right)
    assert xs == sorted(xs)
    assert ys == sorted(ys)
    assert (xs[0], xs[-1], ys[-1]) == (line[0].cost.mean, right, max(point.accuracy.mean for point in line))
    curve = dict(zip(*hull(line), strict=True))
    for point in line:
        if point.cost.mean in curve:
            assert curve[point.cost.mean] >= point.accuracy.mean - 1e-9


def test_an_axis_needs_a_cost_of_every_arm(reading):
    summary = reading.summary
    assert axes(summary) == [Axis.FLOPS, Axis.TOKENS, Axis.SECONDS, Axis.WORK]
    idle = dataclasses.replace(summary.arms[0], busy_seconds=0.0)
    assert Axis.WORK not in axes(dataclasses.replace(summary, arms=(idle, *summary.arms[1:])))


def test_an_interval_that_reaches_zero_still_has_a_place_on_a_log_axis(reading):
    summary = reading.summary
    wide = dataclasses.replace(summary.arms[0], flops=Interval(summary.arms[0].flops.mean, 0.0, 1e12))
    line = points(dataclasses.replace(summary, arms=(wide, *summary.arms[1:])), Axis.FLOPS)
    assert all(point.cost.low > 0 for point in line)


def test_looks_differ_and_labels_are_short_and_unique():
    found = looks([*(f"arm {index}" for index in range(20)), "x" * 60 + "1", "x" * 60 + "2"])
    assert len({(look.colour, look.symbol) for look in found.values()}) == len(found)
    assert len({look.label for look in found.values()}) == len(found)
    assert max(len(look.label) for look in found.values()) <= 50


def test_reliability_bins_hold_every_answer(reading):
    rows = reading.by_arm()
    for arm in reliability(rows):
        said = [row for row in rows[arm.arm] if row.confidence is not None]
        assert sum(b.n for b in arm.bins) == arm.n == len(said)
        assert sum(b.n * b.accuracy.mean for b in arm.bins) == pytest.approx(sum(row.correct for row in said))
        assert arm.error == pytest.approx(sum(b.n * abs(b.accuracy.mean - b.confidence) for b in arm.bins) / arm.n)
    assert {arm.arm for arm in reliability(rows)} == {"self_consistency:n=8", "rebase:width=4"}


@pytest.mark.parametrize("package", ["plotly.graph_objects", "matplotlib", "tensorboardX"])
def test_a_missing_package_names_the_extra(package, reading, tmp_path, monkeypatch):
    from poise.report.html import write_html
    from poise.report.png import write_png
    from poise.report.tensorboard import write_tensorboard

    monkeypatch.setitem(sys.modules, package, None)
    write = {"plotly": write_html, "matplotlib": write_png, "tensorboardX": write_tensorboard}[
        package.partition(".")[0]
    ]
    with pytest.raises(ConfigError, match=r"poise\[report\]"):
        write(reading, tmp_path / "out")


def test_the_picture_has_the_size_asked_for(reading, tmp_path):
    from PIL import Image

    from poise.report.png import write_png

    with Image.open(write_png(reading, tmp_path / "frontier.png")) as picture:
        assert picture.size == (1600, 1000)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    drawn = looks(arm.arm for arm in reading.summary.arms)
    for arm in reading.summary.frontier:
        assert tuple(bytes.fromhex(drawn[arm].colour[1:])) in colours


def test_event_files_can_be_read_back(reading, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from poise.report.tensorboard import write_tensorboard

    for _ in range(2):  # a second report replaces the first
        write_tensorboard(reading, tmp_path)
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert folders == ["00_direct", "01_cot", "02_self_consistency_n=8", "03_rebase_width=4"]
    events = accumulator.EventAccumulator(str(tmp_path / "02_self_consistency_n=8")).Reload()
    curve = events.Scalars("running/accuracy")
    assert [point.step for point in curve] == list(range(1, 25))
    assert curve[-1].value == pytest.approx(reading.summary.arms[2].accuracy.mean)
    assert events.Scalars("final/new_tokens")[0].value == pytest.approx(reading.summary.arms[2].new_tokens.mean)
    assert events.Histograms("new_tokens")[0].histogram_value.num == 24
    assert len(list((tmp_path / "00_direct").iterdir())) == 1
