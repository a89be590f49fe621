"""Rows and summaries as JSON and back."""

from __future__ import annotations

import dataclasses

from poise.core import Stopped
from poise.errors import DataError
from poise.evals.rows import ArmSummary, Comparison, Interval, Quantiles, Row, Summary, TaskScore
from poise.records import Json, usage_from_json, usage_to_json


def row_to_json(row: Row) -> Json:
    """A row as one object; what is None is left out, times are rounded to microseconds."""
    data: Json = {
        "item": row.item,
        "arm": row.arm,
        "task": row.task,
        "cluster": row.cluster,
        "truth": row.truth,
        "value": row.value,
        "rule": row.rule,
        "correct": row.correct,
        "complete": row.complete,
        "confidence": row.confidence,
        "votes": row.votes,
        "stopped": row.stopped.value if row.stopped else None,
        "first_token_seconds": row.first_token_seconds,
        "error": row.error,
        "wall": round(row.wall, 6),
        "usage": usage_to_json(row.usage),
        "prefix_reads": None if row.prefix_reads is None else round(row.prefix_reads, 4),
        "unweighed": row.unweighed or None,
    }
    if row.first_token_seconds is not None:
        data["first_token_seconds"] = round(row.first_token_seconds, 6)
    return {name: entry for name, entry in data.items() if entry is not None}


def row_from_json(data: Json) -> Row:
    """The row back. Raises DataError for a broken one."""
    try:
        return Row(
            item=data["item"],
            task=data["task"],
            cluster=data["cluster"],
            arm=data["arm"],
            truth=data["truth"],
            value=data.get("value"),
            rule=data.get("rule"),
            correct=data["correct"],
            complete=data["complete"],
            confidence=data.get("confidence"),
            votes=data["votes"],
            stopped=Stopped(data["stopped"]) if "stopped" in data else None,
            usage=usage_from_json(data["usage"]),
            first_token_seconds=data.get("first_token_seconds"),
            error=data.get("error"),
            wall=data["wall"],
            prefix_reads=data.get("prefix_reads"),
            unweighed=data.get("unweighed", False),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("row", 0, f"{type(error).__name__}: {error}", "a row as Poise writes it") from error


def summary_to_json(summary: Summary) -> Json:
    """A summary as JSON."""
    return dataclasses.asdict(summary)


def summary_from_json(data: Json) -> Summary:
    """The summary back. Raises DataError for a broken one."""
    try:
        return Summary(
            **{
                **data,
                "arms": tuple(_arm_from_json(arm) for arm in data["arms"]),
                "frontier": tuple(data["frontier"]),
                "hypervolume": Interval(**data["hypervolume"]),
                "comparisons": tuple(_comparison_from_json(comparison) for comparison in data["comparisons"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise DataError("summary", 0, f"{type(error).__name__}: {error}", "a summary as Poise writes it") from error


def _arm_from_json(data: Json) -> ArmSummary:
    intervals = {name: Interval(**data[name]) for name in ("accuracy", "completion", "new_tokens", "flops")}
    tasks = tuple(TaskScore(task["task"], task["n"], Interval(**task["accuracy"])) for task in data["tasks"])
    return ArmSummary(**{**data, **intervals, "seconds": Quantiles(**data["seconds"]), "tasks": tasks})


def _comparison_from_json(data: Json) -> Comparison:
    return Comparison(**{**data, **{name: Interval(**data[name]) for name in ("difference", "cost_ratio")}})
