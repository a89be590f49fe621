"""Synthetic runs: cheap, deterministic, and shaped like real ones."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from poise.core import Draft, Finish, Kind, Request, Rule, Score, Step, Stopped, Value
from poise.costs import Usage
from poise.evals.rows import Row
from poise.evals.rows_json import row_to_json
from poise.records import Recorded, to_line, trace_to_json
from poise.seams import Plan
from poise.trace import Drawn, Failed, Launched, Opened, Picked, Scored, Trace


@dataclass(frozen=True)
class FakeArm:
    """`draws` drafts of about `tokens` tokens, each right with chance `skill`, up to `spread` more or less by question;
    `depth` > 1 makes a tree; `cut`: share of draws that are closed. `strategy` is its name unless told."""

    name: str
    draws: int = 1
    tokens: int = 60
    skill: float = 0.35
    depth: int = 1
    spread: float = 0.0
    cut: float = 0.05
    strategy: str = ""
    scorer: str | None = None


ARMS = (FakeArm("direct", 1, 12, 0.25), FakeArm("cot", 1, 70, 0.38), FakeArm("self_consistency:n=8", 8, 70, 0.38),
        FakeArm("rebase:width=4", 4, 30, 0.42, depth=3))  # fmt: skip
QUESTION = "A baker makes {0} trays of {1} rolls and sells {2}. How many rolls are left?"
LINES = ("First, there are {0} trays with {1} rolls each.", "That makes {3} rolls.", "Taking away {2} leaves {4}.")


def fake_trace(arm: FakeArm, question: str, numbers: tuple[int, ...], seed: int) -> Trace:
    """One run of an arm: its draws, scores, one failure or cancellation now and then, and a majority pick."""
    rng = random.Random(f"{arm.name} {seed}")
    plan = Plan(Recorded(arm.name.partition(":")[0], (("n", arm.draws),)), because="asked for by name")  # type: ignore[arg-type]
    trace = Trace([Opened(Request.ask(question, Kind.NUMBER), plan, seed, 1_790_000_000.0 + seed)])
    level, id, at = [0] * arm.draws, 0, 0.0
    for depth in range(arm.depth):
        parents, level = level, []
        for parent in parents:
            id, at = id + 1, at + 0.001
            trace.append(Launched(at, id, parent, "main", "tiny", 256, seed * 100 + id))
        for back, parent in enumerate(parents):
            draw = id - len(parents) + 1 + back
            at += rng.expovariate(30 / arm.tokens)
            _finish(trace, arm, (draw, parent, depth), at, numbers, rng)
            level.append(draw)
        level = [rng.choice(level) for _ in level]
    leaves = [s for s in trace.steps.values() if s.value and s.finished]
    if leaves:
        top, votes = Counter(leaf.value.text for leaf in leaves if leaf.value).most_common(1)[0]
        picked = next(leaf for leaf in leaves if leaf.value and leaf.value.text == top)
        confidence = votes / len(leaves) if arm.draws > 1 else None
        trace.append(Picked(at, picked.id, confidence, len(leaves), Stopped.DONE))
    return trace


def _finish(
    trace: Trace, arm: FakeArm, place: tuple[int, int, int], at: float, numbers: tuple[int, ...], rng: random.Random
) -> None:
    draw, parent, depth = place
    tokens = max(3, round(rng.lognormvariate(0, 0.35) * arm.tokens))
    usage = Usage(1, 90, 0, tokens, busy_seconds=tokens / 60, flops=2.7e8 * (90 + tokens), seconds=at)
    if arm.draws > 3 and rng.random() < 0.8 * arm.cut:
        trace.append(Failed(at, draw, "EngineSilent", "no byte for 30 s", usage))
        return
    last = depth == arm.depth - 1
    skill = arm.skill + arm.spread * (2 * random.Random(repr(numbers)).random() - 1)
    right = numbers[4] if rng.random() < skill else numbers[4] + rng.choice((-10, 1, 2, numbers[1]))
    text = LINES[min(depth, 2)].format(*numbers) + (f" The answer is {right}." if last else "\n")
    closed = rng.random() < arm.cut
    finish = Finish.CLOSED if closed else Finish.EOS if last else Finish.DELIMITER
    value = Value(str(right), Rule.ANSWER_IS) if last and not closed else None
    trace.append(Drawn(at, Step(draw, parent, Draft(text, finish, tokens), value), usage, at - tokens / 80))
    if arm.depth > 1:
        trace.append(Scored(at, draw, "prm", Score(round(rng.betavariate(3, 2), 3), Usage(scorer_tokens=tokens))))


def fake_rows(items: int = 24, arms: tuple[FakeArm, ...] = ARMS, tasks: int = 3) -> list[tuple[Row, Trace]]:
    """Every arm on every item."""
    return [_row(arm, item, tasks) for item in range(items) for arm in arms]


def _row(arm: FakeArm, item: int, tasks: int) -> tuple[Row, Trace]:
    a, b = 2 + item % 7, 6 + item % 11
    c = 1 + item % (a * b - 1)
    numbers = (a, b, c, a * b, a * b - c)
    trace = fake_trace(arm, QUESTION.format(*numbers), numbers, item)
    picked = next(trace.of(Picked), None)
    value = trace.steps[picked.step].value if picked else None
    truth, task = str(numbers[4]), ("bakery", "gsm_symbolic", "leg_counting", "chain_sum")[item % tasks]
    row = Row(
        f"{task}-{item}", task, f"{task}-{item % 5}", arm.name, truth, value.text if value else None,
        value.rule.value if value else None, value is not None and value.text == truth, value is not None,
        picked.confidence if picked else None, picked.votes if picked else 0, picked.stopped if picked else None,
        trace.usage, trace.first_token_seconds, None if picked else "NoAnswer", 1_790_000_000.0 + item,
    )  # fmt: skip
    return row, trace


def write_run(path: Path, graded: list[tuple[Row, Trace]], config: dict[str, object]) -> Path:
    """A run directory as a benchmark leaves it."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(to_line(config))
    (path / "environment.json").write_text(to_line({"poise": "0.1.0", "python": "3.13", "cpus": 2}))
    with (path / "traces.jsonl").open("w") as traces, (path / "grades.jsonl").open("w") as grades:
        for row, trace in graded:
            traces.write(
                to_line({"version": 1, "item": row.item, "arm": row.arm, "trace": trace_to_json(trace)}) + "\n"
            )
            grades.write(to_line(row_to_json(row)) + "\n")
    return path


def fake_config(arms: tuple[FakeArm, ...], items: int, compare: list[list[str]]) -> dict[str, object]:
    """The config.json of such a run."""
    return {
        "version": 1, "tasks": ["bakery"], "limit": items, "seed": 7, "parallel": None, "compare": compare,
        "models": {"main": "tiny-135M"}, "items": {"n": items, "sha256": "0"},
        "arms": [{"name": arm.name, "plan": {"strategy": _strategy(arm), "engines": {"main": "main"}, "budget": {},
                  "scorer": arm.scorer}, "sampling": {"temperature": 0.7, "max_tokens": 256}} for arm in arms],
    }  # fmt: skip


def _strategy(arm: FakeArm) -> dict[str, object]:
    name, _, knobs = (arm.strategy or arm.name).partition(":")
    widths = (pair.partition("=") for pair in knobs.split(",") if "=" in pair)
    return {"name": name, "prompt": "direct" if name == "direct" else "cot", **{k: int(v) for k, _, v in widths}}
