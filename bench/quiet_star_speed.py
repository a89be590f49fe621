"""What thoughts cost while decoding: seconds a token of one checkpoint with thoughts off, before every token (exact),
before the gate's share of .15, and amortised over 2 to 12 drafts; one draw at a time and sixteen at once.

All ways take turns on the same questions, round by round; a ratio is one round's seconds a token over those of thoughts
off in the same round. Targets, one draw at a time: exact <= 1.1 x n_ahead times, gated <= 2.4 times, amortised at its
best k <= 2.8 times where at least .90 of the drafts are kept. Prints, too, how many drafts were kept, and the mean
logprob of what exact and amortised say, which must be the same.

    .venv/bin/python bench/quiet_star_speed.py runs/lab-quiet-star/adapter
"""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from figures import Figure, parser, show
from poise.core import Request, Sampling, Thinking, ThinkingMode
from poise.engines.quiet_star_lm import QuietStarLM
from poise.evals.tasks import load_task
from poise.models.quiet_star.files import read_config

TASK, SEED, SHARE = "gsm_symbolic:templates=0-84", 4300, 0.15
DRAFTS = (2, 4, 6, 8, 12)


@dataclass
class Told:
    """What some draws said: tokens, seconds, their logprobs, and of each amortised round how many tokens it kept (but
    of the first: one token, thought about by itself). `rounds` of gated draws begin where they thought."""

    tokens: int = 0
    seconds: float = 0.0
    logprobs: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    @property
    def each(self) -> float:
        """Seconds a token."""
        return self.seconds / self.tokens


def ways(only: str = "") -> dict[str, Thinking]:
    """By name, thoughts off first; `only`: besides that, those that it matches."""
    found = {"exact": Thinking(ThinkingMode.EXACT), f"gated {SHARE}": Thinking(ThinkingMode.GATED, SHARE)}
    found |= {f"amortised {k}": Thinking(ThinkingMode.AMORTISED, drafts=k) for k in DRAFTS}
    return {"off": Thinking()} | {name: way for name, way in found.items() if re.search(only, name)}


async def drawn(engine: QuietStarLM, question: str, way: Thinking, seed: int, tokens: int, told: Told) -> None:
    """One draw; its tokens, logprobs and rounds."""
    sampling = Sampling(0.7, max_tokens=tokens, seed=seed, top_logprobs=0, thinking=way)
    async for delta in engine.stream(Request.ask(question).messages, sampling):
        told.tokens += delta.tokens
        told.logprobs += delta.logprobs
        if delta.thought_tokens:
            told.rounds.append(0)
        if told.rounds:
            told.rounds[-1] += delta.tokens


async def measured(
    engine: QuietStarLM, questions: list[str], way: Thinking, seed: int, tokens: int, abreast: int
) -> Told:
    """All questions, `abreast` at a time."""
    whole = Told()
    for first in range(0, len(questions), abreast):
        parts = [Told() for _ in questions[first : first + abreast]]
        started = time.perf_counter()
        await asyncio.gather(
            *(
                drawn(engine, question, way, seed + first + place, tokens, parts[place])
                for place, question in enumerate(questions[first : first + abreast])
            )
        )
        whole.seconds += time.perf_counter() - started
        for part in parts:
            whole.tokens += part.tokens
            whole.logprobs += part.logprobs
            whole.rounds += part.rounds if way.mode is ThinkingMode.GATED else part.rounds[1:]
    return whole


def kept(rounds: list[int], drafts: int) -> float:
    """The share of judged drafts that were kept: a round of m tokens kept m - 1, and rejected one more unless all."""
    accepted = sum(made - 1 for made in rounds)
    judged = accepted + sum(made <= drafts for made in rounds)
    return accepted / judged if judged else 0.0


async def rounds_of(
    engine: QuietStarLM, asked: list[str], rounds: int, tokens: int, abreast: int, only: str
) -> dict[str, list[Told]]:
    """Every way in every round, the first of which only warms up."""
    told: dict[str, list[Told]] = {name: [] for name in ways(only)}
    for turn in range(rounds + 1):
        for name, way in ways(only).items():
            one = await measured(engine, asked, way, 1000 * turn, tokens, abreast)
            print(f"{abreast} at once, round {turn}, {name}: {one.each:.4f} s a token", file=sys.stderr, flush=True)
            if turn:
                told[name].append(one)
    return told


def figures_of(told: dict[str, list[Told]], abreast: int, n_ahead: int) -> list[Figure]:
    """Ratios to thoughts off."""
    base = [one.each for one in told["off"]]
    found = [Figure(f"thoughts off, {abreast} at once", statistics.median(1 / one for one in base), "tokens/s")]
    bars = {"exact": 1.1 * n_ahead, f"gated {SHARE}": 2.4} if abreast == 1 else {}
    for name, each in told.items():
        if name == "off":
            continue
        ratios = [one.each / off for one, off in zip(each, base, strict=True)]
        ratio, bar = statistics.median(ratios), bars.get(name)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        mean = statistics.fmean(logprob for one in each for logprob in one.logprobs)
        label = f"{name}, {abreast} at once ({spread}; logprob {mean:.3f})"
        found.append(Figure(label, ratio, "x off", f"<= {bar:.2f}" if bar else "", ratio <= bar if bar else None))
        if name.startswith("gated"):
            thought = sum(len(one.rounds) for one in each) / sum(one.tokens for one in each)
            found.append(Figure(f"  tokens thought about, {name}", thought, "share"))
        if name.startswith("amortised"):
            share = kept([made for one in each for made in one.rounds], int(name.split()[1]))
            found.append(Figure(f"  drafts kept, {name}", share, "share"))
    return found


def best(figures: list[Figure]) -> list[Figure]:
    """The cheapest amortised way, one draw at a time, against its target; none where none was asked for."""
    ratios = [each for each in figures if each.name.startswith("amortised") and ", 1 at once" in each.name]
    first = min(ratios, key=lambda each: each.value, default=None)
    if first is None:
        return []
    return [Figure(f"best k: {first.name.split(',')[0]}", first.value, "x off", "<= 2.8", first.value <= 2.8)]


async def compare(folder: Path, rounds: int, tokens: int, widths: list[int], only: str) -> list[Figure]:
    """So many draws at once; one at a time takes four questions, more at once one each."""
    engine = QuietStarLM(str(folder), slots=16, context=512)
    n_ahead = read_config(folder).n_ahead
    found = list[Figure]()
    for abreast in widths:
        asked = [item.question for item in load_task(TASK).items(max(4, abreast), SEED)]
        found += figures_of(await rounds_of(engine, asked, rounds, tokens, abreast, only), abreast, n_ahead)
        found += best(found) if abreast == 1 else []
    await engine.aclose()
    return found


if __name__ == "__main__":
    words = parser(__doc__)
    words.add_argument("folder", type=Path, help="RUN/adapter of a training of thoughts")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--tokens", type=int, default=96, help="of a draw")
    words.add_argument("--ways", default="", help="only those that this matches, besides thoughts off")
    words.add_argument("--abreast", type=int, nargs="+", default=[1, 16], choices=range(1, 17), help="draws at once")
    given = words.parse_args()
    measured_now = asyncio.run(compare(given.folder, given.rounds, given.tokens, given.abreast, given.ways))
    show("Thoughts while decoding", measured_now, given.json)
