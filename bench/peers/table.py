"""What was measured, as Markdown and as JSON: a row per arm, and the comparisons that were named beforehand.

Seeds have questions of their own, so accuracy is pooled over all of them: Wilson's interval for an arm; for a pair the
difference with its interval (bootstrap over clusters), the exact McNemar test, and Tango's test against the margin.
Walls and tokens are medians over seeds, with their range.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from arms import ARMS, MARGIN, PAIRS, SETTINGS, SUPPOSED_DISCORDANT, Pair

from poise.evals.stats import mcnemar, noninferior, resample, smallest_margin, wilson

Json = dict[str, Any]
Runs = list[Json]  # of one arm in one setting, by seed


@dataclass(frozen=True)
class Span:
    """A median and its range over seeds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Span:
        return cls(statistics.median(values), min(values), max(values))

    def told(self, digits: int = 1) -> str:
        """As text; without a range where there is one seed."""
        middle = f"{self.median:,.{digits}f}"
        return middle if self.low == self.high else f"{middle} [{self.low:,.{digits}f}, {self.high:,.{digits}f}]"


def pooled(runs: Runs, key: str = "right") -> dict[tuple[int, str], Any]:
    """By seed and question."""
    return {(run["seed"], id): value for run in runs for id, value in run[key].items()}


def row(name: str, runs: Runs) -> Json:
    """An arm in a setting."""
    asked = [len(run["right"]) for run in runs]
    right = list(pooled(runs).values())
    counters = [run["counters"] for run in runs]
    reported = [run["reported"] / run["counters"]["tokens"] for run in runs if run["reported"] is not None]
    return {
        "arm": name,
        "seeds": len(runs),
        "wall": asdict(Span.of([run["wall"] for run in runs])),
        "median_seconds": asdict(Span.of([statistics.median(run["seconds"].values()) for run in runs])),
        "tokens": asdict(Span.of([each["tokens"] / n for each, n in zip(counters, asked, strict=True)])),
        "reported": asdict(Span.of(reported)) if reported else None,
        "accuracy": asdict(wilson(sum(right), len(right))),
        "n": len(right),
        "calls": asdict(Span.of([each["calls"] / n for each, n in zip(counters, asked, strict=True)])),
        "connections": asdict(Span.of([float(each["connections"]) for each in counters])),
        "in_flight": asdict(Span.of([float(each["most_in_flight"]) for each in counters])),
        "errors": sum(len(run["errors"]) for run in runs),
    }


def compared(pair: Pair, setting: str, ours: Runs, theirs: Runs) -> Json:
    """A pair in a setting, over the seeds that both have."""
    both = sorted({run["seed"] for run in ours} & {run["seed"] for run in theirs})
    mine, other = ({run["seed"]: run for run in runs} for runs in (ours, theirs))
    first, second = (pooled([runs[seed] for seed in both]) for runs in (mine, other))
    clusters = pooled([mine[seed] for seed in both], "clusters")
    places = sorted(first.keys() & second.keys())
    columns = np.array([(first[place], second[place], 1) for place in places], float)
    only_first, only_second = (int((columns[:, a] > columns[:, b]).sum()) for a, b in ((0, 1), (1, 0)))
    n = len(places)
    faster = Span.of([other[seed]["wall"] / mine[seed]["wall"] for seed in both])
    tokens = Span.of([mine[seed]["counters"]["tokens"] / other[seed]["counters"]["tokens"] for seed in both])
    p = noninferior(only_first, only_second, n, MARGIN)
    return {
        "ours": pair.ours,
        "theirs": pair.theirs,
        "n": n,
        "seeds": both,
        "faster": asdict(faster),
        "tokens": asdict(tokens),
        "accuracy_difference": asdict(resample(columns, [clusters[place] for place in places]).difference(0, 1, 2)),
        "only_ours": only_first,
        "only_theirs": only_second,
        "mcnemar": mcnemar(only_first, only_second),
        "noninferior": p,
        "supported_margin": smallest_margin((only_first + only_second) / n, n),
        "targets": targets(pair, setting, faster, tokens, p),
    }


def targets(pair: Pair, setting: str, faster: Span, tokens: Span, p: float) -> list[tuple[str, bool]]:
    """What was to be reached, and whether it was. The embedded setting is too small for any."""
    found = []
    if setting == "embedded":
        return found
    if pair.faster is not None and setting in (pair.faster_in or (setting,)):
        wanted = "no slower" if pair.faster == 1.0 else f"{pair.faster:g} x faster"
        found.append((wanted, faster.median >= pair.faster))
    if pair.tokens is not None:
        found.append((f"{100 * pair.tokens:.0f} % of the tokens", tokens.median <= pair.tokens))
    if pair.noninferior:
        found.append((f"not inferior by {100 * MARGIN:g} points", p < 0.05))
    return found


def gathered(folder: Path) -> Json:
    """All that was measured in a folder."""
    kept = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*/measured.json"))]
    made: Json = {}
    for setting in SETTINGS:
        found = [run for run in kept if run["setting"]["name"] == setting]
        runs = {arm.name: [run for run in found if run["arm"] == arm.name and "wall" in run] for arm in ARMS}
        failed = {run["arm"]: run["could_not"] for run in found if "could_not" in run}
        if found:
            pairs = [pair for pair in PAIRS if runs[pair.ours] and runs[pair.theirs]]
            made[setting] = {
                "setting": found[0]["setting"],
                "rows": [row(name, each) for name, each in runs.items() if each],
                "could_not": failed,
                "pairs": [compared(pair, setting, runs[pair.ours], runs[pair.theirs]) for pair in pairs],
            }
    return made


ROWS = "| arm | wall, s | median s a question | tokens a question | reported / executed | right, % | calls a question |"
ROWS += " connections | most calls in flight | errors |"
COMPARED = "| ours : theirs | theirs / ours, wall | ours / theirs, tokens | right, points | only ours : only theirs |"
COMPARED += " McNemar p | p of inferior | targets |"


def markdown(setting: str, found: Json) -> str:
    """A setting's two tables."""
    about = found["setting"]
    lines = [f"### {setting}: {about['about']}; {about['questions']} questions a seed, T = {about['temperature']}", ""]
    lines += [ROWS, "|---|" + "---:|" * 9]
    for each in found["rows"]:
        right, spans = (
            each["accuracy"],
            {key: Span(**each[key]) for key in each if isinstance(each[key], dict) and key != "accuracy"},
        )
        told = f"{100 * right['mean']:.1f} [{100 * right['low']:.1f}, {100 * right['high']:.1f}]"
        cells = [each["arm"], spans["wall"].told(), spans["median_seconds"].told(2), spans["tokens"].told(0)]
        cells += [spans["reported"].told(3) if each["reported"] else "says nothing", told, spans["calls"].told()]
        cells += [spans["connections"].told(0), spans["in_flight"].told(0), str(each["errors"])]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"| {arm} | could not run here: {why} |{' |' * 8}" for arm, why in found["could_not"].items()]
    if found["pairs"]:
        lines += ["", COMPARED, "|---|" + "---:|" * 6 + "---|", *map(_pair_line, found["pairs"])]
    return "\n".join([*lines, ""])


def _pair_line(each: Json) -> str:
    gap = each["accuracy_difference"]
    points = f"{100 * gap['mean']:+.1f} [{100 * gap['low']:+.1f}, {100 * gap['high']:+.1f}]"
    told = "; ".join(f"{wanted}: {'met' if met else 'MISSED'}" for wanted, met in each["targets"])
    cells = [
        f"{each['ours']} : {each['theirs']}",
        Span(**each["faster"]).told(2),
        Span(**each["tokens"]).told(2),
        points,
    ]
    cells += [
        f"{each['only_ours']} : {each['only_theirs']}",
        f"{each['mcnemar']:.3f}",
        f"{each['noninferior']:.4f}",
        told,
    ]
    return f"| {' | '.join(cells)} |"


def show(folder: Path, machine: str) -> None:
    """Write table.json, print the tables."""
    made = gathered(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.json").write_text(json.dumps({"machine": machine, "margin": MARGIN, "settings": made}, indent=1))
    print(f"{machine}. Walls and tokens: median [range] over seeds; right: all seeds pooled, 95 % intervals.")
    print(f"Margin {100 * MARGIN:g} points, named for a discordant share of {SUPPOSED_DISCORDANT} at 900 pairs.\n")
    for setting, found in made.items():
        print(markdown(setting, found))
