"""The directory of an optimisation: finished, killed, broken."""

import json
import shutil

import pytest
from tune_runs import FakeTuning

from poise.errors import DataError
from poise.evals.stats import resample
from poise.report.read import read
from poise.report.tuning.figures import stood
from poise.report.tuning.read import is_tuning, read_tuning
from poise.report.tuning.told import control, outcome, picked
from poise.report.words import Verdict
from poise.tune.lines import cut_to_json
from poise.tune.shortlist import By


def lines(path, name):
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def test_a_directory_of_an_optimisation_is_known_by_its_settings(tune_path, tmp_path):
    assert is_tuning(tune_path)
    assert not is_tuning(tmp_path)
    with pytest.raises(DataError, match=r"config\.json"):
        read(tune_path)


def test_what_was_written_is_read(tune_path, tuning):
    rows, told = lines(tune_path, "steps.jsonl"), lines(tune_path, "dev.jsonl")
    assert [(step.number, step.prompt, step.right, step.rows) for step in tuning.steps] == [
        (row["step"], row["prompt"], row["right"], row["rows"]) for row in rows
    ]
    assert tuning.spent.calls == sum(row["spent"]["calls"] for row in rows)
    assert tuning.spent.seconds == pytest.approx(sum(row["spent"]["seconds"] for row in rows))
    for step, row in zip(tuning.steps, rows, strict=True):
        assert (step.accepted.source.value if step.accepted else None) == row["accepted"]
        assert "".join(step.tokens) == step.before
    assert [one.name for one in tuning.measured] == [row["prompt"] for row in told]
    assert tuning.notes == ()
    assert tuning.title == "gsm_symbolic:templates=0-84: a prompt tuned in 40 steps"
    assert tuning.about[0] == "60 questions to learn from, 300 that judge"


def test_gains_are_those_of_the_result(tuning):
    judged = {one.measured.name: one for one in tuning.judged()}
    assert judged[tuning.initial].gain is None
    best = max((one for one in judged.values() if one.gain), key=lambda one: one.measured.accuracy)
    assert best.gain.mean == pytest.approx(tuning.ended.gain.mean)
    assert best.gain.low >= tuning.ended.gain.low  # which is of the best of all of them
    assert [one.measured.cost for one in tuning.judged()] == sorted(one.measured.cost for one in judged.values())
    assert best.kept


def test_prompts_are_named_by_the_step_that_made_them(tuning):
    assert tuning.name(tuning.initial) == "initial"
    last = tuning.accepted[-1]
    assert tuning.name(last.prompt) == f"step {last.number}"
    assert tuning.name("never seen") == "a prompt"


def test_the_accuracy_of_an_incumbent_is_over_all_its_races(tuning):
    found = stood(tuning.steps)
    assert sum(len(each.steps) for each in found) == len(tuning.steps)
    assert [each.made for each in found[1:]] == tuning.accepted
    longest = max(found, key=lambda each: len(each.steps))
    right, rows = sum(step.right for step in longest.steps), sum(step.rows for step in longest.steps)
    assert longest.accuracy.mean == pytest.approx(right / rows)
    assert len({step.before for step in longest.steps}) == 1


def test_a_killed_run_says_so(tmp_path):
    path = FakeTuning(6).write(tmp_path / "run", judged=0, ended=False)
    with (path / "steps.jsonl").open("a") as steps:
        steps.write('{"step": 6, "torn')
    reading = read_tuning(path)
    assert reading.notes[0].startswith("Unfinished: there is no result yet (6 steps are taken, 0 prompts judged)")
    assert (outcome(reading).label, outcome(reading).verdict) == ("unfinished", None)
    assert reading.judged() == []


def test_a_run_that_went_on_after_its_result_says_so(tune_path, tmp_path):
    path = shutil.copytree(tune_path, tmp_path / "run")
    row = lines(path, "steps.jsonl")[-1]
    with (path / "steps.jsonl").open("a") as steps:
        steps.write(json.dumps(row | {"step": 40, "failed": 3}) + "\n")
    first, second = read_tuning(path).notes
    assert first == "Unfinished: the result is of the first 40 steps; 1 came after."
    assert second == "3 answers of the races failed; they count as wrong."


def test_a_run_from_before_tokens_and_accuracies_were_kept_is_read(tune_path, tmp_path):
    path = shutil.copytree(tune_path, tmp_path / "run")
    rows = [
        {k: v for k, v in row.items() if k not in ("tokens", "right", "rows")} for row in lines(path, "steps.jsonl")
    ]
    (path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = read_tuning(path)
    assert {(step.rows, step.tokens) for step in reading.steps} == {(0, ())}
    assert len(reading.accepted) == len(read_tuning(tune_path).accepted)


def test_a_search_by_reflection_is_read(tmp_path):
    path = FakeTuning(2, 20).write(tmp_path / "run", judged=1)
    told = {"place": None, "failed": 0, "spent": {"calls": 9, "tokens": 400, "seconds": 1.5}}
    tried = {"kind": "rewrite", "source": "reflection", "slope": None, "wins": 3, "losses": 1, "rows": 8}
    begun = FakeTuning().settings()[0].initial
    rows = [
        told | {"step": 0, "prompt": begun, "accepted": "reflection", "tried": [tried | {"prompt": "In the pool."}]},
        told | {"step": 1, "prompt": "The best.", "accepted": "reflection", "tried": [tried | {"prompt": "The best."}]},
        told | {"step": 2, "prompt": "The best.", "accepted": None, "tried": []},
    ]
    (path / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = read_tuning(path)
    assert [step.number for step in reading.accepted] == [1]
    assert [reading.name(text) for text in (begun, "In the pool.", "The best.")] == ["initial", "step 0", "step 1"]
    assert [each.label for each in control(reading)] == ["not compared"]


def test_the_initial_prompt_is_the_one_that_was_asked(tune_path, tmp_path):
    path = shutil.copytree(tune_path, tmp_path / "run")
    settings = json.loads((path / "tune.json").read_text()) | {"initial": "Let's think {n} steps."}
    (path / "tune.json").write_text(json.dumps(settings))
    assert read_tuning(path).initial == "Let's think step by step."


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("steps.jsonl", {"spent": None}),
        ("steps.jsonl", {"prompt": 3}),
        ("steps.jsonl", {"tried": [{"prompt": "x"}]}),
        ("steps.jsonl", {"tried": [{"kind": "swap", "source": "moon", "prompt": "x", "slope": None, "wins": 1,
                                    "losses": 0, "rows": 1}]}),
        ("dev.jsonl", {"right": []}),
        ("dev.jsonl", {"right": [True], "tokens": [3], "seconds": [0.1]}),
        ("dev.jsonl", {"seconds": ["soon"]}),
    ],
)  # fmt: skip
def test_a_broken_line_is_named(tune_path, tmp_path, name, change):
    path = shutil.copytree(tune_path, tmp_path / "run")
    rows = lines(path, name)
    rows[2] |= change
    (path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=f"{name}, line 3"):
        read_tuning(path)


def test_no_json_no_step_and_no_settings_are_told_apart(tune_path, tmp_path):
    path = shutil.copytree(tune_path, tmp_path / "run")
    (path / "steps.jsonl").write_text("{nonsense}\n")
    with pytest.raises(DataError, match=r"steps.jsonl, line 1"):
        read_tuning(path)
    (path / "steps.jsonl").write_text("")
    with pytest.raises(DataError, match="no steps"):
        read_tuning(path)
    (path / "tune.json").write_text('{"version": 1}')
    with pytest.raises(DataError, match="no initial prompt"):
        read_tuning(path)
    with pytest.raises(DataError, match=r"tune\.json"):
        read_tuning(tmp_path / "nothing")


def test_a_gain_is_called_one_only_where_it_is_shown(tuning, tmp_path):
    assert (outcome(tuning).label, outcome(tuning).verdict) == ("gain shown", Verdict.BETTER)
    assert "n = 300" in outcome(tuning).sentence
    blind = read_tuning(FakeTuning(60, sight=0, worth=0.02).write(tmp_path / "blind"))
    assert (outcome(blind).label, outcome(blind).verdict) == ("no gain shown", Verdict.OPEN)
    assert outcome(blind).sentence.endswith("The prompt stays as it was.")
    assert [each.verdict for each in control(blind)] == [Verdict.OPEN, Verdict.OPEN]
    assert all("is not shown" in each.sentence for each in control(blind))


def test_a_run_without_both_sources_compares_nothing(tmp_path):
    found = read_tuning(FakeTuning(8, 20, by=By.RANDOM).write(tmp_path / "run"))
    (told,) = control(found)
    assert (told.label, told.verdict) == ("not compared", None)
    assert "chosen by: random" in told.sentence


def test_intervals_of_tokens_are_bootstrapped(tuning):
    import numpy as np

    one = tuning.judged()[0]
    drawn = resample(np.array([one.measured.tokens, [1] * 300], float).T, range(300))
    assert one.tokens.mean == pytest.approx(drawn.ratio(0, 1).mean)
    assert one.tokens.low < one.tokens.mean < one.tokens.high


def test_what_was_picked_and_by_what_rule_is_told(tune_path, tmp_path):
    path = shutil.copytree(tune_path, tmp_path / "run")
    result = json.loads((path / "result.json").read_text())
    assert picked(read_tuning(path)) == []
    first, other = read_tuning(path).measured[0], read_tuning(path).measured[1]
    told = {"prompt": other.name, "rule": "max_drop=0.03"}
    (path / "result.json").write_text(json.dumps(result | {"picked": told}))
    reading = read_tuning(path)
    assert (reading.ended.best, reading.ended.picked) == (result["best"], other.name)
    (found,) = picked(reading)
    assert "the shortest that is shown to lose less than 3 points" in found.sentence
    assert f"take {other.cost:,.0f} tokens in the mean, those of the prompt to begin with {first.cost:,.0f}" in (
        found.sentence
    )
    (path / "result.json").write_text(json.dumps(result | {"picked": told | {"rule": "latency=2.5"}}))
    (found,) = picked(read_tuning(path))
    assert "answers within 2.5 s, drawn up to 64 at once (alone they may take less)" in found.sentence
    (path / "result.json").write_text(json.dumps(result | {"picked": told | {"rule": "any"}}))
    with pytest.raises(DataError, match="max_drop=SHARE"):
        read_tuning(path)


def test_a_prompt_that_another_rule_picked_does_not_stay(tune_path, tmp_path):
    path = shutil.copytree(tune_path, tmp_path / "run")
    result = json.loads((path / "result.json").read_text())
    result |= {"best": result["initial"], "shown": False}
    (path / "result.json").write_text(json.dumps(result))
    assert outcome(read_tuning(path)).sentence.endswith("The prompt stays as it was.")
    result["picked"] = {"prompt": result["prompts"][1]["prompt"], "rule": "knee"}
    (path / "result.json").write_text(json.dumps(result))
    assert "stays" not in outcome(read_tuning(path)).sentence


def test_a_step_that_was_cut_off_is_told(tune_path, tmp_path):
    path = shutil.copytree(tune_path, tmp_path / "cut")
    (path / "cut.jsonl").write_text(json.dumps(cut_to_json(40, 12.4)) + "\n")
    [note] = read_tuning(path).notes
    assert note == "Steps dropped because the seconds of the budget ran out meanwhile: 1 (12 s)."
    (path / "steps.jsonl").write_text("")
    with pytest.raises(DataError, match="ran out in the first"):
        read_tuning(path)
