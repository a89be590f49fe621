import io
import json
import math
import re

import pytest
from report_runs import FakeArm, fake_config, fake_rows, write_run
from rich.console import Console
from test_report_html import ATTACK, Checked

from poise.core import Finish
from poise.evals.rows import Interval
from poise.evals.scaling import Curve, Family, Knee, Measured, Scaling
from poise.report import write
from poise.report.frontier import Axis
from poise.report.html import page
from poise.report.read import read
from poise.report.scaling import cells, curve, heights, oracle, scalings, sentence, shared
from poise.report.table import show
from poise.trace import Launched

WIDTHS = (2, 4, 8, 16)
VOTES = tuple(FakeArm(f"self_consistency:n={n}", n, 40, 0.4, spread=0.4, cut=0) for n in WIDTHS)
SINGLE = FakeArm("cot", 1, 40, 0.4, spread=0.4, cut=0)
BESTS = tuple(FakeArm(f"best_of_n:n={n}", n, 40, 0.4, cut=0, scorer="verifier") for n in (2, 4))
TREES = tuple(FakeArm(f"rebase:width={n}", n, 30, 0.42, depth=3, cut=0) for n in (4, 8))
N = 30


def run(path, arms, n=N, graded=None):
    return write_run(path, graded or fake_rows(n, arms), fake_config(arms, n, []))


@pytest.fixture(scope="session")
def wide_path(tmp_path_factory):
    return run(tmp_path_factory.mktemp("scaling") / "run", (SINGLE, *VOTES, *BESTS, *TREES))


@pytest.fixture(scope="session")
def wide(wide_path):
    return read(wide_path)


@pytest.fixture(scope="session")
def found(wide):
    return scalings(wide)


def family(shares=(0.3, 0.4, 0.5), knee=None, curve=None, gain=Interval(0.01, -0.02, 0.04)):
    points = [
        Measured(f"v{k}", 2**k, 100, 1e10 * 2**k, Interval(share, share - 0.1, share + 0.1))
        for k, share in enumerate(shares)
    ]
    arms, widths = tuple(point.arm for point in points), tuple(point.width for point in points)
    return Scaling(Family("vote", arms, widths), tuple(points), curve, knee, gain)


def test_families_of_a_run(found):
    assert [(one.family.label, [point.width for point in one.points]) for one in found] == [
        ("self_consistency", [1, 2, 4, 8, 16]), ("best_of_n · verifier", [1, 2, 4]), ("rebase", [4, 8]),
    ]  # fmt: skip
    assert [point.arm for point in shared(found)] == ["cot"]


def test_pass_at_k_is_counted_from_the_drafts_of_the_widest_arm(found):
    votes, _, trees = found
    right = [
        sum(step.value.text == row.truth for step in trace.steps.values()) for row, trace in fake_rows(N, VOTES[-1:])
    ]
    chances = {each.k: each.share.mean for each in votes.passes}
    assert list(chances) == [1, 2, 4, 8, 16]
    assert chances[1] == pytest.approx(sum(right) / 16 / N)
    assert chances[16] == pytest.approx(sum(count > 0 for count in right) / N)
    assert chances[2] == pytest.approx(sum(1 - math.comb(16 - c, 2) / math.comb(16, 2) for c in right) / N)
    for each, point in zip(votes.passes, votes.points, strict=True):
        assert each.gap.mean == pytest.approx(each.share.mean - point.accuracy.mean)
    assert trees.passes == ()  # a tree's leaves are no independent drafts


def test_drafts_that_were_cut_or_never_drawn_are_not_an_oracle(tmp_path):
    closed = (SINGLE, FakeArm("self_consistency:n=8", 8, 40, 0.4, cut=0.3))
    assert any(step.draft.finish is Finish.CLOSED for _, trace in fake_rows(N, closed) for step in trace.steps.values())
    (one,) = scalings(read(run(tmp_path / "closed", closed)))
    assert one.passes == ()
    arms = (SINGLE, VOTES[2])
    graded = fake_rows(N, arms)
    trace = graded[-1][1]
    trace.events.remove(next(event for event in trace.events if isinstance(event, Launched)))
    (one,) = scalings(read(run(tmp_path / "short", arms, graded=graded)))
    assert one.passes == ()


def test_a_grade_of_a_row_counts_more_than_its_text(tmp_path):
    """A task's own scorer may take what is not the same text: drafts with that value are then right too."""
    from dataclasses import replace

    arms = (SINGLE, VOTES[0])
    graded = [(replace(row, truth="something else", correct=row.correct), trace) for row, trace in fake_rows(N, arms)]
    (one,) = scalings(read(run(tmp_path / "lax", arms, graded=graded)))
    assert one.passes[-1].share.mean >= one.points[-1].accuracy.mean > 0


def test_a_broken_trace_costs_the_oracle_and_no_more(tmp_path):
    path = run(tmp_path / "run", (SINGLE, VOTES[0]))
    with (path / "traces.jsonl").open("a") as traces:
        traces.write("{broken}\n")
    (one,) = scalings(read(path))
    assert one.passes == ()
    assert len(one.points) == 2


def test_the_page_has_figure_table_and_sentences(wide, found):
    checked = Checked(page(wide))
    text = " ".join(checked.texts)
    assert checked.open == []
    assert checked.texts.count("Scaling") == 1
    assert "two budgets: too few to fit" in text
    figure = json.loads(checked.scripts[0])["scaling"]
    lines = [trace for trace in figure["data"] if trace["mode"] == "lines" and trace.get("legendgroup") != "oracle"]
    assert [bool(trace["x"]) for trace in lines] == [one.curve is not None for one in found] == [True, True, False]
    assert figure["layout"]["xaxis"]["type"] == "log"
    names = [trace["name"] for trace in figure["data"] if trace.get("showlegend", True)]
    assert names[:4] == ["self_consistency", "best_of_n · verifier", "rebase", "cot"]
    assert set(re.findall(r"var\((--[a-z-]+)\)", json.dumps(figure))) <= {"--ink", "--muted", "--line", "--card"}


def test_no_family_no_section_and_no_picture(tmp_path):
    arms = (FakeArm("direct", 1, 12, 0.25), VOTES[0], *BESTS[:1])
    path = run(tmp_path / "run", arms, n=6)
    checked = Checked(page(read(path)))
    assert "Scaling" not in checked.texts
    assert "scaling" not in json.loads(checked.scripts[0])
    assert [out.name for out in write(path, tensorboard=False)] == ["report.html", "frontier.png"]


def test_the_picture_is_drawn_in_the_colours_of_the_families(wide_path, tmp_path):
    from PIL import Image

    written = write(wide_path, tmp_path / "out", html=False, tensorboard=False)
    assert [path.name for path in written] == ["frontier.png", "scaling.png"]
    with Image.open(written[1]) as picture:
        assert picture.size == (1600, 1000)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73)} <= colours


def test_what_a_run_says_of_its_families_is_text(tmp_path):
    arms = tuple(FakeArm(f"{ATTACK}{n}", n, 12, 0.4, strategy=f"best_of_n:n={n}", scorer=ATTACK, cut=0) for n in (2, 4))
    checked = Checked(page(read(run(tmp_path, arms, n=6))))
    assert checked.open == []
    assert "Scaling" in checked.texts
    assert [tag for tag, _ in checked.elements].count("script") == 3
    assert not [tag for tag, _ in checked.elements if tag == "img"]
    names = [trace["name"] for trace in json.loads(checked.scripts[0])["scaling"]["data"] if "name" in trace]
    assert not [name for name in names if "<" in name]


def test_constant_accuracy_one_question_and_no_cost_are_drawn(tmp_path):
    sure = tuple(FakeArm(f"self_consistency:n={n}", n, 12, 1.0, cut=0) for n in (1, 2, 4, 8))
    for n in (1, 6):
        reading = read(run(tmp_path / f"{n}", sure, n=n))
        (one,) = scalings(reading)
        assert one.knee.cost == one.points[0].cost
        assert "one more doubling buys less than half a point" in sentence(one, Axis.FLOPS)
        assert "Scaling" in page(reading)
        write(reading.path, html=False, tensorboard=False)


def test_without_flops_the_axis_is_tokens(tmp_path):
    from dataclasses import replace

    arms = (SINGLE, *VOTES[:2])
    graded = [(replace(row, usage=replace(row.usage, flops=0.0)), trace) for row, trace in fake_rows(6, arms)]
    reading = read(run(tmp_path, arms, n=6, graded=graded))
    (one,) = scalings(reading)
    tokens = [row.usage.total_tokens - row.usage.prompt_tokens for row in reading.by_arm()["cot"]]
    assert one.points[0].cost == pytest.approx(sum(tokens) / 6)
    assert "tokens" in cells(one, Axis.TOKENS)[1][1]


def test_sentences_say_what_was_seen_whichever_way_it_fell():
    bends = Curve(0.6, 1e10 * 0.3, 1.0, 0.004)
    inside = family(curve=bends, knee=Knee(3e10, 2e10, None))
    told = sentence(inside, Axis.FLOPS)
    assert told == (
        "vote: past 30 GFLOP one more doubling buys less than half a point by the fitted curve (residual 0.4 points); "
        "95 % interval of the knee: 20 GFLOP to beyond. By it the last doubling bought 1.0 points [\u22122.0, 4.0]."
    )
    open_ended = sentence(family(curve=bends, knee=Knee(3e10, 1e10, None)), Axis.FLOPS)
    assert "this is not settled, the interval of the knee covers all that was measured" in open_ended
    line = Curve(-1.0, 0.04, 0.0, 0.01)
    assert "no knee up to 40 GFLOP, where one more doubling still buys 4.0 points by the straight line fitted to 3" in (
        sentence(family(curve=line, knee=Knee(None, None, None)), Axis.FLOPS)
    )
    falls = family(curve=Curve(1, -0.02, 0.0, 0.0), knee=Knee(1e10, 1e10, 1e10), gain=Interval(-0.02, -0.05, 0.01))
    assert "already from 10 GFLOP on" in sentence(falls, Axis.FLOPS)
    assert "bought \u22122.0 points" in sentence(falls, Axis.FLOPS)
    assert sentence(family((0.3, 0.4)), Axis.FLOPS).startswith("vote: two budgets: too few to fit. Between them a ")


def test_cells_of_the_knee():
    def knee(*ends):
        return cells(family(knee=Knee(*ends)), Axis.FLOPS)[2]

    assert knee(3e10, 2e10, 4e10) == ("30 GFLOP", "20 GFLOP to 40 GFLOP")
    assert knee(None, 1e10, None) == ("beyond", "\u2264 10 GFLOP to beyond")
    assert knee(None, None, None) == ("beyond", "")
    assert cells(family((0.3, 0.4)), Axis.FLOPS)[2] == ("-", "two budgets")


def test_curves_and_oracles_lie_over_what_was_measured(found):
    votes, bests, trees = found
    costs, shares = curve(votes)
    assert (costs[0], costs[-1]) == pytest.approx((votes.points[0].cost, votes.points[-1].cost))
    assert shares == pytest.approx([votes.curve.at(cost) for cost in costs])
    assert oracle(votes)[0] == pytest.approx([point.cost for point in votes.points])
    assert curve(trees) == oracle(trees) == ([], [])
    low, high = heights([votes, bests])
    assert low <= min(point.accuracy.low for point in votes.points)
    assert high >= votes.passes[-1].share.mean


@pytest.mark.parametrize("width", [100, 150])
def test_the_terminal_has_a_row_for_every_family(wide, found, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    show(wide.summary, console, found)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    rows = [line.split() for line in text.splitlines() if line.startswith((" self_consistency  ", " rebase  "))]
    assert [row[1] for row in rows] == ["5", "2"]
    assert ("two budgets" in text) == (width == 150)
    plain = Console(file=io.StringIO(), width=width, color_system=None)
    show(wide.summary, plain)
    assert "knee" not in plain.file.getvalue()
