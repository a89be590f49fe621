"""What is compared: systems, their arms, the settings they are run in, and the comparisons named beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class System:
    """A system and how it is run: its script, and the file of what its virtual environment holds (None: ours)."""

    name: str
    script: str
    requirements: tuple[str, ...] = ()
    without_dependencies: str = ""


@dataclass(frozen=True)
class Arm:
    """One way of spending compute by one system. `in_settings`: empty means all. `seeds`: how many of a setting's seeds
    it is run with (0: all); one for the slow ones that no target is about."""

    name: str
    system: str
    method: str
    n: int
    in_settings: tuple[str, ...] = ()
    seeds: int = 0


@dataclass(frozen=True)
class Setting:
    """What all arms are given alike. `slots` of the upstream, 0: any number; `parallel`: questions at once."""

    name: str
    about: str
    parallel: int
    questions: int
    seeds: tuple[int, ...]
    pattern: str
    slots: int = 0
    temperature: float = 1.0  # optillm's self-consistency and best-of-n know no other
    max_tokens: int = 256
    task: str = ""


@dataclass(frozen=True)
class Pair:
    """Ours against theirs, and what was to be reached: wall of theirs over ours (`faster`), share of their executed
    tokens (`tokens`); accuracy not worse by MARGIN. No target: told all the same."""

    ours: str
    theirs: str
    faster: float | None = None
    tokens: float | None = None
    noninferior: bool = False
    faster_in: tuple[str, ...] = field(default=())


SYSTEMS = {
    "Poise": System("Poise", "poise_arms.py"),
    "its-hub": System("its-hub", "peer_its_hub.py", ("requirements-its-hub.txt",)),
    "optillm": System("optillm", "peer_optillm.py", ("requirements-optillm.txt",), "optillm==0.4.0"),
    "ThinkBooster": System(
        "ThinkBooster",
        "peer_thinkbooster.py",
        ("requirements-thinkbooster.txt",),
        "thinkbooster==0.1.1 lm-polygraph==0.7.0",
    ),
    "crucible": System("crucible", "peer_crucible.py", ("requirements-crucible.txt",)),
}
BOXED = r"\\boxed\{([^}]+)\}"
SETTINGS = {
    "idle": Setting("idle", "any number of sequences at once; 8 questions at once", 8, 300, (0, 1, 2), BOXED),
    "busy": Setting("busy", "16 sequences at once; 24 questions at once", 24, 300, (0, 1, 2), BOXED, 16),
    "embedded": Setting(
        "embedded",
        "the default model under llama.cpp, 16 slots; 4 questions at once",
        4,
        60,
        (0,),
        r"####\s*(-?[\d.,]+)",
        task="gsm_symbolic:templates=0-84",
    ),
}
MOCK = ("idle", "busy")
EMBEDDED_SEED = 5_000  # items that the adapter was not trained on: new numbers of templates it knows
ARMS = (
    Arm("Poise SC 5", "Poise", "self_consistency:n={n},prompt=bare", 5),
    Arm("Poise SC 8", "Poise", "self_consistency:n={n},prompt=bare", 8, MOCK),
    Arm("Poise SC 32", "Poise", "self_consistency:n={n},prompt=bare", 32, ("idle",)),
    Arm("Poise BoN 3", "Poise", "best_of_n:n={n},scorer=mean_logprob,prompt=bare", 3),
    Arm("Poise adaptive 32", "Poise", "adaptive_consistency:n={n},rule=beta,bar=0.95,prompt=bare", 32),
    Arm(
        "Poise adaptive 32, slack 4",
        "Poise",
        "adaptive_consistency:n={n},rule=beta,bar=0.95,slack=4,prompt=bare",
        32,
        seeds=1,
    ),
    Arm("Poise adaptive 20", "Poise", "adaptive_consistency:n={n},rule=beta,bar=0.95,prompt=bare", 20),
    Arm("Poise weighted 8", "Poise", "weighted_vote:n={n},scorer=mean_logprob,prompt=bare", 8),
    Arm("its-hub SC 32", "its-hub", "self_consistency", 32, ("idle",)),
    Arm("its-hub SC 32, unlimited", "its-hub", "self_consistency/unlimited", 32, ("idle",)),
    Arm("its-hub Adaptive 32", "its-hub", "adaptive", 32),
    Arm("its-hub Beta 32", "its-hub", "beta/each", 32),
    Arm("its-hub Beta 32, shared", "its-hub", "beta", 32, MOCK, seeds=1),
    Arm("its-hub Beta 32, unlimited", "its-hub", "beta/unlimited", 32, MOCK, seeds=1),
    Arm("its-hub BoN 3 + judge", "its-hub", "best_of_n", 3, MOCK),
    Arm("optillm SC 5", "optillm", "self_consistency", 5),
    Arm("optillm bon 3", "optillm", "bon", 3),
    Arm("optillm majority 8", "optillm", "majority_voting", 8, MOCK),
    Arm("ThinkBooster SC 5", "ThinkBooster", "self_consistency", 5, MOCK, seeds=1),
    Arm("ThinkBooster SC 5, events", "ThinkBooster", "self_consistency/events", 5, MOCK, seeds=1),
    Arm("crucible best-of-8, majority", "crucible", "best_of_n", 8, MOCK, seeds=1),
)
# The margin that n = 900 pairs (300 questions, three seeds of other questions) support at a share of .05 of discordant
# pairs: sqrt(6.18 x .05 / 900) = .019. Stated before anything was measured; both rules worked out on other seeds' draws
# gave a share of .02.
MARGIN, SUPPOSED_DISCORDANT = 0.02, 0.05
PAIRS = (
    Pair("Poise SC 5", "optillm SC 5", faster=3.0),
    Pair("Poise BoN 3", "optillm bon 3", faster=3.0),
    Pair("Poise SC 8", "optillm majority 8"),
    Pair("Poise adaptive 32", "its-hub Beta 32", faster=1.0, tokens=0.55, noninferior=True, faster_in=("busy",)),
    Pair("Poise adaptive 20", "its-hub Beta 32", faster=1.0, tokens=0.55, noninferior=True, faster_in=("busy",)),
    Pair("Poise weighted 8", "its-hub Beta 32", faster=1.0, tokens=0.55, noninferior=True, faster_in=("busy",)),
    Pair("Poise adaptive 32", "its-hub Beta 32, unlimited"),
    Pair("Poise adaptive 32, slack 4", "its-hub Beta 32"),
    Pair("Poise adaptive 32", "its-hub Adaptive 32"),
    Pair("Poise SC 32", "its-hub SC 32, unlimited"),
    Pair("Poise BoN 3", "its-hub BoN 3 + judge"),
    Pair("Poise SC 5", "ThinkBooster SC 5"),
    Pair("Poise SC 5", "ThinkBooster SC 5, events"),
    Pair("Poise SC 8", "crucible best-of-8, majority"),
)
