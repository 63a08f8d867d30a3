"""A page of results: what was trained, the figures, the tables."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from nalm.analysis.costs import Costs, training_costs
from nalm.analysis.results import Results, load
from nalm.errors import NalmError
from nalm.experiments.catalog import figures_called
from nalm.figures.panels import save, three_panels
from nalm.sweeps.store import Store

__all__ = ["report"]


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
    names = _in_order(store.experiment_names())
    pictures = page.parent / "figures"
    try:
        pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NalmError(f"cannot write {pictures}: {error.strerror}") from None
    sections, files = [_overview(training_costs(store, names))], []
    for name in names:
        results = load(directory, name)
        if results.trained:
            picture = pictures / f"{name}.png"
            save(three_panels(results.task_summary()), picture)
            files.append(picture)
            sections.append(_section(results, f"{pictures.name}/{picture.name}"))
    try:
        page.write_text("\n".join(sections), encoding="utf-8")
    except OSError as error:
        raise NalmError(f"cannot write {page}: {error.strerror}") from None
    return [page, *files]


def _in_order(names: list[str]) -> list[str]:
    """The paper's figures in its order, then the others."""
    known = [name for name in figures_called("all") if name in names]
    return [*known, *(name for name in names if name not in known)]


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


def _section(results: Results, picture: str) -> str:
    experiment, summary = results.experiment, results.summary()
    number = f"Figure {experiment.figure}. " if experiment.figure else ""
    seeds = len(experiment.seeds)
    headers = ["variant", "solved", "success, 95 %", "median iteration", *experiment.tasks]
    return "\n".join(
        [
            f"## {experiment.name}",
            "",
            f"{number}{experiment.title}; `nalm reproduce {experiment.name}`.",
            "",
            f"![{experiment.title}: success rate, iteration solved and sparsity error by range and variant]({picture})",
            "",
            f"How many of {seeds} runs solved each range, and of all runs of a variant:",
            "",
            *_table(headers, list(_variant_rows(summary, list(experiment.tasks)))),
            "",
        ]
    )


def _variant_rows(summary: pd.DataFrame, tasks: list[str]) -> Iterator[list[str]]:
    for variant, rows in summary.groupby("variant", sort=False):
        total = rows[rows["task"].isna()].iloc[0]
        solved = rows.set_index("task")["solved"]
        interval = f"{total.success_rate:.1%} [{total.success_low:.1%}, {total.success_high:.1%}]"
        median = "–" if math.isnan(total.iterations_median) else f"{total.iterations_median:,.0f}"
        cells = [str(solved[task]) if task in solved else "–" for task in tasks]
        yield [str(variant), f"{total.solved}/{total.runs}", interval, median, *cells]


def _table(headers: list[str], rows: list[list[str]]) -> list[str]:
    def line(cells: list[Any]) -> str:
        return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"

    return [line(headers), line(["---"] * len(headers)), *map(line, rows)]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.1f}"
