"""Arms, engines and benchmarks from command lines and TOML files. The only place where plain dicts become types.

task = ["chain_sum:min_terms=2,max_terms=2"]        [arms.vote]
limit = 60                                          strategy = "self_consistency"
seed = 7                                            n = 8
compare = ["vote:direct"]                           temperature = 0.7
"""

from __future__ import annotations

import contextlib
import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poise import knobs, prompts
from poise.core import Sampling, Thinking, ThinkingMode
from poise.costs import Budget
from poise.errors import ConfigError, DataError, ModelError, UnknownName
from poise.seams import Arm, Plan, Strategy
from poise.store.pool_dir import POOL

_SAMPLING = ("temperature", "top_p", "max_tokens", "stop")
_OTHER_ENGINES = "a GGUF path, a hub repository org/repo, torch:MODEL, the folder of a pool, or the URL of a server"
_BUDGET = tuple(field.name for field in dataclasses.fields(Budget))


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How to reach an engine. `kind`: llamacpp (embedded), openai (any OpenAI-compatible server), torch (PyTorch,
    in this process), quiet-star (the same with thoughts), scripted, replay (of recorded draws). `model`: a model name,
    GGUF path or hub repository; the folder of a pool for replay; the base of a quiet-star, if it is not found by its
    name. `adapter`: a folder in peft's format, for torch, or with thoughts too, for quiet-star; `thinking`: how that
    thinks, as in `thinking_of`. `key`: the environment variable that holds the API key."""

    kind: str = "llamacpp"
    model: str = "default"
    url: str = ""
    key: str = ""
    dialect: str = ""
    slots: int = 0
    context: int = 0
    threads: int = 0
    cache: str = ""
    adapter: str = ""
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class BenchFile:
    """What a benchmark's TOML file or command line says."""

    task: tuple[str, ...] = ()
    limit: int = 60
    seed: int = 0
    parallel: int | None = None
    compare: tuple[str, ...] = ()
    arms: tuple[Arm, ...] = ()
    engines: tuple[tuple[str, EngineSpec], ...] = ()


def plan_of(strategy: Strategy, *, engine: str = "main", scorer: str | None = None, because: str = "") -> Plan:
    """A plan with the prompt's id and hash filled in. A strategy that scores gets mean_logprob unless told."""
    prompt = prompts.load(strategy.prompt)
    if strategy.scored and scorer is None:
        scorer = "mean_logprob"
    engines = (("main", engine),)
    return Plan(strategy, engines, scorer, prompt.id, prompt.hash, because=because or "asked for by name")


def prompted(plan: Plan, prompt: str) -> Plan:
    """The same plan with another prompt. Raises UnknownName, DataError, and ConfigError where arms have their own."""
    if "prompt" not in knobs.knobs_of(type(plan.strategy)):
        allowed = f"a knob of the arms of {plan.strategy.name}, such as arms=cot(prompt={prompt})"
        raise ConfigError("prompt", prompt, allowed)
    loaded = prompts.load(prompt)
    strategy = dataclasses.replace(plan.strategy, prompt=prompt)  # type: ignore[type-var]
    return dataclasses.replace(plan, strategy=strategy, prompt=loaded.id, prompt_hash=loaded.hash)


def arm(name: str, values: Mapping[str, object]) -> Arm:
    """An arm from a table: `strategy`, its knobs, `engine`, `scorer`, sampling and budget ceilings, side by side."""
    rest = dict(values)
    sampling = {knob: rest.pop(knob) for knob in _SAMPLING if knob in rest}
    budget = {knob: rest.pop(knob) for knob in _BUDGET if knob in rest}
    engine, scorer = str(rest.pop("engine", "main")), rest.pop("scorer", None)
    roles = rest.pop("engines", {})
    if not isinstance(roles, Mapping):
        raise ConfigError(f"arms.{name}.engines", roles, "a table of role = engine name")
    plan = plan_of(knobs.strategy(rest), engine=engine, scorer=None if scorer is None else str(scorer))
    others = tuple((str(role), str(other)) for role, other in roles.items() if role != "main")
    limits = knobs.build(Budget, budget, f"arms.{name}")
    plan = dataclasses.replace(plan, engines=(*plan.engines, *others), budget=limits)
    return Arm(name, plan, knobs.build(Sampling, sampling, f"arms.{name}"))


def arm_of(spec: str) -> Arm:
    """An arm from one word of a command line: "[label=]strategy[:knob=value,...]"."""
    head, colon, rest = spec.partition(":")
    label, equals, name = head.partition("=")
    name = name if equals else label
    values = {"strategy": name.strip(), **knobs.pairs(rest, f"arm {spec!r}")}
    return arm(label.strip() if equals else f"{name}{colon}{rest}".strip(), values)


def strategy_of(spec: str) -> tuple[Strategy, str | None]:
    """A strategy, and the scorer where the spec names one: "best_of_n:n=4,scorer=agreement"."""
    name, _, rest = spec.partition(":")
    values = knobs.pairs(rest, f"strategy {name}")
    scorer = values.pop("scorer", None)
    return knobs.strategy({"strategy": name, **values}), None if scorer is None else str(scorer)


def arms_of(specs: Sequence[str]) -> tuple[Arm, ...]:
    """Arms from command line words; commas between knobs, spaces between arms. Raises ConfigError on a doubled name."""
    arms = tuple(arm_of(word) for spec in specs for word in spec.split())
    return _distinct(arms)


def read_bench(path: Path) -> BenchFile:
    """A benchmark from a TOML file. Raises DataError where it is no TOML, UnknownName for keys nobody reads."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(str(path), 0, "no such file", "a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(str(path), 0, str(error), "TOML, as UTF-8") from None
    known = {field.name for field in dataclasses.fields(BenchFile)}
    for key in data:
        if key not in known:
            raise UnknownName(f"{path}: key", key, known)
    arms = _tables(data.pop("arms", {}), "arms")
    engines = _tables(data.pop("engines", {}), "engines")
    file = knobs.build(BenchFile, data, str(path))
    return dataclasses.replace(
        file,
        arms=_distinct(tuple(arm(name, table) for name, table in arms.items())),
        engines=tuple((name, knobs.build(EngineSpec, table, f"engines.{name}")) for name, table in engines.items()),
    )


def comparisons(specs: Sequence[str], arms: Sequence[Arm]) -> tuple[tuple[str, str], ...]:
    """Pairs of arm names from "first:second" (or "first/second" where names hold colons). Raises UnknownName."""
    found = []
    for spec in specs:
        first, _, second = spec.partition("/" if "/" in spec else ":")
        if not second or first == second:
            raise ConfigError("compare", spec, "FIRST/SECOND: two arms")
        for name in (first, second):
            if name not in [each.name for each in arms]:
                raise UnknownName("compare", name, [each.name for each in arms])
        found.append((first, second))
    return tuple(found)


def engine_of(word: str, model: str = "") -> EngineSpec:
    """An engine from one word: "scripted", a URL of a server (then `model` is its model), the folder of a pool,
    "torch:MODEL" for PyTorch, "quiet-star:FOLDER" for a model that thinks ("quiet-star:FOLDER@gated:0.15": before every
    seventh token or so; without a folder the one that ships), or a model for llama.cpp. Raises UnknownName for a word
    that cannot be meant."""
    if word == "scripted":
        return EngineSpec("scripted")
    if word.startswith(("http://", "https://")):
        return EngineSpec("openai", model, word)
    if (Path(word) / POOL).is_file():
        return EngineSpec("replay", word)
    if word == "torch" or word.startswith("torch:"):
        return EngineSpec("torch", word.partition(":")[2] or "default")
    head, _, thinking = word.partition("@")
    if head == "quiet-star" or head.startswith("quiet-star:"):
        thinking_of(thinking)
        return EngineSpec("quiet-star", "", adapter=head.partition(":")[2], thinking=thinking)
    _check_model(word)
    return EngineSpec("llamacpp", word)


def _check_model(word: str) -> None:
    """Raises UnknownName, as of an engine, for the name of no model; a file is looked for when it is opened."""
    from poise.models.catalogue import CATALOGUE
    from poise.models.find import check_name

    try:
        with contextlib.suppress(ModelError):
            check_name(word)
    except UnknownName:
        known = ("default", "scripted", "torch", "quiet-star", *CATALOGUE)
        raise UnknownName("engine", word, known, _OTHER_ENGINES) from None


def thinking_of(text: str) -> Thinking:
    """How to think, from "off", "exact" (and nothing), "gated:SHARE", or "amortised:DRAFTS". Raises ConfigError,
    UnknownName."""
    word, _, knob = text.partition(":")
    kinds = {mode.value: mode for mode in ThinkingMode}
    mode = kinds.get(word or "exact")
    if mode is None:
        raise UnknownName("engine.thinking", word, kinds)
    allowed = "off, exact, gated:SHARE with a share of 0 to 1, or amortised:DRAFTS with a whole number of drafts"
    if (mode in (ThinkingMode.GATED, ThinkingMode.AMORTISED)) != bool(knob):
        raise ConfigError("engine.thinking", text, allowed)
    try:
        number = int(knob or 1) if mode is ThinkingMode.AMORTISED else float(knob or 1)
    except ValueError:
        raise ConfigError("engine.thinking", text, allowed) from None
    return Thinking(mode, drafts=int(number)) if mode is ThinkingMode.AMORTISED else Thinking(mode, number)


def _tables(value: object, name: str) -> Mapping[str, Mapping[str, object]]:
    if not isinstance(value, Mapping) or not all(isinstance(table, Mapping) for table in value.values()):
        raise ConfigError(name, value, f"tables: [{name}.NAME]")
    return value


def _distinct(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    names = [each.name for each in arms]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("arms", name, "distinct names: write label=strategy:knob=value")
    return arms
