"""Two prompts on the same questions, and cells of a Markdown table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from findings import Findings, Found, Outcomes
from running import TEST

from poise.evals.rows import Interval
from poise.evals.stats import mcnemar, noninferior, resample, wilson


@dataclass(frozen=True)
class Pair:
    """`first` against `second`: accuracy (a share) and tokens (a ratio), by a paired bootstrap over clusters."""

    n: int
    only_first: int
    only_second: int
    difference: Interval
    tokens: Interval

    @property
    def p(self) -> float:
        """By McNemar's exact test."""
        return mcnemar(self.only_first, self.only_second)

    def inferior(self, margin: float) -> float:
        """p of "the first is worse by the margin or more" (Tango)."""
        return noninferior(self.only_first, self.only_second, self.n, margin)


def pair(first: Outcomes, second: Outcomes, clusters: Sequence[str]) -> Pair:
    """Both in the order of the clusters."""
    columns = np.array([first.right, second.right, first.tokens, second.tokens, [1] * len(clusters)], float).T
    drawn = resample(columns, clusters)
    only = [int((columns[:, a] > columns[:, b]).sum()) for a, b in ((0, 1), (1, 0))]
    return Pair(len(clusters), *only, drawn.difference(0, 1, 4), drawn.ratio(2, 3))


def on_test(findings: Findings, one: Found, prompt: str, model: str = "") -> tuple[Outcomes, Outcomes, Pair] | None:
    """A prompt on the TEST of a search, of its model or another; the initial prompt; and the two against each other.
    None where one was not asked."""
    subject, asked = one.search.subject, model or one.search.model
    first, second = (findings.test(asked, subject, text) for text in (prompt, one.initial))
    if first is None or second is None:
        return None
    return first, second, pair(first, second, findings.clusters(subject, TEST))


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Rows of several sets, one after the other."""
    right = tuple(each for part in parts for each in part.right)
    return Outcomes(right, tuple(each for part in parts for each in part.tokens))


def share(outcomes: Outcomes) -> str:
    """Accuracy in percent, by Wilson."""
    found = wilson(sum(outcomes.right), len(outcomes.right))
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def points(gap: Interval) -> str:
    """A difference of accuracy, in points."""
    return f"{100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def ratio(found: Interval) -> str:
    """Of tokens."""
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


def tail(found: Pair, margin: float | None = None) -> list[str]:
    """The cells of a pair: difference, who alone was right, McNemar's p, tokens; and p of inferior, with a margin."""
    cells = [points(found.difference), f"{found.only_first} : {found.only_second}", f"{found.p:.3f}"]
    cells.append(ratio(found.tokens))
    return [*cells, f"{found.inferior(margin):.3f}"] if margin is not None else cells


PAIRED = ("points", "only it : only the other", "McNemar p", "tokens, ratio")


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], about: str = "") -> str:
    """Markdown; nothing of no row."""
    if not rows:
        return ""
    lines = [f"### {title}", "", *([about, ""] if about else [])]
    lines += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join([*lines, ""])


def quoted(prompt: str) -> str:
    """A prompt as a cell."""
    return f"`{prompt}`".replace("\n", " ")
