"""Edits, races and verdicts of an optimisation in words."""

from __future__ import annotations

from poise.report import words
from poise.report.tuning.picks import Contest
from poise.report.tuning.read import Step, Tried, Tuning
from poise.report.words import Verdict
from poise.tune.shortlist import Kind

_DID = {Kind.DELETE: "left out", Kind.STOP: "and all behind it left out"}
_CHIP = {Kind.DELETE: "∅", Kind.STOP: "∅ …"}


def token(step: Step) -> str | None:
    """The token that a step tried to change, quoted; None where it is not known."""
    if step.place is None or not 0 <= step.place < len(step.tokens):
        return None
    return _quoted(step.tokens[step.place])


def put(step: Step, each: Tried) -> str | None:
    """What an edit put in place of that token; None where it is not known."""
    if step.place is None or token(step) is None:
        return None
    before, behind = "".join(step.tokens[: step.place]), "".join(step.tokens[step.place + 1 :])
    start, end = len(before), len(each.prompt) - len(behind)
    whole = start <= end and each.prompt.startswith(before) and each.prompt.endswith(behind)
    return each.prompt[start:end] if whole else None


def edit(step: Step, each: Tried) -> str:
    """An edit in a few words: what stood there, and what was tried instead."""
    old, new = token(step), put(step, each)
    if old is None:
        return words.cut(each.prompt, 88)
    if each.kind in _DID:
        return f"{old} {_DID[each.kind]}"
    return f"{old} replaced" if new is None else f"{old} → {_quoted(new)}"


def chip(step: Step, each: Tried) -> str:
    """The same in a word or two, for where the token is named already."""
    if each.kind in _CHIP:
        return _CHIP[each.kind]
    new = put(step, each)
    return words.cut(each.prompt if new is None else _shown(new), 24) or "·"


def standing(each: Tried) -> str:
    """How an edit did in its race: rows that it alone got right, and rows that only the prompt at hand did."""
    race = each.standing
    return f"{race.wins}:{race.losses} of {race.rows} rows"


def outcome(tuning: Tuning) -> tuple[Verdict | None, str]:
    """What came of it, worded the same whichever way it falls; no verdict where there is no result yet."""
    ended = tuning.ended
    if ended is None:
        return None, "Unfinished: whether anything is gained is not known yet."
    n = len(tuning.measured[0].right) if tuning.measured else len(tuning.settings.get("judge", ()))
    gain = f"{words.points(ended.gain.mean)} points {words.bracket(ended.gain, 100)}, n = {n}"
    if ended.shown:
        verdict, told = Verdict.BETTER, f"A gain is shown: {gain}, on questions that no step has seen."
    else:
        told = f"No gain is shown: the most accurate finalist is {gain}, on questions that no step has seen. The prompt"
        verdict, told = Verdict.OPEN, f"{told} stays as it was."
    others = sum(one.name != tuning.initial for one in tuning.measured)
    return verdict, told + (f" It is the best of {others}, which flatters it a little." if others > 1 else "")


def control(found: Contest | None, by: str) -> tuple[Verdict | None, str]:
    """Whether one source of edits did better than the other; no verdict where they never met."""
    if found is None:
        return None, f"No step raced picks of the gradient against picks at random ({by}): nothing is told of either."
    first, second, gap = found.first.value, found.second.value, found.difference
    spread = f" {words.bracket(gap, 100)}" if found.steps > 1 else ""
    told = (
        f"In {_steps(found.steps)} that raced both, picks of the {first} gained {words.points(gap.mean)} points"
        f"{spread} over {second} ones (signs of steps flipped, p {words.probability(found.p_value)})."
    )
    if found.decided:
        told += (
            f" Of the {found.decided} that one of them won, the {first} won {found.won}; "
            f"chance alone would give it {found.chance:.1f}."
        )
    else:
        told += " None of these was won by either."
    if not found.shown:
        return Verdict.OPEN, f"{told} It is not shown that the {first} chooses better than chance."
    verdict = Verdict.BETTER if gap.mean > 0 else Verdict.WORSE
    return verdict, f"{told} The {first} chooses {'better' if gap.mean > 0 else 'worse'} than chance here."


def _steps(n: int) -> str:
    return "1 step" if n == 1 else f"{n:,} steps"


def _quoted(token: str) -> str:
    return f"“{_shown(token)}”"


def _shown(token: str) -> str:
    """A token without the space around it, on one line."""
    return words.clean(token.strip() or token).replace("\n", "⏎")
