"""A page of results: what was trained, the figures, the tables, and what is published."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from nalm.analysis.comparison import NOTHING_PUBLISHED, compare, published_text
from nalm.analysis.costs import Costs, training_costs
from nalm.analysis.publications import PROVENANCE, published_numbers
from nalm.analysis.results import Results, load
from nalm.errors import NalmError
from nalm.experiments.catalog import COMPUTED_FIGURES, figures_called, in_the_papers_order
from nalm.experiments.experiment import Experiment
from nalm.figures.panels import three_panels
from nalm.figures.style import save
from nalm.sweeps.store import Store

__all__ = ["report"]

Part = tuple[str, list[Path]]
"""Text of a section, and its pictures."""


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
    names = in_the_papers_order([*store.experiment_names(), *COMPUTED_FIGURES])
    overview = _overview(store, [name for name in names if name not in COMPUTED_FIGURES])
    try:
        pictures = page.parent / "figures"
        pictures.mkdir(parents=True, exist_ok=True)
        parts = [
            _computed(name, Path(directory), pictures)
            if name in COMPUTED_FIGURES
            else _trained(load(directory, name), Path(directory), pictures)
            for name in names
        ]
        page.write_text("\n".join([overview, *(text for text, _ in parts)]), encoding="utf-8")
    except OSError as error:
        raise NalmError(f"cannot write {page}: {error.strerror}") from None
    return [page, *(path for _, drawn in parts for path in drawn)]


def _overview(store: Store, names: list[str]) -> str:
    costs = training_costs(store, names)
    paper = [name for name in figures_called("all") if name in names]
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
            f"This page: `nalm report`. Made with {versions}. A run that several experiments share is trained once, "
            "and counted as new in the first of them.",
            "",
            *(
                [f"Figures of the paper (`nalm reproduce all`): {_spent(training_costs(store, paper))}."]
                if paper
                else []
            ),
            f"Everything: {_spent(costs)}.",
            "",
            *_table(["experiment", "runs", "new", "minutes of one core"], rows),
            "",
        ]
    )


def _spent(costs: Costs) -> str:
    wall, cores = _minutes(costs.wall_seconds), _minutes(costs.core_seconds)
    return f"trained in {wall} minutes, {cores} minutes of one core"


def _computed(name: str, directory: Path, pictures: Path) -> Part:
    """A figure for which nothing is trained, if it was reproduced into the directory."""
    drawn = [Path(shutil.copy(path, pictures)) for path in sorted(directory.glob(f"{name}*.png"))]
    if not drawn:
        return "", []
    number, title = name.removeprefix("figure-"), COMPUTED_FIGURES[name]
    lines = [f"## {name}", "", f"Figure {number}. {title}; `nalm reproduce {name}`.", ""]
    for path in drawn:
        lines += [f"![{title}](figures/{path.name})", ""]
    if name == "figure-5":
        lines += _gold_errors(directory / f"{name}.csv")
    return "\n".join(lines), drawn


def _gold_errors(path: Path) -> list[str]:
    """The errors, and how far they are at most from what was published."""
    table = pd.read_csv(path)
    ranges = list(table["range"].unique())
    rows = [
        [
            str(module),
            str(task),
            *(f"{error:.3g}" for error in cells.set_index("range")["error"][ranges]),
            f"{cells['relative_difference'].abs().max():.1e}",
        ]
        for (module, task), cells in table.groupby(["module", "task"], sort=False)
    ]
    headers = ["module", "task", *ranges, "largest difference from the published, relative"]
    return ["Mean squared errors:", "", *_table(headers, rows), ""]


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
        f"Solved runs, in all and of {len(experiment.seeds)} per range:",
        "",
        *_table(headers, list(_variant_rows(summary, list(experiment.tasks)))),
        "",
        *_judged_by_gold(experiment),
        *_comparison(experiment.name, directory),
    ]
    return "\n".join(lines), [picture]


def _judged_by_gold(experiment: Experiment) -> list[str]:
    if all(task.threshold != "gold" for task in experiment.tasks.values()):
        return []
    return [
        f"Solved means no greater an error than the module's gold weights have (`nalm thresholds {experiment.name}`), "
        "which rounding can deny to weights that are exact.",
        "",
    ]


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
            f"{published_text(row)} [{row['provenance']}]",
            _percent(row["difference"], row["difference_low"], row["difference_high"]),
            str(row["verdict"]),
        ]
        for row in table[table["verdict"] != NOTHING_PUBLISHED].to_dict(orient="records")
    ]
    headers = ["variant", "range", "ours", "published", "difference, 95 %", "verdict"]
    tags = ", ".join(f"{tag}: {PROVENANCE[tag]}" for tag in sorted(set(table["provenance"].dropna())))
    return [f"Beside what is published ({tags}):", "", *_table(headers, rows), ""] if rows else []


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
