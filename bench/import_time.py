"""How long `import poise` and `poise --help` take, beside a Python that does nothing.

Fresh interpreters, one after the other in turn, so that a busy moment of the machine falls on all of them; medians.
The first round fills the file cache and is not counted. Targets: import < 150 ms, help < 400 ms.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from figures import Figure, parser, show

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import poise": ["-c", "import poise"],
    "poise --help": ["-m", "poise", "--help"],
}


def timed(arguments: list[str]) -> float:
    """Milliseconds of one fresh interpreter."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=10)
    options = arguments.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for counted in range(-1, options.rounds):
        for name, command in COMMANDS.items():
            taken = timed(command)
            if counted >= 0:
                times[name].append(taken)
    bare, whole, help_text = (statistics.median(times[name]) for name in COMMANDS)
    figures = [
        Figure("python -c pass", bare, "ms"),
        Figure("import poise, the whole process", whole, "ms", "< 150", whole < 150),
        Figure("import poise, net", whole - bare, "ms"),
        Figure("poise --help, the whole process", help_text, "ms", "< 400", help_text < 400),
    ]
    show(f"Import time, median of {options.rounds}", figures, options.json)


if __name__ == "__main__":
    main()
