"""What was found, as Markdown: a table or two for each experiment, and the targets that were named beforehand."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from findings import Findings, Found, Outcomes, choice, oracle
from pairs import PAIRED, Pair, joined, pair, points, quoted, ratio, share, table, tail
from running import DEV, TEST, has_room
from ways import ADAPTED, BY_ACCURACY, MODELS, WAYS, Subject

from poise.records import Json

SHORTER, LEVEL = 0.75, 0.05
"""Of the tokens: what a prompt for shorter answers has to come down to; and of every test."""
_QUARTERS = (0.25, 0.5, 0.75, 1.0)


def headroom(lines: Sequence[Json]) -> str:
    """Of each model and task, and who is left out."""
    rows = []
    for line in lines:
        greedy, single, passed = (f"{100 * line[key]['mean']:.1f}" for key in ("greedy", "single", "passed"))
        chance = f"{100 * line['chance']:.1f}" if line["chance"] else ""
        verdict = "yes" if has_room(line) else "no: left out"
        if line["room"] and not has_room(line):
            verdict = "no: not above chance, left out"
        told = [
            f"{line['model']}, {line['subject']}",
            str(line["rows"]),
            greedy,
            single,
            f"{passed} of {line['draws']}",
        ]
        rows.append([*told, chance, verdict])
    heads = ("model, task", "n", "greedy, %", "one draw, %", "any draw, %", "most common answer, %", "headroom")
    return table("Headroom of the prompt to begin with", heads, rows)


class Tables:
    """The tables of what is there; whatever is not is left out."""

    def __init__(self, findings: Findings, subjects: Sequence[Subject]) -> None:
        self._all, self._subjects, self._margin = findings, subjects, findings.sizes.margin

    def markdown(self) -> str:
        """All of them."""
        parts = (self.ways(), self.budgets(), self.pairs(), self.faithful(), self.tested(), self.shorter())
        return "\n".join(part for part in (*parts, self.chosen(), self.transferred(), self.targets()) if part)

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
        heads = ("task, way", "seeds", "steps", "tokens", "n", "initial, %", "at the end, %", "shipped, %", "gain")
        about = "Of DEV, seeds pooled. Shipped: the initial prompt unless the search showed a gain."
        return table("E1: where each way ends", (*heads, "gains shown"), rows, about)

    def curve(self, names: Sequence[str], way: str, tokens: float) -> tuple[Outcomes, list[str]] | None:
        """DEV of the prompts that a way's searches held after so many tokens. None where one was not asked."""
        outcomes, clusters = list[Outcomes](), list[str]()
        for one in self._all.of("E1"):
            if one.search.subject in names and one.search.way == way:
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
            for ours, theirs in (("gradient", "random"), ("gradient", "likelihood"), ("mixed", "random")):
                found = self.against(names, ours, theirs, self._all.sizes.tokens)
                if found:
                    rows.append([f"{name}, {ours} : {theirs}", str(found.n), *tail(found)])
        return table("E1: shortlists, DEV of the prompt at the end", ("task, ways", "n", *PAIRED), rows)

    def against(self, names: Sequence[str], ours: str, theirs: str, tokens: float) -> Pair | None:
        """Two ways on DEV, after so many tokens; of the searches that both have."""
        first, second = (self.curve(names, way, tokens) for way in (ours, theirs))
        if first is None or second is None or first[1] != second[1]:
            return None
        return pair(first[0], second[0], first[1])

    def faithful_budgets(self, name: str) -> list[float]:
        """From two steps as published on, after every step, as far as the budget goes."""
        steps = [one.spent / len(one.steps) for one in self._all.of("E1") if _is(one, name, "greater") and one.steps]
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
                    rows.append([f"{subject.name}, {tokens:,.0f}", str(found.n), *tail(found)])
        heads = ("task, tokens", "n", *PAIRED)
        return table("E1: mixed against greater, DEV at equal tokens, from two steps of greater on", heads, rows)

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
                    told = self.test_pair(one, one.shipped)
                    if told:
                        said = [f"{name}, {way}, seed {one.search.seed}: {quoted(one.shipped)}", str(told[2].n)]
                        rows.append([*said, share(told[1]), share(told[0]), *tail(told[2])])
        heads = ("search", "n", "initial, %", "shipped, %", *PAIRED)
        about = f"Searches that showed a gain on DEV. {same} others keep the initial prompt."
        return table("E1: TEST", heads, rows, about)

    def _pooled(self, name: str, way: str, found: Sequence[Found]) -> list[list[str]]:
        told = [each for each in (self.test_pair(one, one.shipped) for one in found) if each]
        if not told or not any(one.shown for one in found):
            return []
        first, second = (joined([each[place] for each in told]) for place in (0, 1))
        clusters = [each for one in found for each in self._all.clusters(one.search.subject, TEST)]
        gain = pair(first, second, clusters)
        return [[f"{name}, {way}", str(gain.n), share(second), share(first), *tail(gain)]]

    def test_pair(self, one: Found, prompt: str, model: str = "") -> tuple[Outcomes, Outcomes, Pair] | None:
        """A prompt on TEST, the initial one, and the two against each other."""
        subject, asked = one.search.subject, model or one.search.model
        first, second = (self._all.test(asked, subject, text) for text in (prompt, one.initial))
        if first is None or second is None:
            return None
        return first, second, pair(first, second, self._all.clusters(subject, TEST))

    def shorter(self) -> str:
        """E2 and E3: TEST of the shortest prompt that DEV shows to lose less than the margin."""
        rows = []
        for experiment in ("E2", "E3"):
            for one in self._all.of(experiment):
                prompt = one.brief(self._margin)
                told = self.test_pair(one, prompt)
                if told:
                    said = quoted(prompt) if prompt != one.initial else "the initial prompt"
                    name = f"{experiment} {one.search.subject}, {one.search.way}: {said}"
                    spent = [str(len(one.steps)), f"{one.spent:,}", str(told[2].n)]
                    rows.append([name, *spent, share(told[1]), share(told[0]), *tail(told[2], self._margin)])
        heads = ("search", "steps", "tokens", "n", "initial, %", "its prompt, %", *PAIRED, "p of inferior")
        about = (
            f"The shortest prompt that DEV shows to lose less than {100 * self._margin:.0f} points; margin named for"
        )
        return table("E2, E3: shorter answers, TEST", heads, rows, f"{about} n = {self._all.sizes.test}.")

    def chosen(self) -> str:
        """E4: the front, and a choice per question, beside the best single prompt."""
        rows = []
        for subject in self._subjects:
            front = self._all.front(subject.name)
            told = [self._all.test(ADAPTED, subject.name, one.name) for one in front]
            known = [each for each in told if each is not None]
            again = self._all.test(ADAPTED, subject.name, front[0].name, 1) if front else None
            if again is None or len(known) != len(front):
                continue
            best = max(range(len(front)), key=lambda place: (front[place].accuracy, -front[place].cost))
            lines = [(f"of the front, {quoted(one.name)}", each) for one, each in zip(front, known, strict=True)]
            lines.append(("a choice per question", choice(known[0], again, known[best], self._all.kinds(subject.name))))
            lines.append(("the oracle over the front", oracle(known)))
            clusters = self._all.clusters(subject.name, TEST)
            for place, (name, one) in enumerate(lines):
                told_of = pair(one, known[best], clusters)
                mark = " (best on DEV)" if place == best else ""
                rows.append(
                    [f"{subject.name}, {name}{mark}", str(told_of.n), share(one), f"{one.cost:.1f}", *tail(told_of)]
                )
        heads = ("task, prompt", "n", "right, %", "tokens", *PAIRED)
        about = (
            "Choice: the shortest prompt twice; where the two do not agree, the best one. All beside the best on DEV."
        )
        return table("E4: the front, and a choice per question, TEST", heads, rows, about)

    def transferred(self) -> str:
        """E5: a prompt on the model that it was found on, and on the other."""
        rows = []
        for one in self._all.of("E5"):
            for model in MODELS:
                told = self.test_pair(one, one.strongest, model)
                if told:
                    shown = "" if one.shown else " (no gain shown)"
                    where = f"found on {one.search.model}{shown}, asked of {model}"
                    name = f"{one.search.subject}, {where}: {quoted(one.strongest)}"
                    rows.append([name, str(told[2].n), share(told[1]), share(told[0]), *tail(told[2])])
        return table("E5: transfer, TEST", ("prompt", "n", "initial, %", "it, %", *PAIRED), rows)

    def targets(self) -> str:
        """What was named beforehand."""
        gained, brief = self.gained(), self.brief()
        rows = []
        if self._all.of("E1"):
            told = ", ".join(gained) or "none"
            rows.append(["mixed: DEV gain with a lower bound above 0", "2 tasks or more", told, _met(len(gained) >= 2)])
        if self._all.of("E2") or self._all.of("E3"):
            wanted = f"1 task or more, not inferior by {100 * self._margin:.0f} points"
            told = ", ".join(brief) or "none"
            rows.append(["TEST: 25 % fewer new tokens", wanted, told, _met(bool(brief))])
        gaps = self.faithful_gaps()
        if gaps:
            told = f"{sum(gap > 0 for gap in gaps)} of {len(gaps)}"
            wanted = "every budget from two steps of greater on"
            rows.append(["DEV: mixed above greater", wanted, told, _met(all(gap > 0 for gap in gaps))])
        return table("Targets named beforehand", ("figure", "target", "found", "met"), rows)

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

    def brief(self) -> list[str]:
        """Searches for shorter answers that reach the target."""
        found = []
        for one in (*self._all.of("E2"), *self._all.of("E3")):
            told = self.test_pair(one, one.brief(self._margin))
            if told and told[2].tokens.mean <= SHORTER and told[2].inferior(self._margin) < LEVEL:
                found.append(f"{one.search.subject}, {one.search.way}: {ratio(told[2].tokens)}")
        return found

    def faithful_gaps(self) -> list[float]:
        """Mixed less greater, at every budget of every task that has both."""
        pairs = (
            self.against([subject.name], "mixed", "greater", tokens)
            for subject in self._subjects
            for tokens in self.faithful_budgets(subject.name)
        )
        return [found.difference.mean for found in pairs if found]


def _is(one: Found, subject: str, way: str) -> bool:
    return one.search.subject == subject and WAYS[one.search.way] is WAYS[way]


def _met(met: bool) -> str:
    return "met" if met else "MISSED"
