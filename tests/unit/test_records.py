import dataclasses
import json
import time
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.core import (
    Draft,
    Finish,
    Goal,
    Kind,
    Message,
    Request,
    Role,
    Rule,
    Sampling,
    Score,
    Step,
    Stopped,
    Thinking,
    ThinkingMode,
    Value,
)
from poise.costs import Budget, Usage
from poise.errors import DataError
from poise.records import (
    VERSION,
    Recorded,
    redact,
    strategy_to_json,
    to_line,
    trace_from_json,
    trace_to_json,
    usage_from_json,
    usage_to_json,
)
from poise.seams import Plan
from poise.trace import Drawn, Failed, Forked, Launched, Opened, Picked, Scored, Trace


class Order(Enum):
    CHEAP_FIRST = "cheap first"


@dataclass(frozen=True)
class Vote:
    name: ClassVar[str] = "vote"
    n: int = 8
    prompt: str = "cot"


@dataclass(frozen=True)
class Ladder:
    name: ClassVar[str] = "ladder"
    arms: tuple[Vote, ...] = (Vote(2), Vote(4))
    last: Vote = Vote()
    accept: float = 0.8
    roles: tuple[str, ...] = ()
    order: Order = Order.CHEAP_FIRST


texts = st.text(max_size=20)
counts = st.integers(0, 10**9)
seconds = st.integers(0, 10**10).map(lambda micros: micros / 1e6)
shares = st.floats(0, 1)
logprobs = st.integers(-(10**6), 0).map(lambda tenths: tenths / 1e4)
maybe = st.none() | shares
positive = st.none() | st.floats(1e-3, 1e15)
budgets = st.builds(Budget, st.none() | st.integers(1, 10**9), st.none(), st.none(), positive, positive, positive)
usages = st.builds(
    Usage,
    *[counts] * 7,
    *[seconds] * 2,
    *[st.floats(0, 1e18)] * 2,
    st.booleans(),
)
samplings = st.builds(
    Sampling,
    temperature=st.floats(0, 10),
    top_p=st.floats(0.01, 1),
    max_tokens=st.integers(1, 10**6),
    stop=st.lists(texts, max_size=2).map(tuple),
    seed=st.none() | st.integers(0, 2**63),
    top_logprobs=st.none() | st.integers(0, 20),
    thinking=st.builds(Thinking, st.sampled_from(ThinkingMode), shares, st.integers(1, 9)),
)
messages = st.lists(st.builds(Message, st.sampled_from(Role), texts), max_size=2).map(
    lambda turns: (*turns, Message(Role.USER, "What is 3 + 4?"))
)
requests = st.builds(
    Request,
    messages,
    st.sampled_from(Kind),
    samplings,
    st.builds(Goal, budgets, st.none() | st.floats(0.01, 1)),
    st.lists(texts, max_size=2).map(tuple),
)
atoms = st.none() | st.booleans() | counts | shares | texts
knobs = st.dictionaries(st.sampled_from(["n", "accept", "prompt"]), atoms | st.lists(atoms, max_size=2).map(tuple)).map(
    lambda given: tuple(given.items())
)
leaves = st.builds(Recorded, st.sampled_from(["vote", "direct"]), knobs)
recorded = leaves | st.builds(
    lambda arms, last: Recorded("cascade", (("arms", arms), ("last", last))), st.lists(leaves).map(tuple), leaves
)
plans = st.builds(
    Plan,
    recorded,
    st.dictionaries(st.sampled_from(["main", "draft"]), texts).map(lambda roles: tuple(roles.items())),
    st.none() | st.just("judge"),
    texts,
    texts,
    budgets,
    texts,
)
drafts = st.builds(
    Draft,
    texts,
    st.sampled_from(Finish),
    counts,
    st.lists(logprobs, max_size=3).map(tuple),
    st.lists(st.lists(logprobs, max_size=3).map(tuple), max_size=3).map(tuple),
    st.lists(counts, max_size=3).map(tuple),
)
roles = st.sampled_from(["main", "draft"])
values = st.none() | st.builds(Value, texts, st.sampled_from(Rule))
steps = st.builds(Step, counts, counts, drafts, values, texts, roles)
scores = st.builds(Score, shares, usages, st.none() | texts)
events = st.one_of(
    st.builds(Opened, requests, plans, counts, seconds, seconds),
    st.builds(Launched, seconds, counts, counts, roles, texts, counts, counts),
    st.builds(Drawn, seconds, steps, usages, st.none() | seconds),
    st.builds(Failed, seconds, counts, texts, texts, usages),
    st.builds(Scored, seconds, counts, texts, scores),
    st.builds(Forked, seconds, texts, shares, st.none() | counts, maybe),
    st.builds(Picked, seconds, counts, maybe, counts, st.sampled_from(Stopped)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, max_size=5).map(Trace))
def test_a_trace_comes_back_from_its_line(trace: Trace) -> None:
    line = to_line(trace_to_json(trace))
    assert "\n" not in line
    assert trace_from_json(json.loads(line)).events == trace.events


def whole_trace() -> Trace:
    request = Request.ask("What is 3 + 4?", Kind.NUMBER, Sampling(), Goal(Budget(new_tokens=2000)))
    trace = Trace([Opened(request, Plan(Vote()), 7, 1.5e9)])
    for id in range(1, 9):
        trace.append(Launched(0.001, id, 0, "main", "default", 256, 11 * id))
    for id in range(1, 9):
        draft = Draft("so it is " * 25 + "#### 7", Finish.EOS, 110, token_ids=(1, 2))
        usage = Usage(calls=1, prompt_tokens=80, new_tokens=110, busy_seconds=1.25, flops=1.3e10)
        trace.append(Drawn(1.25, Step(id, 0, draft, Value("7", Rule.HASHES)), usage, 0.2))
    trace.append(Picked(9.5, 3, 0.75, 8, Stopped.DONE))
    return trace


def test_times_are_kept_to_microseconds_and_logprobs_to_four_decimals() -> None:
    draft = Draft("7", Finish.EOS, 1, (-0.123456,), ((-0.123456, -2.000049),))
    event = Drawn(0.12345678, Step(1, 0, draft), Usage(busy_seconds=0.12345678), 0.1000004)
    (data,) = trace_to_json(Trace([event]))["events"]
    assert (data["at"], data["first"], data["usage"]) == (0.123457, 0.1, {"busy_seconds": 0.123457})
    assert (data["logprobs"], data["alternatives"]) == ([-0.1235], [[-0.1235, -2.0]])


def test_a_live_strategy_is_written_with_every_knob_and_read_back_by_name() -> None:
    data = strategy_to_json(Ladder())
    assert data == {
        "name": "ladder",
        "arms": [{"name": "vote", "n": 2, "prompt": "cot"}, {"name": "vote", "n": 4, "prompt": "cot"}],
        "last": {"name": "vote", "n": 8, "prompt": "cot"},
        "accept": 0.8,
        "roles": [],
        "order": "cheap first",
    }
    trace = Trace([dataclasses.replace(whole_trace().events[0], plan=Plan(Ladder()))])
    (opened,) = trace_from_json(trace_to_json(trace)).of(Opened)
    assert strategy_to_json(opened.plan.strategy) == data
    assert repr(opened.plan.strategy).startswith(
        "ladder(arms=(vote(n=2, prompt='cot'), vote(n=4, prompt='cot')), last="
    )


@pytest.mark.parametrize("version", [None, 0, 2, "1"])
def test_another_version_is_refused(version: object) -> None:
    with pytest.raises(DataError, match="version 1"):
        trace_from_json({"version": version, "events": []})


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"events": [{"event": "unheard of"}]},
        {"events": [{"event": "drawn", "at": 1.0}]},
        {"events": ["drawn"]},
        {"events": [{"event": "picked", "at": 1.0, "step": 1, "votes": 1, "stopped": "bored"}]},
    ],
)
def test_a_broken_record_is_named(broken: dict[str, object]) -> None:
    with pytest.raises(DataError, match="a trace as Poise writes it"):
        trace_from_json({"version": VERSION, **broken})


def test_usage_leaves_out_zeros() -> None:
    assert usage_to_json(Usage()) == {}
    usage = Usage(calls=2, new_tokens=40, money=1e-9, estimated=True)
    assert usage_to_json(usage) == {"calls": 2, "new_tokens": 40, "money": 1e-9, "estimated": True}
    assert usage_from_json(usage_to_json(usage)) == usage


def test_a_redacted_trace_shows_no_text_and_is_still_a_trace() -> None:
    secret = "a secret"
    request = Request((Message(Role.USER, secret),), tags=("label",))
    trace = whole_trace()
    trace.events[0] = dataclasses.replace(trace.events[0], request=request)
    draft = Draft(secret, Finish.EOS, 2, token_ids=(1, 2))
    trace.append(Drawn(1.0, Step(9, 0, draft, Value(secret, Rule.WHOLE_TEXT), suffix=secret), Usage()))
    trace.append(Failed(1.0, 10, "EngineRefused", f"refused: {secret}"))
    trace.append(Scored(1.0, 9, "judge", Score(0.0, failure=f"cannot judge {secret}")))
    hidden = redact(json.loads(to_line(trace_to_json(trace))))
    assert secret not in to_line(hidden)
    assert "token_ids" not in to_line(hidden)
    back = trace_from_json(hidden)
    assert next(back.of(Opened)).request.question == "8 characters, sha256 984ca5162200"
    assert next(back.of(Opened)).request.tags == ("label",)
    assert back.usage == trace.usage
    assert back.steps[1].value == back.steps[2].value != back.steps[9].value


def test_eight_draws_are_written_in_well_under_a_millisecond() -> None:
    trace = whole_trace()

    def once() -> float:
        start = time.process_time()
        for _ in range(50):
            to_line(trace_to_json(trace))
        return (time.process_time() - start) / 50

    assert min(once() for _ in range(10)) < 400e-6  # 120 microseconds on a quiet machine; room for slow ones
