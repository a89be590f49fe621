"""What happened, as JSON: one object per event, written by hand for speed.

What is empty or None is left out, and so are the zeros of a usage; times are rounded to microseconds and logprobs to
four decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter

from poise.core import Draft, Finish, Rule, Score, Step, Stopped, Value
from poise.costs import Usage
from poise.records.settings import Json, plan_from_json, plan_to_json, request_from_json, request_to_json
from poise.trace import Drawn, Event, Failed, Forked, Launched, Opened, Picked, Scored

_USAGE = tuple(field.name for field in fields(Usage))
_usage_values: Callable[[Usage], tuple[float, ...]] = attrgetter(*_USAGE)


def _micro(seconds: float) -> float:
    return round(seconds * 1e6) / 1e6


def _rounded(logprobs: Sequence[float]) -> list[float]:
    return [round(logprob * 1e4) / 1e4 for logprob in logprobs]


def usage_to_json(usage: Usage) -> Json:
    """A usage as JSON, without its zeros."""
    data: Json = {name: spent for name, spent in zip(_USAGE, _usage_values(usage), strict=True) if spent}
    for clock in ("seconds", "busy_seconds"):
        if clock in data:
            data[clock] = _micro(data[clock])
    return data


def usage_from_json(data: Json) -> Usage:
    """The usage back. Raises TypeError for a count that no usage has."""
    return Usage(**data)


def _opened(event: Opened) -> Json:
    return {
        "event": "opened",
        "at": _micro(event.at),
        "wall": _micro(event.wall),
        "seed": event.seed,
        "request": request_to_json(event.request),
        "plan": plan_to_json(event.plan),
    }


def _opened_from_json(data: Json) -> Opened:
    request, plan = request_from_json(data["request"]), plan_from_json(data["plan"])
    return Opened(request, plan, data["seed"], data["wall"], data["at"])


def _launched(event: Launched) -> Json:
    data: Json = {
        "event": "launched",
        "at": _micro(event.at),
        "id": event.id,
        "parent": event.parent,
        "engine": event.engine,
        "max_tokens": event.max_tokens,
        "seed": event.seed,
    }
    if event.role != "main":
        data["role"] = event.role
    return data


def _launched_from_json(data: Json) -> Launched:
    place = data["id"], data["parent"], data.get("role", "main")
    return Launched(data["at"], *place, data["engine"], data["max_tokens"], data["seed"])


def _drawn(event: Drawn) -> Json:
    step, draft = event.step, event.step.draft
    data: Json = {"event": "drawn", "at": _micro(event.at), "id": step.id, "parent": step.parent}
    if event.first is not None:
        data["first"] = _micro(event.first)
    if step.role != "main":
        data["role"] = step.role
    if step.suffix:
        data["suffix"] = step.suffix
    data["text"], data["finish"], data["tokens"] = draft.text, draft.finish.value, draft.tokens
    if step.value is not None:
        data["value"], data["rule"] = step.value.text, step.value.rule.value
    if draft.logprobs:
        data["logprobs"] = _rounded(draft.logprobs)
    if draft.alternatives:
        data["alternatives"] = [_rounded(top) for top in draft.alternatives]
    if draft.token_ids:
        data["token_ids"] = draft.token_ids
    data["usage"] = usage_to_json(event.usage)
    return data


def _drawn_from_json(data: Json) -> Drawn:
    draft = Draft(
        data["text"],
        Finish(data["finish"]),
        data["tokens"],
        tuple(data.get("logprobs", ())),
        tuple(tuple(top) for top in data.get("alternatives", ())),
        tuple(data.get("token_ids", ())),
    )
    value = Value(data["value"], Rule(data["rule"])) if "rule" in data else None
    step = Step(data["id"], data["parent"], draft, value, data.get("suffix", ""), data.get("role", "main"))
    return Drawn(data["at"], step, usage_from_json(data["usage"]), data.get("first"))


def _failed(event: Failed) -> Json:
    return {
        "event": "failed",
        "at": _micro(event.at),
        "id": event.id,
        "error": event.error,
        "message": event.message,
        "usage": usage_to_json(event.usage),
    }


def _failed_from_json(data: Json) -> Failed:
    return Failed(data["at"], data["id"], data["error"], data["message"], usage_from_json(data["usage"]))


def _scored(event: Scored) -> Json:
    score = event.score
    data: Json = {
        "event": "scored",
        "at": _micro(event.at),
        "step": event.step,
        "scorer": event.scorer,
        "score": score.value,
        "usage": usage_to_json(score.usage),
    }
    if score.failure is not None:
        data["failure"] = score.failure
    return data


def _scored_from_json(data: Json) -> Scored:
    score = Score(data["score"], usage_from_json(data["usage"]), data.get("failure"))
    return Scored(data["at"], data["step"], data["scorer"], score)


def _forked(event: Forked) -> Json:
    data: Json = {"event": "forked", "at": _micro(event.at), "strategy": event.strategy, "share": event.share}
    if event.pick is not None:
        data["pick"] = event.pick
    if event.confidence is not None:
        data["confidence"] = event.confidence
    return data


def _forked_from_json(data: Json) -> Forked:
    return Forked(data["at"], data["strategy"], data["share"], data.get("pick"), data.get("confidence"))


def _picked(event: Picked) -> Json:
    data: Json = {"event": "picked", "at": _micro(event.at), "step": event.step}
    if event.confidence is not None:
        data["confidence"] = event.confidence
    data["votes"], data["stopped"] = event.votes, event.stopped.value
    return data


def _picked_from_json(data: Json) -> Picked:
    return Picked(data["at"], data["step"], data.get("confidence"), data["votes"], Stopped(data["stopped"]))


WRITERS: dict[type[Event], Callable[..., Json]] = {
    Opened: _opened,
    Launched: _launched,
    Drawn: _drawn,
    Failed: _failed,
    Scored: _scored,
    Forked: _forked,
    Picked: _picked,
}
READERS: dict[str, Callable[[Json], Event]] = {
    "opened": _opened_from_json,
    "launched": _launched_from_json,
    "drawn": _drawn_from_json,
    "failed": _failed_from_json,
    "scored": _scored_from_json,
    "forked": _forked_from_json,
    "picked": _picked_from_json,
}
