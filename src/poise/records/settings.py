"""What was asked and decided, as JSON: strategies, samplings, plans, requests.

Settings are written even where they are the default, so that a later default cannot change what an old record says.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, TypeAlias, cast

from poise.core import Goal, Kind, Message, Request, Role, Sampling, Thinking, ThinkingMode
from poise.costs import Budget
from poise.seams import Plan, Strategy

Json: TypeAlias = dict[str, Any]
_EMPTY = (None, "", ())
_CEILINGS = tuple(field.name for field in fields(Budget))


@dataclass(frozen=True, slots=True, repr=False)
class Recorded:
    """A strategy read back from a record: its name and knobs, to be shown and compared but not run."""

    name: str
    knobs: tuple[tuple[str, object], ...] = ()

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{knob}={setting!r}' for knob, setting in self.knobs)})"


def strategy_to_json(strategy: Strategy | Recorded) -> Json:
    """A strategy as {"name": ..., knob: setting, ...}; strategies among the knobs are written the same way."""
    if isinstance(strategy, Recorded):
        knobs = strategy.knobs
    else:
        knobs = tuple((field.name, getattr(strategy, field.name)) for field in fields(cast(Any, strategy)))
    name = getattr(strategy, "name", type(strategy).__name__)
    return {"name": name, **{knob: _setting_to_json(setting) for knob, setting in knobs}}


def _setting_to_json(setting: Any) -> Any:
    if isinstance(setting, tuple):
        return [_setting_to_json(item) for item in setting]
    if is_dataclass(setting):
        return strategy_to_json(cast(Strategy, setting))
    return setting.value if isinstance(setting, Enum) else setting


def _setting_from_json(data: Any) -> object:
    if isinstance(data, list):
        return tuple(_setting_from_json(item) for item in data)
    if isinstance(data, dict):
        return Recorded(data["name"], tuple((k, _setting_from_json(v)) for k, v in data.items() if k != "name"))
    return data


def _kept(**settings: object) -> Json:
    return {name: setting for name, setting in settings.items() if setting not in _EMPTY}


def _thinking_to_json(thinking: Thinking | None) -> Json | None:
    if thinking is None:
        return None
    return {"mode": thinking.mode.value, "share": thinking.share, "drafts": thinking.drafts}


def sampling_to_json(sampling: Sampling) -> Json:
    """A sampling as JSON."""
    return _kept(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        stop=sampling.stop,
        seed=sampling.seed,
        top_logprobs=sampling.top_logprobs,
        thinking=_thinking_to_json(sampling.thinking),
    )


def sampling_from_json(data: Json) -> Sampling:
    """The sampling back."""
    thinking = data.get("thinking")
    return Sampling(
        data["temperature"],
        data["top_p"],
        data["max_tokens"],
        tuple(data.get("stop", ())),
        data.get("seed"),
        data.get("top_logprobs"),
        Thinking(ThinkingMode(thinking["mode"]), thinking["share"], thinking["drafts"]) if thinking else None,
    )


def _budget_to_json(budget: Budget) -> Json:
    return {ceiling: limit for ceiling in _CEILINGS if (limit := getattr(budget, ceiling)) is not None}


def plan_to_json(plan: Plan) -> Json:
    """A plan as JSON: enough to write the same plan again."""
    return _kept(
        strategy=strategy_to_json(plan.strategy),
        engines=dict(plan.engines),
        scorer=plan.scorer,
        prompt=plan.prompt,
        prompt_hash=plan.prompt_hash,
        budget=_budget_to_json(plan.budget),
        because=plan.because,
    )


def plan_from_json(data: Json) -> Plan:
    """The plan back, its strategy as `Recorded`."""
    return Plan(
        cast(Strategy, _setting_from_json(data["strategy"])),
        tuple(data["engines"].items()),
        data.get("scorer"),
        data.get("prompt", ""),
        data.get("prompt_hash", ""),
        Budget(**data["budget"]),
        data.get("because", ""),
    )


def request_to_json(request: Request) -> Json:
    """A request as JSON."""
    return _kept(
        messages=[{"role": message.role.value, "text": message.text} for message in request.messages],
        kind=request.kind.value,
        sampling=sampling_to_json(request.sampling),
        budget=_budget_to_json(request.goal.budget),
        confidence=request.goal.confidence,
        tags=request.tags,
    )


def request_from_json(data: Json) -> Request:
    """The request back."""
    return Request(
        tuple(Message(Role(message["role"]), message["text"]) for message in data["messages"]),
        Kind(data["kind"]),
        sampling_from_json(data["sampling"]),
        Goal(Budget(**data["budget"]), data.get("confidence")),
        tuple(data.get("tags", ())),
    )
