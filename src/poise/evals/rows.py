"""What a benchmark records and what is read out of it: Item, Row, Summary. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from poise.core import Kind, Stopped
from poise.costs import Usage


@dataclass(frozen=True, slots=True)
class Item:
    """One question with its truth. `id` is unique within a benchmark and stable between runs; `cluster` groups items
    that are not independent (a template, a source), and is the unit of every bootstrap. `worked`: its solution
    step by step, where the source has one."""

    id: str
    task: str
    question: str
    truth: str
    kind: Kind
    cluster: str
    worked: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One item answered by one arm. `error` is None or the class name of what went wrong (then nothing is correct);
    `prefix_reads` and `unweighed` as in `Trace`."""

    item: str
    task: str
    cluster: str
    arm: str
    truth: str
    value: str | None
    rule: str | None
    correct: bool
    complete: bool
    confidence: float | None
    votes: int
    stopped: Stopped | None
    usage: Usage
    first_token_seconds: float | None = None
    error: str | None = None
    wall: float = 0.0
    prefix_reads: float | None = None
    unweighed: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean or share with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of seconds per question."""

    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One arm on one task."""

    task: str
    n: int
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm over all items. Costs are means per question; tokens are generated tokens, overrun included; `hull_gap`
    is accuracy minus the convex hull of the other arms' (flops, accuracy) at the same cost; `prefix_reads` is the mean
    of what is known; `unweighed` counts questions."""

    arm: str
    n: int
    correct: int
    failed: int
    accuracy: Interval
    completion: Interval
    new_tokens: Interval
    prompt_tokens: float
    flops: Interval
    seconds: Quantiles
    busy_seconds: float
    first_token_seconds: float | None
    tokens_per_second: float
    joules: float
    money: float
    on_frontier: bool
    hull_gap: float
    tasks: tuple[TaskScore, ...]
    prefix_reads: float | None = None
    unweighed: int = 0

    def cost(self, unit: str) -> Interval:
        """In the unit of a summary's axis: flops or new_tokens."""
        return self.flops if unit == "flops" else self.new_tokens


@dataclass(frozen=True, slots=True)
class Comparison:
    """`first` against `second` on the items both have. `only_first`: items that only the first got right; `p_value`
    exact McNemar, `p_holm` after Holm over all comparisons made; `difference` accuracy in points of share (first minus
    second) and `cost_ratio` flops (first / second), both by paired cluster bootstrap."""

    first: str
    second: str
    n: int
    only_first: int
    only_second: int
    p_value: float
    p_holm: float
    difference: Interval
    cost_ratio: Interval


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole benchmark. `frontier` lists arms by rising cost; `hypervolume` is over (log10 flops, accuracy) against
    `reference` flops; `oracle` is the share of items that at least one arm got right. `cost` names the axis: flops
    where every arm has them, else new tokens. `replayed`: some draws came out of a pool, so seconds, and what is made
    of them, were not measured."""

    arms: tuple[ArmSummary, ...]
    frontier: tuple[str, ...]
    hypervolume: Interval
    reference: float
    cost: str
    oracle: float
    comparisons: tuple[Comparison, ...]
    energy_measured: bool = False
    replayed: bool = False
