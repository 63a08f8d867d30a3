"""A page of results: what was trained, the figures, the tables, and what is published."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from nalm.analysis.comparison import NOTHING_PUBLISHED, compare
from nalm.analysis.costs import Costs, training_costs
from nalm.analysis.publications import published_numbers
from nalm.analysis.results import Results, load
from nalm.errors import NalmError
from nalm.experiments.catalog import figures_called
from nalm.figures.panels import save, three_panels
from nalm.sweeps.store import Store

__all__ = ["report"]

Part = tuple[str, list[Path]]
"""Text of a section, and its pictures."""

COMPUTED_TITLES = {
    "figure-5": "Figure 5. Test error of gold weights, for inputs that come ever closer to 0",
    "figure-9": "Figure 9. Loss landscapes of seven modules",
}


def report(directory: Path | str, output: Path | str) -> list[Path]:
    """Writes a page (Markdown) of everything in a results directory, with its figures in ``figures/`` beside it.

    Returns:
        The files written, the page first.

    Raises:
        NalmError: there are no results, a file cannot be written, its suffix is another, or plotnine is not installed.
    """
    page, store = Path(output), Store.existing(directory)
    if page.suffix != ".md":
        raise NalmError(f"found {page.suffix or 'no suffix'!r} in {page}, expected .md")
    paper = figures_called("all")
    trained = store.experiment_names()
    names = [*paper, *(name for name in trained if name not in paper)]
    overview = _overview(training_costs(store, [name for name in names if name in trained]))
    try:
        pictures = page.parent / "figures"
        pictures.mkdir(parents=True, exist_ok=True)
        parts = [
            _computed(name, Path(directory), pictures)
            if name in COMPUTED_TITLES
            else _trained(load(directory, name), Path(directory), pictures)
            for name in names
            if name in COMPUTED_TITLES or name in trained
        ]
        page.write_text("\n".join([overview, *(text for text, _ in parts)]), encoding="utf-8")
    except OSError as error:
        raise NalmError(f"cannot write {page}: {error.strerror}") from None
    return [page, *(path for _, drawn in parts for path in drawn)]


def _overview(costs: Costs) -> str:
    rows = [
        [
            f"[{row['experiment']}](#{row['experiment']})",
            f"{row['runs']:,}",
            f"{row['new']:,}",
            _minutes(row["core_seconds"]),
        ]
        for row in costs.experiments.to_dict(orient="records")
    ]
    versions = ", ".join(f"{name} {version}" for name, version in costs.versions.items())
    return "\n".join(
        [
            "# Results",
            "",
            f"Trained in {_minutes(costs.wall_seconds)} minutes, in which workers of one thread spent "
            f"{_minutes(costs.core_seconds)}; with {versions}. A run that several experiments share is trained once, "
            "and counted as new in the first of them.",
            "",
            *_table(["experiment", "runs", "new", "minutes of one core"], rows),
            "",
        ]
    )


def _computed(name: str, directory: Path, pictures: Path) -> Part:
    """A figure for which nothing is trained, if it was reproduced into the directory."""
    drawn = [Path(shutil.copy(path, pictures)) for path in sorted(directory.glob(f"{name}*.png"))]
    if not drawn:
        return "", []
    images = [f"![{COMPUTED_TITLES[name]}](figures/{path.name})\n" for path in drawn]
    return "\n".join([f"## {name}", "", f"{COMPUTED_TITLES[name]}; `nalm reproduce {name}`.", "", *images]), drawn


def _trained(results: Results, directory: Path, pictures: Path) -> Part:
    """An experiment, if any of its runs are there."""
    if not results.trained:
        return "", []
    experiment, summary = results.experiment, results.summary()
    picture = pictures / f"{experiment.name}.png"
    save(three_panels(results.task_summary()), picture)
    number = f"Figure {experiment.figure}. " if experiment.figure else ""
    headers = ["variant", "solved", "success, 95 %", "median iteration", *experiment.tasks]
    alt = f"{experiment.title}: success rate, iteration solved and sparsity error by range and variant"
    lines = [
        f"## {experiment.name}",
        "",
        f"{number}{experiment.title}; `nalm reproduce {experiment.name}`.",
        "",
        f"![{alt}](figures/{picture.name})",
        "",
        f"So many runs of a variant solved their task, and of {len(experiment.seeds)} for each range:",
        "",
        *_table(headers, list(_variant_rows(summary, list(experiment.tasks)))),
        "",
        *_comparison(experiment.name, directory),
    ]
    return "\n".join(lines), [picture]


def _comparison(experiment: str, directory: Path | str) -> list[str]:
    """Ours beside what is published of an experiment, if anything is."""
    if all(record.experiment != experiment for record in published_numbers()):
        return []
    table = compare(directory, experiment)
    rows = [
        [
            str(row["variant"]),
            row["task"] if isinstance(row["task"], str) else "all",
            f"{row['solved']}/{row['runs']}",
            f"{row['published_solved']}/{row['published_runs']} [{row['provenance']}]",
            _percent(row["difference"], row["difference_low"], row["difference_high"]),
            str(row["verdict"]),
        ]
        for row in table[table["verdict"] != NOTHING_PUBLISHED].to_dict(orient="records")
    ]
    headers = ["variant", "range", "ours", "published", "difference, 95 %", "verdict"]
    return ["Beside what is published:", "", *_table(headers, rows), ""] if rows else []


def _percent(value: float, low: float, high: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%} [{low:.1%}, {high:.1%}]"


def _variant_rows(summary: pd.DataFrame, tasks: list[str]) -> Iterator[list[str]]:
    for variant, rows in summary.groupby("variant", sort=False):
        total = rows[rows["task"].isna()].iloc[0]
        solved = rows.set_index("task")["solved"]
        interval = _percent(total.success_rate, total.success_low, total.success_high)
        median = "–" if math.isnan(total.iterations_median) else f"{total.iterations_median:,.0f}"
        cells = [str(solved[task]) if task in solved else "–" for task in tasks]
        yield [str(variant), f"{total.solved}/{total.runs}", interval, median, *cells]


def _table(headers: list[str], rows: list[list[str]]) -> list[str]:
    def line(cells: list[Any]) -> str:
        return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"

    return [line(headers), line(["---"] * len(headers)), *map(line, rows)]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.1f}"
