import pytest

from poise.config import arms_of, read_bench
from poise.core import Sampling
from poise.records import plan_to_json, sampling_to_json
from poise.report.recipe import recipe
from poise.seams import Arm
from poise.strategies.cascade import Cascade


def as_json(arm):
    return {"name": arm.name, "plan": plan_to_json(arm.plan), "sampling": sampling_to_json(arm.sampling)}


@pytest.fixture
def settings():
    arms = arms_of(["direct self_consistency:n=4 a.b=best_of_n:n=2,scorer=agreement,new_tokens=500,temperature=1.0"])
    cascade = Arm('"cascade" €', arms_of(["cascade:accept=0.7"])[0].plan, Sampling(stop=("\n\n", "Q:")))
    assert isinstance(cascade.plan.strategy, Cascade)
    return {
        "tasks": ["chain_sum:min_terms=2", "my \\ file.jsonl"], "limit": 20, "seed": 3, "parallel": None,
        "compare": [["direct", "a.b"]], "models": {"main": "tiny"}, "arms": [as_json(a) for a in (*arms, cascade)],
    }  # fmt: skip


def test_a_recipe_is_read_back_as_the_same_benchmark(settings, tmp_path):
    (tmp_path / "again.toml").write_text(recipe(settings), encoding="utf-8")
    bench = read_bench(tmp_path / "again.toml")
    assert [as_json(arm) for arm in bench.arms] == settings["arms"]
    assert (list(bench.task), bench.limit, bench.seed, bench.parallel) == (settings["tasks"], 20, 3, None)
    assert bench.compare == ("direct/a.b",)
