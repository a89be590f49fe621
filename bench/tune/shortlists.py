"""E1: ways of finding edits at equal tokens, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from findings import Findings, Found, Outcomes
from pairs import PAIRED, Pair, joined, on_test, pair, points, quoted, share, table, tail
from running import DEV, TEST
from ways import BY_ACCURACY, Subject

_QUARTERS = (0.25, 0.5, 0.75, 1.0)
_PAIRS = (
    ("gradient", "random"),
    ("gradient", "likelihood"),
    ("mixed", "random"),
    ("greedy", "mixed"),
    ("no-bar", "mixed"),
)
_OF_THESE = "Intervals and p are of the prompts that these searches found, on other questions; not of other searches."


class Shortlists:
    """What is there of E1; whatever is not is left out."""

    def __init__(self, findings: Findings, subjects: Sequence[Subject]) -> None:
        self._all, self._subjects = findings, subjects

    def markdown(self) -> list[str]:
        """Its tables."""
        return [self.ways(), self.budgets(), self.pairs(), self.faithful(), self.tested()]

    def groups(self) -> Iterator[tuple[str, list[str]]]:
        """Tasks, then those that are told together too, by name."""
        for subject in self._subjects:
            yield subject.name, [subject.name]
        for pool in sorted({subject.pool for subject in self._subjects} - {""}):
            yield f"{pool}, pooled", [subject.name for subject in self._subjects if subject.pool == pool]

    def dev_of(self, names: Sequence[str], way: str, which: str) -> tuple[list[Found], list[Outcomes], list[str]]:
        """The searches of E1 by a way whose DEV is known, what their prompt made of it - the `initial`, the `last` or
        the `shipped` one - and the clusters of all rows."""
        found, outcomes, clusters = list[Found](), list[Outcomes](), list[str]()
        for one in self._all.of("E1"):
            if one.search.subject in names and one.search.way == way:
                told = self._all.dev(one, getattr(one, which))
                if told is not None:
                    found.append(one)
                    outcomes.append(told)
                    clusters += self._all.clusters(one.search.subject, DEV, one.search.seed)
        return found, outcomes, clusters

    def ways(self) -> str:
        """E1: where each way ends."""
        rows = []
        for name, names in self.groups():
            for way in BY_ACCURACY:
                found, first, clusters = self.dev_of(names, way, "initial")
                _, last, _ = self.dev_of(names, way, "last")
                _, shipped, _ = self.dev_of(names, way, "shipped")
                if not found or not len(first) == len(last) == len(shipped):
                    continue
                steps = statistics.median(len(one.steps) for one in found)
                spent = statistics.median(one.spent for one in found)
                gain = pair(joined(shipped), joined(first), clusters)
                told = [f"{name}, {way}", str(len(found)), f"{steps:g}", f"{spent:,.0f}", str(gain.n)]
                told += [share(joined(each)) for each in (first, last, shipped)]
                rows.append([*told, points(gain.difference), f"{sum(one.shown for one in found)}/{len(found)}"])
        heads = ("task, way", "searches", "steps", "tokens", "n", "initial, %", "at the end, %", "shipped, %", "gain")
        about = f"Of DEV, seeds pooled. Shipped: the initial prompt unless the search showed a gain. {_OF_THESE}"
        return table("E1: where each way ends", (*heads, "gains shown"), rows, about)

    def curve(
        self, names: Sequence[str], way: str, tokens: float, seed: int | None = None
    ) -> tuple[Outcomes, list[str]] | None:
        """DEV of the prompts that a way's searches (those of a seed) held after so many tokens. None where one was not
        asked."""
        outcomes, clusters = list[Outcomes](), list[str]()
        for one in self._all.of("E1"):
            if one.search.subject in names and one.search.way == way and seed in (None, one.search.seed):
                told = self._all.dev(one, one.held(tokens))
                if told is None:
                    return None
                outcomes.append(told)
                clusters += self._all.clusters(one.search.subject, DEV, one.search.seed)
        return (joined(outcomes), clusters) if outcomes else None

    def budgets(self) -> str:
        """E1: DEV against tokens."""
        rows = []
        for name, names in self.groups():
            for way in BY_ACCURACY:
                told = [self.curve(names, way, part * self._all.sizes.tokens) for part in (0, *_QUARTERS)]
                if any(told):
                    rows.append([f"{name}, {way}", *(share(each[0]) if each else "" for each in told)])
        heads = ("task, way", "0", *(f"{part * self._all.sizes.tokens:,.0f}" for part in _QUARTERS))
        return table("E1: DEV, %, of the prompt that was held after so many tokens", heads, rows)

    def pairs(self) -> str:
        """E1: shortlists against each other, at the end."""
        rows = []
        for name, names in self.groups():
            for ours, theirs in _PAIRS:
                found = self.against(names, ours, theirs, self._all.sizes.tokens)
                if found:
                    by_seed = self.by_seed(names, ours, theirs, self._all.sizes.tokens)
                    rows.append([f"{name}, {ours} : {theirs}", str(found.n), *tail(found), by_seed])
        heads = ("task, ways", "n", *PAIRED, "points by seed")
        return table("E1: shortlists, DEV of the prompt at the end", heads, rows, _OF_THESE)

    def by_seed(self, names: Sequence[str], ours: str, theirs: str, tokens: float) -> str:
        """The same for the searches of each seed: how much the outcome of a search varies."""
        found = (self.against(names, ours, theirs, tokens, seed) for seed in self._all.sizes.seeds)
        return ", ".join(f"{100 * each.difference.mean:+.1f}" for each in found if each)

    def against(
        self, names: Sequence[str], ours: str, theirs: str, tokens: float, seed: int | None = None
    ) -> Pair | None:
        """Two ways on DEV, after so many tokens; of the searches that both have."""
        first, second = (self.curve(names, way, tokens, seed) for way in (ours, theirs))
        if first is None or second is None or first[1] != second[1]:
            return None
        return pair(first[0], second[0], first[1])

    def faithful_budgets(self, name: str) -> list[float]:
        """From two steps as published on, after every step, as far as the budget goes."""
        steps = [
            one.spent / len(one.steps)
            for one in self._all.of("E1")
            if one.search.subject == name and one.search.way == "greater" and one.steps
        ]
        if not steps:
            return []
        step = statistics.median(steps)
        return [count * step for count in range(2, int(self._all.sizes.tokens / step) + 1)]

    def faithful(self) -> str:
        """E1: mixed above greater, at every budget."""
        rows = []
        for subject in self._subjects:
            for tokens in self.faithful_budgets(subject.name):
                found = self.against([subject.name], "mixed", "greater", tokens)
                if found:
                    by_seed = self.by_seed([subject.name], "mixed", "greater", tokens)
                    rows.append([f"{subject.name}, {tokens:,.0f}", str(found.n), *tail(found), by_seed])
        heads = ("task, tokens", "n", *PAIRED, "points by seed")
        title = "E1: mixed against greater, DEV at equal tokens, from two steps of greater on"
        return table(title, heads, rows, _OF_THESE)

    def tested(self) -> str:
        """E1: TEST of what was shipped."""
        rows, same = [], 0
        for name, names in self.groups():
            for way in BY_ACCURACY:
                found = [one for one in self._all.of("E1") if one.search.subject in names and one.search.way == way]
                if name not in names:
                    rows += self._pooled(name, way, found)
                    continue
                same += sum(not one.shown for one in found)
                for one in filter(lambda each: each.shown, found):
                    told = on_test(self._all, one, one.shipped)
                    if told:
                        said = [f"{name}, {way}, seed {one.search.seed}: {quoted(one.shipped)}", str(told[2].n)]
                        rows.append([*said, share(told[1]), share(told[0]), *tail(told[2])])
        heads = ("search", "n", "initial, %", "shipped, %", *PAIRED)
        about = f"Searches that showed a gain on DEV. {same} others keep the initial prompt."
        return table("E1: TEST", heads, rows, about)

    def _pooled(self, name: str, way: str, found: Sequence[Found]) -> list[list[str]]:
        told = [each for each in (on_test(self._all, one, one.shipped) for one in found) if each]
        if not told or not any(one.shown for one in found):
            return []
        first, second = (joined([each[place] for each in told]) for place in (0, 1))
        clusters = [each for one in found for each in self._all.clusters(one.search.subject, TEST)]
        gain = pair(first, second, clusters)
        return [[f"{name}, {way}", str(gain.n), share(second), share(first), *tail(gain)]]

    def gained(self) -> list[str]:
        """Tasks on which the default ships a gain, seeds pooled."""
        found = []
        for subject in self._subjects:
            _, first, clusters = self.dev_of([subject.name], "mixed", "initial")
            _, shipped, _ = self.dev_of([subject.name], "mixed", "shipped")
            if first and len(first) == len(shipped):
                gain = pair(joined(shipped), joined(first), clusters).difference
                found += [f"{subject.name} {points(gain)}"] if gain.low > 0 else []
        return found

    def faithful_gaps(self) -> list[float]:
        """Mixed less greater, at every budget of every task that has both."""
        pairs = (
            self.against([subject.name], "mixed", "greater", tokens)
            for subject in self._subjects
            for tokens in self.faithful_budgets(subject.name)
        )
        return [found.difference.mean for found in pairs if found]
