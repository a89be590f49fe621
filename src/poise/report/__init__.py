"""Reports: read run directories and traces, nothing else."""

from __future__ import annotations

from pathlib import Path


def write(
    run: Path, out: Path | None = None, *, html: bool = True, png: bool = True, tensorboard: bool = True
) -> list[Path]:
    """Write the report of a run directory into `out` (by default the run directory itself). Of a benchmark:
    report.html, frontier.png, scaling.png where some strategy was run at two budgets, and tensorboard/<arm>/; of an
    optimisation: report.html, frontier.png where a prompt was judged, and tensorboard/. Returns what was written.

    Raises DataError for an unreadable run, ConfigError where a package of the extra `report` is missing, StoreError
    where the disk refuses; what was there then stays whole, event files aside."""
    from poise.report.read import read
    from poise.report.scaling import scalings
    from poise.report.tuning.read import is_tuning

    if is_tuning(run):
        from poise.report.tuning import write as write_tuning

        return write_tuning(Path(run), Path(run) if out is None else out, html=html, png=png, tensorboard=tensorboard)
    reading = read(run)
    scaled = scalings(reading) if html or png else []
    folder = Path(run) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if html:
        from poise.report.html import write_html

        written.append(write_html(reading, folder / "report.html", scaled))
    if png:
        from poise.report.png import write_png, write_scaling_png

        written.append(write_png(reading, folder / "frontier.png"))
        written += [write_scaling_png(reading, folder / "scaling.png", scaled)] if scaled else []
    if tensorboard:
        from poise.report.tensorboard import write_tensorboard

        written.append(write_tensorboard(reading, folder / "tensorboard"))
    return written
