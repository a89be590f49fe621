"""What was found, as Markdown: a table or two for each experiment, and the targets that were named beforehand."""

from __future__ import annotations

from collections.abc import Sequence

from findings import Findings, choice, oracle
from pairs import PAIRED, on_test, pair, quoted, ratio, share, table, tail
from running import TEST, has_room
from shortlists import Shortlists
from ways import MODELS, Subject

from poise.records import Json

SHORTER, LEVEL = 0.75, 0.05
"""Of the tokens: what a prompt for shorter answers has to come down to; and of every test."""


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
        self._first = Shortlists(findings, subjects)

    def markdown(self) -> str:
        """All of them."""
        parts = (*self._first.markdown(), self.shorter(), self.chosen(), self.transferred(), self.targets())
        return "\n".join(part for part in parts if part)

    def shorter(self) -> str:
        """E2 and E3: TEST of the shortest prompt that DEV shows to lose less than the margin."""
        rows = []
        for experiment in ("E2", "E3"):
            for one in self._all.of(experiment):
                prompt = one.brief(self._margin)
                told = on_test(self._all, one, prompt)
                if told:
                    said = quoted(prompt) if prompt != one.initial else "the initial prompt"
                    name = f"{experiment} {one.search.subject}, {one.search.way} : initial; {said}"
                    spent = [str(len(one.steps)), f"{one.spent:,}", str(told[2].n)]
                    rows.append([name, *spent, share(told[0]), share(told[1]), *tail(told[2], self._margin)])
        heads = ("it : the other", "steps", "tokens", "n", "it, %", "the other, %", *PAIRED, "p of inferior")
        about = (
            f"The shortest prompt that DEV shows to lose less than {100 * self._margin:.0f} points; margin named for"
        )
        about = f"{about} n = {self._all.sizes.test}."
        return table("E2, E3: shorter answers, TEST", heads, [*rows, *self.losses()], about)

    def losses(self) -> list[list[str]]:
        """E2: the prompt that was found with the stop term against the one that was found without."""
        rows, ended = [], {(one.search.subject, one.search.way): one for one in self._all.of("E2")}
        for subject in self._subjects:
            both = [ended.get((subject.name, way)) for way in ("stop-term", "read-off")]
            told = [
                self._all.test(one.search.model, subject.name, one.brief(self._margin))
                for one in both
                if one is not None
            ]
            known = [each for each in told if each is not None]
            if len(known) == 2:
                found = pair(known[0], known[1], self._all.clusters(subject.name, TEST))
                cells = ["", "", str(found.n), share(known[0]), share(known[1]), *tail(found, self._margin)]
                rows.append([f"E2 {subject.name}, stop-term : read-off", *cells])
        return rows

    def chosen(self) -> str:
        """E4: the front, and a choice per question, beside the best single prompt."""
        rows = []
        for subject in self._subjects:
            front = self._all.front(subject)
            told = [self._all.test(subject.model, subject.name, one.name) for one in front]
            known = [each for each in told if each is not None]
            again = self._all.test(subject.model, subject.name, front[0].name, 1) if front else None
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
                told = on_test(self._all, one, one.strongest, model)
                if told:
                    shown = "" if one.shown else " (no gain shown)"
                    where = f"found on {one.search.model}{shown}, asked of {model}"
                    name = f"{one.search.subject}, {where}: {quoted(one.strongest)}"
                    rows.append([name, str(told[2].n), share(told[1]), share(told[0]), *tail(told[2])])
        return table("E5: transfer, TEST", ("prompt", "n", "initial, %", "it, %", *PAIRED), rows)

    def targets(self) -> str:
        """What was named beforehand."""
        gained, brief = self._first.gained(), self.brief()
        rows = []
        if self._all.of("E1"):
            told = ", ".join(gained) or "none"
            rows.append(["mixed: DEV gain with a lower bound above 0", "2 tasks or more", told, _met(len(gained) >= 2)])
        if self._all.of("E2") or self._all.of("E3"):
            wanted = f"1 task or more, not inferior by {100 * self._margin:.0f} points"
            told = ", ".join(brief) or "none"
            rows.append(["TEST: 25 % fewer new tokens", wanted, told, _met(bool(brief))])
        gaps = self._first.faithful_gaps()
        if gaps:
            told = f"{sum(gap > 0 for gap in gaps)} of {len(gaps)}"
            wanted = "every budget from two steps of greater on"
            rows.append(["DEV: mixed above greater", wanted, told, _met(all(gap > 0 for gap in gaps))])
        return table("Targets named beforehand", ("figure", "target", "found", "met"), rows)

    def brief(self) -> list[str]:
        """Searches for shorter answers that reach the target."""
        found = []
        for one in (*self._all.of("E2"), *self._all.of("E3")):
            told = on_test(self._all, one, one.brief(self._margin))
            if told and told[2].tokens.mean <= SHORTER and told[2].inferior(self._margin) < LEVEL:
                found.append(f"{one.search.subject}, {one.search.way}: {ratio(told[2].tokens)}")
        return found


def _met(met: bool) -> str:
    return "met" if met else "MISSED"
