"""Arms, engines and benchmarks from words and TOML: what is read, and what is refused with which hint."""

import pytest

from poise import config, knobs
from poise.config import EngineSpec, arm_of, arms_of, comparisons, engine_of, read_bench, strategy_of, thinking_of
from poise.core import Thinking, ThinkingMode
from poise.costs import Budget
from poise.errors import ConfigError, DataError, UnknownName
from poise.strategies.adaptive_consistency import AdaptiveConsistency, StopRule
from poise.strategies.best_of_n import BestOfN
from poise.strategies.cascade import Cascade
from poise.strategies.direct import Direct
from poise.strategies.self_consistency import SelfConsistency


def test_an_arm_of_one_word():
    arm = arm_of("vote=self_consistency:n=4,temperature=0.5,max_tokens=99,new_tokens=500")
    assert arm.name == "vote"
    assert arm.plan.strategy == SelfConsistency(4)
    assert (arm.sampling.temperature, arm.sampling.max_tokens) == (0.5, 99)
    assert arm.plan.budget == Budget(new_tokens=500)
    assert arm.plan.prompt == "cot"
    assert len(arm.plan.prompt_hash) == 16


def test_an_arm_names_itself():
    assert arm_of("self_consistency:n=4").name == "self_consistency:n=4"
    assert arm_of("direct").name == "direct"


def test_a_plan_takes_another_prompt():
    plan = config.plan_of(SelfConsistency(4))
    other = config.prompted(plan, "cot_few_shot")
    assert other.strategy == SelfConsistency(4, "cot_few_shot")
    assert (other.prompt, other.prompt_hash) == ("cot_few_shot", config.plan_of(other.strategy).prompt_hash)
    assert other.because == plan.because
    with pytest.raises(ConfigError, match="arms of cascade"):
        config.prompted(config.plan_of(Cascade()), "cot")


def test_a_strategy_that_scores_gets_a_scorer():
    assert arm_of("best_of_n").plan.scorer == "mean_logprob"
    assert arm_of("best_of_n:scorer=self_certainty").plan.scorer == "self_certainty"
    assert arm_of("direct").plan.scorer is None


def test_a_strategy_may_name_its_scorer():
    assert strategy_of("best_of_n:n=4,scorer=agreement") == (BestOfN(4), "agreement")
    assert strategy_of("direct") == (Direct(), None)


def test_a_scorer_is_one_for_the_whole():
    with pytest.raises(ConfigError, match=r"knob of best_of_n: .* outermost .*cascade:scorer=agreement"):
        strategy_of("cascade:arms=direct+best_of_n(n=2,scorer=agreement)")
    whole = strategy_of("cascade:scorer=agreement,arms=direct+best_of_n(n=2)")
    assert whole == (Cascade((Direct(), BestOfN(2))), "agreement")


def test_enums_optionals_and_nested_strategies():
    assert knobs.strategy("adaptive_consistency:rule=beta,slack=none") == AdaptiveConsistency(rule=StopRule.BETA)
    nested = {"strategy": "cascade", "arms": ["direct", {"strategy": "self_consistency", "n": 3}], "accept": 1}
    assert knobs.strategy(nested) == Cascade((Direct(), SelfConsistency(3)), accept=1.0)
    assert knobs.strategy("cascade:arms=direct+cot").arms[0] == Direct()


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("self_consitency", "self_consistency"),
        ("self_consistency:m=3", "n"),
        ("adaptive_consistency:rule=margn", "margin"),
        ("direct:prompt=dirct", "direct"),
    ],
)
def test_unknown_names_bring_the_nearest(spec, hint):
    with pytest.raises(UnknownName) as caught:
        arm_of(spec)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        "self_consistency:n=0",
        "self_consistency:n=two",
        "self_consistency:n=2.5",
        "self_consistency:n",
        "direct:temperature=-1",
        "direct:max_tokens=0",
        "direct:new_tokens=-5",
        "direct:seconds=nan",
        "cod",
    ],
)
def test_values_that_cannot_work_are_refused(spec):
    with pytest.raises(ConfigError):
        arm_of(spec)


def test_arms_must_have_distinct_names():
    assert [arm.name for arm in arms_of(["direct cot", "x=direct"])] == ["direct", "cot", "x"]
    with pytest.raises(ConfigError, match="distinct"):
        arms_of(["direct", "direct"])


def test_comparisons_name_arms():
    arms = arms_of(["direct", "self_consistency:n=8"])
    assert comparisons(["self_consistency:n=8/direct"], arms) == (("self_consistency:n=8", "direct"),)
    with pytest.raises(UnknownName):
        comparisons(["direct:cot"], arms)


def test_how_an_engine_thinks():
    for word, thinking in (("quiet-star", ""), ("quiet-star@off", "off"), ("quiet-star:@exact", "exact")):
        spec = engine_of(word)
        assert (spec.kind, spec.adapter, spec.thinking) == ("quiet-star", "", thinking)  # the one that ships
    spec = engine_of("quiet-star:runs/thinking@gated:0.15")
    assert (spec.kind, spec.adapter, spec.thinking) == ("quiet-star", "runs/thinking", "gated:0.15")
    assert thinking_of("") == thinking_of("exact") == Thinking(ThinkingMode.EXACT)
    assert thinking_of("off").mode is ThinkingMode.OFF
    assert thinking_of("gated:0.15") == Thinking(ThinkingMode.GATED, 0.15)
    for bad in ("gated", "exact:0.5", "gated:much", "gated:1.5", "deep", "amortised"):
        with pytest.raises(ConfigError):
            engine_of(f"quiet-star:folder@{bad}")


def test_engines_of_one_word():
    assert engine_of("scripted").kind == "scripted"
    assert engine_of("http://localhost:8000/v1", "m") == EngineSpec("openai", "m", "http://localhost:8000/v1")
    assert engine_of("default") == EngineSpec("llamacpp", "default")


def test_an_engine_that_cannot_be_meant_is_told_what_can():
    with pytest.raises(UnknownName, match="did you mean 'scripted'") as caught:
        engine_of("scriptd")
    assert str(caught.value).startswith("engine: got 'scriptd'; allowed: ")
    for allowed in ("default", "smollm2-135m-instruct", "GGUF path", "org/repo", "URL"):
        assert allowed in str(caught.value)
    with pytest.raises(UnknownName) as caught:
        engine_of("nonsense")
    assert (caught.value.field, caught.value.nearest) == ("engine", None)
    for word in ("org/repo:Q4_K_M", "not-here.gguf"):
        assert engine_of(word).model == word


def test_a_bench_file(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(
        """
        task = ["chain_sum"]
        limit = 5
        compare = ["vote:one"]
        [arms.one]
        strategy = "direct"
        [arms.vote]
        strategy = "self_consistency"
        n = 4
        engine = "big"
        [engines.big]
        kind = "openai"
        url = "http://localhost:8000"
        model = "m"
        """
    )
    file = read_bench(path)
    assert (file.task, file.limit, file.seed) == (("chain_sum",), 5, 0)
    assert [arm.name for arm in file.arms] == ["one", "vote"]
    assert file.arms[1].plan.engines == (("main", "big"),)
    assert file.engines == (("big", EngineSpec("openai", "m", "http://localhost:8000")),)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("limt = 3", UnknownName, "limit"),
        ("limit = 'x'", ConfigError, "whole number"),
        ("limit = true", ConfigError, "whole number"),
        ("arms = 3", ConfigError, "tables"),
        ("[arms.a]\nstrategy = 'direct'\nn = 3", UnknownName, "prompt"),
        ("[engines.a]\nkid = 'openai'", UnknownName, "kind"),
        ("limit = ", DataError, "TOML"),
    ],
)
def test_bench_files_that_cannot_work(tmp_path, text, error, match):
    path = tmp_path / "bench.toml"
    path.write_text(text)
    with pytest.raises(error, match=match):
        read_bench(path)


def test_a_bench_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_bench(tmp_path / "none.toml")


def test_plan_of_keeps_the_reason():
    assert config.plan_of(Direct(), because="why").because == "why"


@pytest.mark.parametrize("inner", ["self_consistency(n=3,prompt=direct)", "self_consistency:n=3"])
def test_a_strategy_inside_anothers_knobs_is_written_as_it_is_shown(inner):
    made = strategy_of(f"cascade:arms={inner}+direct,accept=0.7")[0]
    assert [arm.name for arm in made.arms] == ["self_consistency", "direct"]
    assert (made.arms[0].n, made.accept) == (3, 0.7)
    shown = knobs.knobs_of(Cascade)["arms"]
    assert strategy_of(f"cascade:arms={shown}")[0] == Cascade()


def test_a_knob_that_comes_twice_is_refused():
    with pytest.raises(ConfigError, match="width once"):
        strategy_of("rebase:width=4,width=5")
    with pytest.raises(ConfigError, match="two arms"):
        comparisons(["direct/direct"], arms_of(["direct", "cot"]))


@pytest.mark.parametrize("spec", ["rebase:width=1025", "mcts:expand=5000", "self_consistency:n=10001", "beam:expand=0"])
def test_more_than_can_be_launched_in_time_is_refused(spec):
    with pytest.raises(ConfigError, match="allowed: 1 to"):
        strategy_of(spec)


@pytest.mark.parametrize("knob", ["share=unique,kappa=1e308", "balance=inf", "balance=0", "sharpness=nan"])
def test_both_ends_of_a_range_are_told(knob):
    with pytest.raises(ConfigError, match=r"allowed: above 0, up to 1,000,000,000$"):
        strategy_of(f"rebase:{knob}")
    assert strategy_of("rebase:balance=1e9")[0].balance == 1e9


@pytest.mark.parametrize(
    "spec",
    [
        "cascade:arms=self_consistency(n=3",
        "cascade:arms=self_consistency(n=3,accept=0.7",
        "cascade:arms=direct+cascade(arms=self_consistency(n=3)",
        "self_consistency(n=3",
    ],
)
def test_a_bracket_that_is_not_closed_is_told_as_that(spec):
    with pytest.raises(ConfigError, match=r"^strategy: got .*a bracket is not closed$"):
        strategy_of(spec)


@pytest.mark.parametrize(
    "spec", ["cascade:arms=direct+", "cascade:arms=direct++cot", "beam:,,", "beam:width=4,", "cascade:arms=beam(,)"]
)
def test_a_part_that_is_not_there_is_refused(spec):
    with pytest.raises(ConfigError, match="something before and after every"):
        strategy_of(spec)


def test_no_knobs_are_no_missing_part():
    assert strategy_of("direct:")[0] == strategy_of("direct")[0] == Direct()
    assert knobs.strategy("cascade:arms=direct()").arms == (Direct(),)
