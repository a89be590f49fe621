"""Reports of optimisations (`poise tune`): the page, the picture of the front, and TensorBoard files."""

from __future__ import annotations

from pathlib import Path


def write(run: Path, out: Path, *, html: bool = True, png: bool = True, tensorboard: bool = True) -> list[Path]:
    """Write the report of an optimisation into `out`: report.html, frontier.png where a prompt was judged, and
    tensorboard/. Returns what was written.

    Raises DataError for an unreadable run, ConfigError where a package of the extra `report` is missing, StoreError
    where the disk refuses; what was there then stays whole, event files aside."""
    from poise.report.tuning.read import read_tuning

    tuning, written = read_tuning(run), []
    out.mkdir(parents=True, exist_ok=True)
    if html:
        from poise.report.tuning.page import write_html

        written.append(write_html(tuning, out / "report.html"))
    if png and tuning.measured:
        from poise.report.tuning.png import write_png

        written += write_png(tuning, out / "frontier.png")
    if tensorboard:
        from poise.report.tuning.tensorboard import write_tensorboard

        written.append(write_tensorboard(tuning, out / "tensorboard"))
    return written
