import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from report_runs import ARMS, FakeArm, fake_config, fake_rows, write_run

from poise.core import Message, Role
from poise.errors import StoreError
from poise.report import write
from poise.report.html import page
from poise.report.markup import Html, el, join
from poise.report.read import read
from poise.trace import Drawn, Opened

ATTACK = "</script></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
VOID = {"meta", "br", "hr", "img"}


class Checked(HTMLParser):
    """Elements and attributes, and whether every element is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts, self.scripts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.texts).append(data)


@pytest.fixture(scope="session")
def checked(reading):
    return Checked(page(reading))


def _attacking(event):
    match event:
        case Opened():
            request = replace(event.request, messages=(Message(Role.USER, ATTACK + "\u202e"),))
            return replace(event, request=request, plan=replace(event.plan, because=ATTACK))
        case Drawn():
            draft = replace(event.step.draft, text=ATTACK + "\ud800")
            value = event.step.value and replace(event.step.value, text=ATTACK)
            return replace(event, step=replace(event.step, draft=draft, value=value, suffix=ATTACK))
    return event


@pytest.fixture(scope="session")
def attacked(tmp_path_factory):
    """The page of a run in which every text that comes from outside attacks it."""
    arms = (replace(ARMS[0], name=ATTACK), FakeArm("<b>vote</b>", 4, 30, 0.5), replace(ARMS[3], name="%{x} ${js}"))
    graded = []
    for row, trace in fake_rows(12, arms):
        events = [_attacking(event) for event in trace.events]
        graded.append(
            (replace(row, task=f"{row.task}{ATTACK}", value=ATTACK, truth=ATTACK), replace(trace, events=events))
        )
    config = fake_config(arms, 12, [[ATTACK, "<b>vote</b>"]])
    config["models"] = {"main": ATTACK}
    return Checked(page(read(write_run(tmp_path_factory.mktemp("attacked"), graded, config))))


def scripts_of(checked):
    return [attributes for tag, attributes in checked.elements if tag == "script"]


def test_the_page_is_well_formed_and_shows_every_arm(checked, reading):
    assert checked.open == []
    text = " ".join(checked.texts)
    assert all(arm.arm in text for arm in reading.summary.arms)
    for heading in ("Comparisons", "Tasks", "Calibration", "Traces", "Run it again"):
        assert checked.texts.count(heading) == 1


def test_nothing_is_fetched(checked):
    for _, attributes in checked.elements:
        assert not {"src", "href", "srcset", "action", "data"} & attributes.keys()
    assert "url(" not in " ".join(checked.texts)
    assert "@import" not in " ".join(checked.texts)


def test_only_the_two_scripts_named_by_hash_may_run(checked):
    policy = next(a["content"] for tag, a in checked.elements if a.get("http-equiv") == "Content-Security-Policy")
    figures, *code = checked.scripts
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    assert allowed == [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in code]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert json.loads(figures).keys() == {
        "frontier-flops", "frontier-tokens", "frontier-seconds", "frontier-work", "tokens", "seconds", "calibration",
        "scaling",
    }  # fmt: skip


def test_what_a_model_or_a_task_says_is_text(attacked, checked):
    assert attacked.open == []
    assert scripts_of(attacked) == scripts_of(checked)
    assert [script for script in attacked.scripts[1:]] == checked.scripts[1:]
    assert not [tag for tag, attributes in attacked.elements if tag in ("img", "b") and attributes]
    assert not [name for _, attributes in attacked.elements for name in attributes if name.startswith("on")]
    shown = " ".join(attacked.texts)
    assert shown.count("<script>alert(1)</script>") > 20
    assert "\u202e" not in shown
    assert "\ud800" not in shown


def test_what_plotly_reads_as_markup_is_escaped(attacked):
    for figure in json.loads(attacked.scripts[0]).values():
        names = [trace["name"] for trace in figure["data"] if "name" in trace]
        names += [note["text"] for note in figure["layout"].get("annotations", ())]
        assert not [name for name in names if "<" in name]


def test_figures_are_told_apart_by_theme_colours_only(checked):
    assert set(re.findall(r"var\((--[a-z-]+)\)", checked.scripts[0])) <= {"--ink", "--muted", "--line", "--card"}


def test_a_partial_run_is_a_partial_page(tmp_path):
    path = write_run(tmp_path, fake_rows(1, ARMS[:2]), fake_config(ARMS, 60, []))
    found = Checked(page(read(path)))
    assert any(text.startswith("Unfinished: 2 of 240 rows") for text in found.texts)


def test_a_report_is_three_things(run_path, tmp_path):
    written = write(run_path, tmp_path / "out", png=False)
    assert [path.name for path in written] == ["report.html", "tensorboard"]
    assert all(path.exists() for path in written)


def test_markup_escapes_whatever_is_not_markup():
    assert el("p", "<b>", el("i", "x"), None, class_='a"b', data_key="1", hidden=True, open=False) == (
        '<p class="a&quot;b" data-key="1" hidden>&lt;b&gt;<i>x</i></p>'
    )
    assert join(["a&b", Html("<hr>")], ", ") == "a&amp;b, <hr>"
    assert el("br") == "<br>"


@pytest.mark.parametrize("optimised", [False, True])
def test_a_full_disk_leaves_the_last_report_whole_and_names_the_file(run_path, tune_path, tmp_path, optimised):
    resource = pytest.importorskip("resource")  # POSIX alone limits the size of files
    run = tune_path if optimised else run_path
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for part, name in (("html", "report.html"), ("png", "frontier.png")):
        wanted = {"html": False, "png": False, "tensorboard": False} | {part: True}
        write(run, tmp_path, **wanted)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
        try:
            with pytest.raises(StoreError, match=re.escape(str(tmp_path / name))):
                write(run, tmp_path, **wanted)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
