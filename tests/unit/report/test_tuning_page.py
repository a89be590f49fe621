"""The page, the picture and the event files of an optimisation."""

import json
import re
import shutil

import pytest
from test_report_html import ATTACK, Checked
from tune_runs import FakeTuning

from poise.report import write
from poise.report.tuning.figures import points, prompts
from poise.report.tuning.page import page
from poise.report.tuning.picks import contest
from poise.report.tuning.read import read_tuning
from poise.tune.shortlist import By

HEADINGS = ("Outcome", "Front", "Races", "Edits", "Gradient against chance", "Foresight", "Lineage", "Every step")


@pytest.fixture(scope="module")
def checked(tuning):
    return Checked(page(tuning))


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """The page of a run in which every text that comes from outside attacks it."""
    words = tuple(f" {ATTACK}{k}" for k in range(8))
    fake = FakeTuning(12, 20, initial=("Go", f" {ATTACK}\u202e", "."), words=words)
    path = fake.write(tmp_path_factory.mktemp("attacked") / "run")
    settings = json.loads((path / "tune.json").read_text()) | {"task": ATTACK, "model": ATTACK}
    (path / "tune.json").write_text(json.dumps(settings))
    return Checked(page(read_tuning(path)))


def test_the_page_is_well_formed_and_says_all(checked, tuning):
    assert checked.open == []
    for heading in HEADINGS:
        assert checked.texts.count(heading) == 1
    text = " ".join(checked.texts)
    assert f"step {tuning.accepted[-1].number}" in text
    assert "gain shown" in checked.texts
    found = contest(tuning.steps)
    assert f"Of {found.decided} races that either won, the gradient won {found.won}" in text


def test_nothing_is_fetched(checked):
    for _, attributes in checked.elements:
        assert not {"src", "href", "srcset", "action", "data"} & attributes.keys()
    policy = next(a["content"] for tag, a in checked.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_every_chart_has_its_figure(checked):
    figures = json.loads(checked.scripts[0])
    named = {attributes["data-figure"] for _, attributes in checked.elements if "data-figure" in attributes}
    named |= {attributes["data-axis"] for _, attributes in checked.elements if "data-axis" in attributes}
    assert named == figures.keys()
    assert set(re.findall(r"var\((--[a-z-]+)\)", checked.scripts[0])) <= {"--ink", "--muted", "--line", "--card"}


def test_tokens_and_edits_are_on_the_page_as_they_are(checked, tuning):
    kept = [
        attributes["style"] for tag, attributes in checked.elements if attributes.get("style", "").startswith("--heat")
    ]
    shares = [int(re.fullmatch(r"--heat:(\d+)%", style)[1]) for style in kept]
    assert len(shares) % 2 == 0
    assert max(shares) == 55
    assert min(shares) >= 0
    tags = [tag for tag, _ in checked.elements]
    assert tags.count("ins") + tags.count("del") >= len(tuning.accepted)


def test_the_steps_are_drawn_over_what_the_reader_chooses(checked, tuning):
    figures = json.loads(checked.scripts[0])
    for name, last in (("steps", 40), ("calls", tuning.spent.calls), ("tokens", tuning.spent.tokens)):
        races = figures[f"accuracy-{name}"]["data"][0]
        assert races["x"][-1] == last
        assert races["y"][-1] == pytest.approx(tuning.steps[-1].right / tuning.steps[-1].rows)


def test_what_was_tried_is_drawn_once_each(checked, tuning):
    figures = json.loads(checked.scripts[0])
    tried = [each for step in tuning.steps for each in step.tried]
    assert sum(len(trace["x"]) for trace in figures["tries"]["data"]) == len(tried)
    ringed = [width for trace in figures["tries"]["data"] for width in trace["marker"]["line"]["width"] if width]
    assert len(ringed) == len(tuning.accepted)
    sloped = [each for each in tried if each.slope is not None]
    assert sum(len(trace["x"]) for trace in figures["foresight"]["data"]) == len(sloped)


def test_what_a_prompt_or_a_task_says_is_text(attacked, checked):
    assert attacked.open == []
    assert [tag for tag, _ in attacked.elements].count("script") == 3
    assert attacked.scripts[1:] == checked.scripts[1:]
    assert not [tag for tag, _ in attacked.elements if tag == "img"]
    assert not [name for _, attributes in attacked.elements for name in attributes if name.startswith("on")]
    shown = " ".join(attacked.texts)
    assert shown.count("<script>alert(1)</script>") > 10
    assert "\u202e" not in shown
    for figure in json.loads(attacked.scripts[0]).values():
        for trace in figure["data"]:
            texts = trace.get("text", [])
            assert not [text for text in texts if "<script" in text or "<img" in text]
            assert "<" not in trace.get("name", "")


def test_a_killed_run_is_a_page_too(tmp_path):
    path = FakeTuning(1).write(tmp_path / "run", judged=0, ended=False)
    written = write(path)
    assert [out.name for out in written] == ["report.html", "tensorboard"]
    found = Checked((path / "report.html").read_text())
    assert found.open == []
    assert any(text.startswith("Unfinished: there is no result yet") for text in found.texts)
    assert "Front" not in found.texts


def test_a_run_from_before_tokens_and_accuracies_were_kept_is_a_page_too(tune_path, tmp_path):
    path = shutil.copytree(tune_path, tmp_path / "run")
    rows = [json.loads(line) for line in (path / "steps.jsonl").read_text().splitlines()]
    for row in rows:
        del row["tokens"], row["right"], row["rows"]
    (path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = Checked(page(read_tuning(path)))
    assert found.open == []
    assert "Races" not in found.texts
    assert found.texts.count("Lineage") == 1


def test_a_report_is_three_things(tune_path, tmp_path):
    assert [path.name for path in write(tune_path, tmp_path)] == ["report.html", "frontier.png", "tensorboard"]
    assert all(path.exists() for path in tmp_path.iterdir())


def test_the_picture_marks_every_judged_prompt(tuning, tmp_path, tune_path):
    from PIL import Image

    written = write(tune_path, tmp_path, html=False, tensorboard=False)
    with Image.open(written[0]) as picture:
        assert picture.size == (1600, 1000)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    judged = tuning.judged()
    drawn = prompts(judged, tuning.initial)
    assert len({look.label for look in drawn.values()}) == len(tuning.measured) == len(points(judged))
    assert {drawn[tuning.initial].symbol} != {look.symbol for look in drawn.values()}
    for one in judged:
        if one.kept:
            assert tuple(bytes.fromhex(drawn[one.measured.name].colour[1:])) in colours


def test_prompts_without_a_cost_are_no_picture(tmp_path):
    path = FakeTuning(3, 20).write(tmp_path / "run")
    rows = [json.loads(line) for line in (path / "dev.jsonl").read_text().splitlines()]
    rows = [row | {"tokens": [0] * 20, "right": [False] * 20} for row in rows]
    (path / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [out.name for out in write(path, tensorboard=False)] == ["report.html"]


@pytest.mark.parametrize("by", [By.MIXED, By.RANDOM])
def test_event_files_can_be_read_back(by, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path = FakeTuning(15, 40, by=by).write(tmp_path / "run")
    for _ in range(2):  # a second report replaces the first
        write(path, html=False, png=False)
    assert len(list((path / "tensorboard").iterdir())) == 1
    tuning = read_tuning(path)
    events = accumulator.EventAccumulator(str(path / "tensorboard")).Reload()
    curve = events.Scalars("prompt/accuracy")
    assert [point.step for point in curve] == list(range(1, 16))
    assert [point.value for point in curve] == pytest.approx([step.right / step.rows for step in tuning.steps])
    assert events.Scalars("spent/calls")[-1].value == tuning.spent.calls
    accepted = [point.step - 1 for point in events.Scalars("step/accepted") if point.value]
    assert accepted == [step.number for step in tuning.accepted]
    assert len(events.Scalars("judged/accuracy")) == len(tuning.measured)
    assert ("slope/steepest" in events.Tags()["scalars"]) == (by is By.MIXED)
    texts = events.Tensors("prompt/text_summary")
    assert [each.step for each in texts] == [0, *(number + 1 for number in accepted)]
    assert tuning.steps[-1].prompt.encode() in texts[-1].tensor_proto.string_val[0]
