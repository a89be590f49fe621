"""Edits, races and verdicts of an optimisation in words."""

from __future__ import annotations

from dataclasses import dataclass

from poise.evals.stats import wilson
from poise.report import words
from poise.report.tuning.lineage import between, kept, place_of
from poise.report.tuning.lineage import words as cut
from poise.report.tuning.picks import Contest, contest
from poise.report.tuning.read import Step, Tried, Tuning
from poise.report.words import Verdict
from poise.tune.generate import AT_ONCE
from poise.tune.pick import Wish
from poise.tune.shortlist import Kind

_SURE = 0.05
_WISHED = {
    Wish.BEST: "the most accurate one with a gain that is shown, or else the prompt to begin with",
    Wish.KNEE: "where more tokens begin to buy little",
    Wish.MAX_DROP: "the shortest that is shown to lose less than {points} points",
    Wish.LATENCY: "the most accurate of those with 95 % of their answers within {seconds} s, "
    f"drawn up to {AT_ONCE} at once (alone they may take less)",
}
_WON = {
    Verdict.BETTER: ("more races won", "The {} wins more races than chance."),
    Verdict.WORSE: ("fewer races won", "The {} wins fewer races than chance."),
    Verdict.OPEN: ("no difference shown", "That the {} wins more races than chance is not shown."),
}
_GAINED = {
    Verdict.BETTER: ("larger gains", "Edits of the {} gain more."),
    Verdict.WORSE: ("smaller gains", "Edits of the {} gain less."),
    Verdict.OPEN: ("no difference shown", "That edits of the {} gain more is not shown."),
}


def token(step: Step) -> str | None:
    """The token that a step tried to change, quoted; None where it is not known."""
    if step.tokens and step.place == len(step.tokens):
        return "the end"
    if step.place is None or not 0 <= step.place < len(step.tokens):
        return None
    return _quoted(step.tokens[step.place])


def change(step: Step, each: Tried) -> tuple[list[str], str]:
    """The tokens (words, where those were not recorded) that an edit took out, and what it put in."""
    whole = "".join(step.tokens) == step.before
    texts = list(step.tokens) if whole else cut(step.before)
    first, last = kept(texts, each.prompt, place_of(step, each, texts))
    return texts[first : len(texts) - last], between(texts, each.prompt, first, last)


def edit(step: Step, each: Tried) -> str:
    """An edit in a few words: what stood there, and what was tried instead."""
    if each.prompt == step.before:
        return "as it was"
    out, put = change(step, each)
    old, new = _quoted("".join(out)), _quoted(put)
    return f"{old} → {new}" if out and put else f"{old} left out" if out else f"{new} put in"


def chip(step: Step, each: Tried) -> str:
    """The same in a word or two, for where the token is named already."""
    out, put = change(step, each)
    if each.prompt == step.before:
        return "="
    if each.kind is Kind.NUMBER:
        return f"{_shown(''.join(out))} → {_shown(put)}"
    if each.kind is Kind.CUT and not put:
        return f"∅ {_shown(''.join(out))}"
    if put and not out:
        return f"+ {_shown(put)}"
    return _shown(put) if put else "∅" if len(out) < 2 else "∅ …"


def standing(each: Tried) -> str:
    """How an edit did in its race: rows that it alone got right, and rows that only the prompt at hand did; and how
    many tokens a row that one took, and it."""
    race = each.standing
    sizes = f", {words.count(each.against)} → {words.count(each.tokens)} tokens" if each.against else ""
    return f"{race.wins}:{race.losses} of {race.rows} rows{sizes}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is seen, worded the same whichever way it falls; no verdict where nothing can be told."""

    label: str
    verdict: Verdict | None
    sentence: str


def ended(tuning: Tuning) -> list[Finding]:
    """What came of it: the gain, what was picked, and the test."""
    return [outcome(tuning), *picked(tuning), *tested(tuning)]


def outcome(tuning: Tuning) -> Finding:
    """Whether anything was gained."""
    ended = tuning.ended
    if ended is None:
        return Finding("unfinished", None, "Whether anything is gained is not known yet.")
    n = len(tuning.measured[0].right) if tuning.measured else len(tuning.settings.get("judge", ()))
    gain = f"{words.points(ended.gain.mean)} points {words.bracket(ended.gain, 100)}, n = {n}"
    gain += "" if ended.p is None else f", p {words.probability(ended.p)}"
    others = sum(one.name != tuning.initial for one in tuning.measured)
    among = f" It is the best of {others}; interval and p allow for it." if others > 1 and ended.p is not None else ""
    if ended.shown:
        told = f"A gain is shown: {gain}, on questions that no step has seen.{among}"
        return Finding("gain shown", Verdict.BETTER, told)
    if not others:
        return Finding("no gain shown", Verdict.OPEN, "No edit was accepted, so the prompt stays as it was.")
    told = f"No gain is shown: the most accurate finalist is at {gain}, on questions that no step has seen.{among}"
    stays = " The prompt stays as it was." if ended.picked == tuning.initial else ""
    return Finding("no gain shown", Verdict.OPEN, f"{told}{stays}")


def tested(tuning: Tuning) -> list[Finding]:
    """What the picked prompt is worth on questions that nothing was chosen by, where there was a test."""
    test = tuning.ended.test if tuning.ended else None
    if test is None:
        return []
    shares = f"{words.percent(test.after)} right, {words.percent(test.before)} with the prompt to begin with"
    gain = f"{words.points(test.gain.mean)} points {words.bracket(test.gain, 100)}, p {words.probability(test.p)}"
    verdict = Verdict.BETTER if test.gain.low > 0 else Verdict.WORSE if test.gain.high < 0 else Verdict.OPEN
    told = f"Asked once, of {test.n:,} questions that nothing was learnt from or chosen by: {shares}: {gain}."
    return [Finding("test", verdict, told)]


def picked(tuning: Tuning) -> list[Finding]:
    """What the prompt file has and by what rule, where length was an objective or another rule than the best was."""
    ended, short = tuning.ended, tuning.settings.get("step", {}).get("shorter")
    if ended is None or ended.pick is None or (ended.pick.wish is Wish.BEST and not short):
        return []
    rule = _WISHED[ended.pick.wish].format(points=f"{100 * ended.pick.number:g}", seconds=f"{ended.pick.number:g}")
    told = f"The prompt file has “{tuning.name(ended.picked)}”, by the rule {ended.pick.told()}: {rule}."
    sizes = {one.name: one.cost for one in tuning.measured}
    if ended.picked != tuning.initial and {ended.picked, tuning.initial} <= sizes.keys():
        before, after = (words.count(sizes[name]) for name in (tuning.initial, ended.picked))
        told += f" Its answers take {after} tokens in the mean, those of the prompt to begin with {before}."
    return [Finding("picked", None, told)]


def control(tuning: Tuning) -> list[Finding]:
    """Whether the gradient's picks won more races than picks at random, and whether they gained more."""
    found = contest(tuning.steps)
    if found is None:
        by = words.clean(str(tuning.settings.get("step", {}).get("by", "not told")))
        told = f"No step raced picks of the gradient against picks at random (edits were chosen by: {by})."
        return [Finding("not compared", None, f"{told} Neither is shown to be better.")]
    return [_won(found), _gained(found)]


def _won(found: Contest) -> Finding:
    first, second = found.first.value, found.second.value
    if not found.decided:
        return Finding("no race won", None, f"No race was won by a {first} or a {second} pick.")
    share = wilson(found.won, found.decided)
    told = (
        f"Of {_counted(found.decided, 'race')} that either won, the {first} won {found.won} "
        f"({words.percent(share.mean)} {words.bracket(share, 100)}); chance alone would give it {found.chance:.1f} "
        f"(exact p {words.probability(found.won_p)})."
    )
    verdict = _verdict(found.won_p, found.won - found.chance)
    label, said = _WON[verdict]
    return Finding(label, verdict, f"{told} {said.format(first)}")


def _gained(found: Contest) -> Finding:
    first, second, gap = found.first.value, found.second.value, found.difference
    spread = f" {words.bracket(gap, 100)}" if found.steps > 1 else ""
    told = (
        f"In {_counted(found.steps, 'step')} that raced both, an edit of the {first} gained "
        f"{words.points(gap.mean)} points{spread} against a {second} one, winner or not "
        f"(signs of steps flipped, p {words.probability(found.difference_p)})."
    )
    verdict = _verdict(found.difference_p, gap.mean)
    label, said = _GAINED[verdict]
    return Finding(label, verdict, f"{told} {said.format(first)}")


def _verdict(p_value: float, gap: float) -> Verdict:
    if p_value >= _SURE or gap == 0:
        return Verdict.OPEN
    return Verdict.BETTER if gap > 0 else Verdict.WORSE


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' if n != 1 else ''}"


def _quoted(text: str) -> str:
    return f"“{_shown(text, 88)}”"


def _shown(text: str, most: int = 24) -> str:
    """Text without the space around it, on one line of at most so many characters."""
    line = words.clean(text.strip() or text).replace("\n", "⏎")
    return line if len(line) <= most else f"{line[: most - 1]}…"
