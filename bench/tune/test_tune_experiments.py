"""The plan, the questions, what is read out of answers, and all of it in miniature: pytest bench/tune."""

# ruff: noqa: D103

import json
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest
import torch

UNIT = Path(__file__).parents[2] / "tests" / "unit"
sys.path += [str(UNIT), str(UNIT / "tune")]

import running  # noqa: E402
import ways  # noqa: E402
from experiments import estimate, measure, show, with_room  # noqa: E402
from findings import Findings, Found, Outcomes, choice, oracle, thinned  # noqa: E402
from pairs import joined, pair, table  # noqa: E402
from planted import SWITCH, planted  # noqa: E402
from running import ASKED, SEARCHES, ExperimentDir, chosen, has_room, kept_sizes  # noqa: E402
from sets import bbh, chance, gsm8k, sets_of  # noqa: E402
from ways import ADAPTED, BASE, PROCEDURAL, WAYS, Ask, Search, Sizes, Subject, costs, parts  # noqa: E402

from poise.core import Kind  # noqa: E402
from poise.engines.torch_lm import TorchLM  # noqa: E402
from poise.errors import ConfigError  # noqa: E402
from poise.evals.tasks import load_task  # noqa: E402
from poise.tune.archive import Measured  # noqa: E402
from poise.tune.lengths import Shorter  # noqa: E402
from poise.tune.phrases import Phrases  # noqa: E402


def test_the_plan_is_what_the_experiments_are():
    found = parts([*PROCEDURAL, Subject("gsm8k", ""), Subject("navigate", "", pool="bbh")], Sizes())
    of = {name: [part.search for part in found if part.experiment == name] for name in ("E1", "E2", "E3", "E5")}
    assert len(of["E1"]) == 7 * 3 * 2 + 2 * 3
    assert {one.way for one in of["E1"] if one.subject == "gsm8k"} == {"mixed", "random"}
    assert {(one.way, one.seed) for one in of["E2"]} == {("read-off", 0), ("stop-term", 0)}
    assert {one.model for one in of["E5"]} == {ADAPTED, BASE}
    assert len({one.name for each in of.values() for one in each}) == 48 + 4 + 2 + 2  # E5 takes two of E1
    assert [part.search.subject for part in parts(PROCEDURAL, Sizes(), "E3 base prod")] == ["products"]


def test_arms_differ_in_what_they_are_to_differ_in():
    read_off, stop, phrases = (WAYS[name] for name in ("read-off", "stop-term", "phrases"))
    assert read_off.step(96) == stop.step(96) == replace(phrases.step(96), tries=4)
    assert (read_off.terms.stop_weight, stop.terms.stop_weight) == (0.0, 0.2)
    assert phrases.step(96).slopes is False
    mixed, greedy, bold = (WAYS[name].step(96) for name in ("mixed", "greedy", "no-bar"))
    assert replace(greedy, temperature=0.7) == mixed == replace(bold, race=replace(bold.race, accept=0.8))
    assert [name for name, way in WAYS.items() if way.greedy] == ["greater", "greedy"]
    assert all(way.step(96).shorter is None for way in WAYS.values() if not way.shorter)


def test_costs_are_of_what_is_left_and_count_a_search_once():
    sizes = Sizes(tokens=1000, dev=10, test=10, reasoning=100)
    one = next(part for part in parts(PROCEDURAL, sizes) if part.label == "E1 base products mixed 0")
    told = costs([one, replace(one, experiment="E5")], sizes, 4)
    assert [(each.name, each.tokens) for each in told] == [
        ("headroom", 300),
        ("E1", 1000 + 2400 + 450),
        ("in all", 300 + 3850),
    ]
    assert costs([], sizes, 0)[-1].tokens == 0
    assert [each.tokens for each in costs([], sizes, 0, fronts=2) if each.name == "E4"] == [2 * 3 * 10 * 75]
    assert costs([one], replace(sizes, tokens=4850), 0)[-1].told(100.0) == "in all: about 7,700 tokens, 1 minutes"


def test_all_of_the_main_part_takes_about_five_hours():
    main = [part for part in parts(PROCEDURAL, Sizes()) if part.experiment == "E1"]
    assert 4 < costs(main, Sizes(), 0)[-1].tokens / 400 / 3600 < 5.5
    assert costs(parts(PROCEDURAL, Sizes()), Sizes(), 0)[-1].tokens / 400 / 3600 < 8


def test_the_margin_is_what_the_questions_can_show():
    assert Sizes(test=300).margin == 0.08
    assert Sizes(test=1000).margin == 0.04


def _file(path, rows):
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows))
    return path


def test_generated_sets_share_no_question():
    sizes = Sizes(learn=5, dev=20, test=30)
    subject = PROCEDURAL[1]
    task = load_task(subject.spec)
    one, other = (sets_of(subject, task, sizes, seed) for seed in (0, 1))
    assert one.test == other.test
    assert [len(each) for each in (one.learn, one.dev, one.test)] == [5, 20, 30]
    learnt = {item.question for sets in (one, other) for item in (*sets.learn, *sets.dev)}
    assert not learnt & {item.question for item in one.test}
    assert not {item.id for item in one.dev} & {item.id for item in other.dev}


@pytest.mark.parametrize(
    ("rows", "sizes"), [(100, (10, 40, 30)), (75, (10, 40, 25)), (60, (10, 25, 25)), (21, (5, 8, 8))]
)
def test_a_file_is_dealt_out_whole_where_it_is_short(tmp_path, rows, sizes):
    path = _file(tmp_path / "t.jsonl", [(f"q{k}", str(k)) for k in range(rows)])
    subject = Subject("t", str(path))
    found = [sets_of(subject, load_task(str(path)), Sizes(learn=10, dev=40, test=30), seed) for seed in (0, 1)]
    for sets in found:
        assert (len(sets.learn), len(sets.dev), len(sets.test)) == sizes
        assert len({item.id for part in (sets.learn, sets.dev, sets.test) for item in part}) == sum(sizes)
    assert found[0].test == found[1].test
    assert found[0].dev != found[1].dev


def test_folders_of_data_are_read(tmp_path):
    rows = [{"question": f"q{k}", "answer": f"so\n#### {k}"} for k in range(4)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "test_rows_like_gsm_symbolic.json").write_text("[1]")
    subject = gsm8k(tmp_path)
    found = sets_of(subject, load_task(subject.spec), Sizes(learn=1, dev=1, test=1), 0)
    left = {item.question for part in (found.learn, found.dev, found.test) for item in part}
    assert left < {"q0", "q2", "q3"}
    folder = tmp_path / "bbh"
    folder.mkdir()
    _file(folder / "navigate.jsonl", [("a", "Yes"), ("b", "No"), ("c", "No"), ("d", "No")])
    (subject,) = bbh(folder)
    assert (subject.name, subject.pool) == ("navigate", "bbh")
    assert chance(subject, load_task(subject.spec)) == 0.75
    assert chance(replace(subject, pool=""), load_task(subject.spec)) == 0


def line(name, greedy, chance, room=True, pool="bbh", low=None):
    greedy = {"mean": greedy, "low": greedy - 0.1 if low is None else low, "high": 1.0}
    told = {
        "model": ADAPTED,
        "subject": name,
        "home": True,
        "main": False,
        "pool": pool,
        "rows": 9,
        "draws": 2,
        "told": "",
    }
    return told | {"greedy": greedy, "single": greedy, "passed": greedy, "chance": chance, "room": room}


def test_tasks_at_chance_have_no_headroom_and_the_surest_two_are_taken():
    lines = [line("a", 0.5, 0.5), line("b", 0.6, 0.5), line("c", 0.7, 0.3), line("d", 0.9, 0.2, room=False)]
    lines += [line("e", 0.5, 0.1), line("f", 0.0, 0.0, pool=""), line("g", 0.2, 0.0, room=False, pool="")]
    assert [has_room(each) for each in lines] == [False, True, True, False, True, True, False]
    assert [each["subject"] for each in chosen(lines[:5], 2)] == ["e", "c"]
    assert {subject.name for subject in with_room(lines)} == {"e", "c", "f"}


def found(judged, initial="old", shipped="old", steps=()):
    made = tuple(Measured(name, tuple(right), tuple(tokens), (0.0,) * len(right)) for name, right, tokens in judged)
    return Found(Search(ADAPTED, "t", "mixed", 0), initial, shipped, tuple(steps), made)


def test_what_a_search_held_shipped_and_found_short():
    rows = 200
    right = [k % 2 == 0 for k in range(rows)]
    worse = [k % 4 == 0 for k in range(rows)]
    told = [("old", right, [40] * rows), ("brief", right, [20] * rows), ("bad", worse, [5] * rows)]
    one = found(told, steps=((100, "old"), (250, "brief"), (300, "bad")))
    assert [one.held(tokens) for tokens in (0, 99, 100, 249, 250, 299, 1000)] == [*["old"] * 4, *["brief"] * 2, "bad"]
    assert (one.brief(0.08), one.strongest, one.shown, one.last, one.spent) == ("brief", "brief", False, "bad", 300)
    assert found(told[:1]).brief(0.08) == found(told[:1]).strongest == "old"
    assert found([told[0], told[2]]).brief(0.08) == "old"


def test_a_choice_asks_the_longer_prompt_where_the_short_one_disagrees():
    short = Outcomes((True, False, False, True), (1, 1, 1, 1), ("1", "2", None, "4.0"))
    again = Outcomes((True, False, False, True), (2, 2, 2, 2), ("1", "3", None, "4"))
    longer = Outcomes((False, True, True, False), (10, 10, 10, 10), ("0", "5", "6", "0"))
    told = choice(short, again, longer, [Kind.NUMBER] * 4)
    assert told.right == (True, True, True, True)
    assert told.tokens == (3, 13, 13, 3)
    assert oracle([short, longer]).right == (True, True, True, True)
    assert oracle([short, longer]).tokens == (1, 10, 10, 1)
    assert oracle([short]).tokens == (1, 1, 1, 1)


def test_a_front_keeps_its_ends_and_its_best():
    front = [Measured(str(k), (k == 3, True), (k + 1, k + 1), (0.0, 0.0)) for k in range(9)]
    kept = [one.name for one in thinned(front, 4)]
    assert len(kept) == 4
    assert {"0", "3"} < set(kept)
    assert thinned(front[:3], 4) == front[:3]


def test_pairs_are_of_the_same_rows():
    first = Outcomes((True, True, False, True), (10, 10, 10, 10))
    second = Outcomes((True, False, False, True), (20, 20, 20, 20))
    told = pair(joined([first, first]), joined([second, second]), [str(k) for k in range(8)])
    assert (told.n, told.only_first, told.only_second) == (8, 2, 0)
    assert told.difference.mean == 0.25
    assert (told.tokens.low, told.tokens.mean, told.tokens.high) == (0.5, 0.5, 0.5)
    assert told.p == 0.5
    assert told.inferior(0.1) < pair(second, first, list("abcd")).inferior(0.1)
    assert table("t", ("a", "b"), [["x|y", "1"]]).splitlines()[-1] == "| x\\|y | 1 |"
    assert table("t", ("a",), []) == ""


def kept(folder, search, judged, shipped, steps):
    """A search that ended, as the optimiser writes it down."""
    at = folder / SEARCHES / search.name
    at.mkdir(parents=True)
    told = [{"prompt": name, "right": r, "tokens": t, "seconds": [0.0] * len(r)} for name, r, t in judged]
    (at / "dev.jsonl").write_text("".join(json.dumps(each) + "\n" for each in told))
    lines = [{"prompt": prompt, "spent": {"tokens": tokens}} for tokens, prompt in steps]
    (at / "steps.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    result = {"initial": "old", "best": shipped, "prompts": [{"prompt": name} for name, _, _ in judged]}
    (at / "result.json").write_text(json.dumps(result))


def written(folder, name, lines):
    (folder / name).write_text("".join(json.dumps(each) + "\n" for each in lines))


def answers(subject, prompt, right, tokens, model=ADAPTED, draw=0, values=None):
    ask = Ask(model, subject, "test", prompt, draw=draw)
    values = values or ["1" if each else "2" for each in right]
    return {"ask": asdict(ask), "right": right, "tokens": tokens, "values": values, "failed": 0}


N = 200
HALF, MOST, ALL = [k % 2 == 0 for k in range(N)], [k % 4 != 3 for k in range(N)], [True] * N


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Sums are the same to the last bit, and so are the searches, however many cores there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path):
    """Two tasks: one where a search found a better prompt and a shorter one, and two small ones that are pooled."""
    rooms = [line("t", 0.5, 0.0, pool="") | {"main": True}, line("p", 0.6, 0.3), line("q", 0.7, 0.3)]
    written(tmp_path, "headroom.jsonl", rooms)
    sets = [("t", "dev"), ("t", "test"), ("p", "dev"), ("p", "test"), ("q", "dev"), ("q", "test")]
    clusters = [str(k) for k in range(N)]
    told = [{"subject": s, "set": kind, "seed": 0, "clusters": clusters, "kinds": ["number"] * N} for s, kind in sets]
    written(tmp_path, "sets.jsonl", told)
    old, long, brief = ("old", HALF, [40] * N), ("long", MOST, [80] * N), ("brief", HALF, [20] * N)
    for name in ("t", "p", "q"):
        kept(tmp_path, Search(ADAPTED, name, "mixed", 0), [old, long], "long", [(300, "old"), (400, "long")])
    kept(
        tmp_path, Search(ADAPTED, "t", "greater", 0), [old, ("odd", ALL, [9] * N)], "odd", [(200, "odd"), (200, "odd")]
    )
    kept(tmp_path, Search(ADAPTED, "t", "stop-term", 0), [old, brief], "old", [(300, "brief")])
    kept(tmp_path, Search(ADAPTED, "t", "read-off", 0), [old], "old", [(300, "old")])
    kept(tmp_path, Search(BASE, "t", "mixed", 0), [old, ("mine", HALF, [70] * N)], "old", [(300, "mine")])
    odd = Ask(ADAPTED, "t", "dev", "odd", 0)
    asked = [{"ask": asdict(odd), "right": HALF, "tokens": [9] * N, "values": [None] * N, "failed": 0}]
    asked += [answers(name, prompt, r, t) for name in ("t", "p", "q") for prompt, r, t in (old, long)]
    again = ["1" if k % 2 == 0 and k % 8 else "3" for k in range(N)]
    asked += [answers("t", "brief", HALF, [20] * N), answers("t", "brief", HALF, [20] * N, draw=1, values=again)]
    asked += [answers("t", "long", HALF, [80] * N, BASE), answers("t", "old", HALF, [40] * N, BASE)]
    written(tmp_path, "asked.jsonl", asked)
    return tmp_path


WRITTEN = Sizes(tokens=1000, test=N, seeds=(0,))


def row(page, begins):
    found = [each for each in page.splitlines() if each.startswith(f"| {begins}")]
    assert len(found) == 1, begins
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def test_the_tables_of_accuracy_are_what_was_written_down(folder):
    page = show(folder, WRITTEN, "", "here")
    told = row(page, "t, mixed | 1")
    assert told[1:5] == ["1", "2", "700", str(N)]
    assert (told[5][:4], told[6][:4], told[7][:4], told[8][:5]) == ("50.0", "75.0", "75.0", "+25.0")
    assert [cell[:4] for cell in row(page, "t, mixed | 5")[1:]] == ["50.0", "50.0", "50.0", "75.0", "75.0"]
    assert row(page, "t, greater | 1")[6][:4] == "50.0"  # not its own greedy 100 %
    assert row(page, "bbh, pooled, mixed | 2")[4] == row(page, "bbh, pooled, mixed | 400")[1] == str(2 * N)
    gaps = [row(page, f"t, {tokens}") for tokens in ("400", "600", "800", "1,000")]
    assert [gap[2][:5] for gap in gaps] == ["+0.0 ", "+0.0 ", "+25.0", "+25.0"]
    assert row(page, "t, mixed, seed 0: `long`")[4][:5] == "+25.0"
    assert row(page, "mixed: DEV")[3] == "met"
    assert row(page, "DEV: mixed above")[2:] == ["2 of 4", "MISSED"]


def test_the_tables_of_length_front_and_transfer_are_what_was_written_down(folder):
    page = show(folder, WRITTEN, "", "here")
    told = row(page, "E2 t, stop-term : initial; `brief`")
    assert (told[9], told[7]) == ("0.50 [0.50, 0.50]", "0 : 0")
    assert row(page, "E2 t, stop-term : read-off")[9] == "0.50 [0.50, 0.50]"
    assert row(page, "TEST: 25 %")[3] == "met"
    assert row(page, "t, of the front, `brief`")[2:4] == ["50.0 [43.1, 56.9]", "20.0"]
    choice_of, best = row(page, "t, a choice per question"), row(page, "t, of the front, `long` (best on DEV)")
    disagree = sum(not (k % 2 == 0 and k % 8) for k in range(N)) / N
    assert float(choice_of[3]) == pytest.approx(40 + 80 * disagree, abs=0.06)
    assert choice_of[2] == best[2] == row(page, "t, the oracle over")[2]
    assert row(page, "t, found on default, asked of base: `long`")[4][:5] == "+0.0 "
    assert "found on base (no gain shown), asked of" not in page  # its prompt was not asked yet
    wanted = Findings(folder, with_room(list(ExperimentDir(folder).lines("headroom.jsonl"))), WRITTEN).tests()
    assert {(ask.model, ask.prompt) for ask in wanted if ask.prompt == "mine"} == {(ADAPTED, "mine"), (BASE, "mine")}
    assert "E2" not in show(folder, WRITTEN, "E1", "here")


INITIAL = "Go a c d"
SIZES = Sizes(tokens=5_000, learn=10, dev=14, test=14, reasoning=10, draws=4, seeds=(0,), initial=INITIAL)


@pytest.fixture(scope="module")
def knowing():
    return planted()


def tasks(folder):
    folder.mkdir()
    asked = [f"{k % 9 + 1}{'?' * (1 + k // 9)}" for k in range(40)]
    rows = [(question, question[0]) for question in asked]
    digits = Subject("digits", str(_file(folder / "digits.jsonl", rows)), main=True)
    yes = _file(folder / "yes.jsonl", [(asked[k], "Yes" if k % 3 else "No") for k in range(24)])
    return [digits, Subject("yes", str(yes), pool="bbh")]


@pytest.fixture
def bank(monkeypatch):
    """A phrase that the tiny model's tokenizer can say, and that means nothing; it knows no word of those that ship."""
    monkeypatch.setattr(ways, "Shorter", partial(Shorter, phrases=Phrases(("z",))))


async def test_the_whole_in_miniature(tmp_path, knowing, capsys, bank):
    opened, subjects, folder = [], tasks(tmp_path / "data"), tmp_path / "run"

    def opening(word):
        opened.append(word)
        return TorchLM(knowing, slots=64, context=128)

    def gone(word):
        raise AssertionError(f"{word} was opened for what is done")

    await measure(folder, SIZES, subjects, "E1", opening=opening)
    assert opened == ["torch:default"]
    first = show(folder, SIZES, "E1", "here")
    assert "### E1: where" in first
    assert "### E2" not in first
    await measure(folder, SIZES, subjects, opening=opening)
    assert opened[1:] == ["torch:smollm2-135m-instruct", "torch:default", "torch:smollm2-135m-instruct"]
    said = capsys.readouterr().err
    assert "gsm8k: skipped" in said
    assert "margin of non-inferiority: 34 points" in said
    page = show(folder, SIZES, "", "here")
    for title in ("Headroom", "E1: where", "E1: DEV", "E1: shortlists", "E1: mixed", "E2, E3", "E5", "Targets"):
        assert f"### {title}" in page
    assert "| default, yes |" in page
    assert "left out" in next(each for each in page.splitlines() if each.startswith("| default, yes |"))
    findings = Findings(folder, with_room(list(ExperimentDir(folder).lines("headroom.jsonl"))), SIZES)
    assert {each.search.way for each in findings.of("E1")} == {way for way in WAYS if not WAYS[way].shorter}
    assert all(0 < each.spent <= SIZES.tokens for each in findings.searches.values())
    assert any(SWITCH in each.last for each in findings.of("E1"))
    asked = [json.dumps(each["ask"]) for each in ExperimentDir(folder).lines(ASKED)]
    assert len(asked) == len(set(asked)) > 0
    assert findings.dev_to_ask() == []
    assert estimate(ExperimentDir(folder), SIZES, subjects[:1], "")[-1].tokens == 0
    await measure(folder, SIZES, subjects, opening=gone)
    assert show(folder, SIZES, "", "here") == page
    assert kept_sizes(folder, Sizes()) == SIZES
    assert kept_sizes(tmp_path / "none", SIZES) == SIZES
    with pytest.raises(ConfigError, match="dev"):
        await measure(folder, replace(SIZES, dev=13), subjects, opening=gone)


async def test_what_is_killed_goes_on_as_if_it_had_not_been(tmp_path, knowing, monkeypatch):
    """Ended in the middle of a search, of a judgement, and before TEST."""
    (digits, _), only, said = tasks(tmp_path / "data"), "E1 .* (mixed|random)", []
    opening = partial(TorchLM, knowing, slots=64, context=128)
    await measure(tmp_path / "whole", SIZES, [digits], only, opening=lambda word: opening())
    ends = [("mixed-0: step 1",), ("random-0", "judging 2"), ("test default",)]

    def dying(line):
        said.append(line)
        if ends and all(word in line for word in ends[0]):
            raise KeyboardInterrupt(ends.pop(0))

    monkeypatch.setattr(running, "say", dying)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            await measure(tmp_path / "killed", SIZES, [digits], only, opening=lambda word: opening())
    await measure(tmp_path / "killed", SIZES, [digits], only, opening=lambda word: opening())
    assert len([line for line in said if "mixed-0: step 1" in line]) == 1
    pages = [show(tmp_path / name, SIZES, only, "here") for name in ("whole", "killed")]
    assert pages[0] == pages[1]
    assert "E1: TEST" in pages[0]


async def test_a_search_that_cannot_work_is_told_and_does_not_stop_the_others(tmp_path, knowing):
    sizes, (digits, _) = replace(SIZES, tokens=600), tasks(tmp_path / "data")
    folder = tmp_path / "run"
    await measure(folder, sizes, [digits], "E[13]", opening=lambda word: TorchLM(knowing, slots=64, context=128))
    page = show(folder, sizes, "", "here")
    assert "default-digits-mixed-0: could not run" in page
    assert "at least" in page
    assert (folder / SEARCHES / "default-digits-phrases-0" / "ceiling.json").exists()
