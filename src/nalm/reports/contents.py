"""What a page of results says, whatever it is written in: sections of sentences, tables and pictures."""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nalm.analysis.comparison import NOTHING_PUBLISHED, compare, published_text
from nalm.analysis.publications import PROVENANCE, published_numbers
from nalm.analysis.results import Results, TrainedRun, learnt_expression, load
from nalm.analysis.texts import estimate_texts, interval_text, number_text, task_text
from nalm.errors import NalmError
from nalm.experiments.catalog import COMPUTED_FIGURES, figures_called, in_the_papers_order
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import recipe_fields
from nalm.experiments.seeds import show_seeds
from nalm.figures.heatmap import success_map
from nalm.figures.panels import three_panels
from nalm.figures.saving import save
from nalm.figures.survival import survival_curves
from nalm.store.costs import Costs, training_costs
from nalm.store.store import Store

__all__ = ["Block", "Link", "Picture", "Section", "Table", "contents"]

UNKNOWN = "unknown"
MOST_EXPRESSIONS = 150
"""Failed runs of an experiment whose expression is found out, which takes some hundredths of a second each."""


@dataclass(frozen=True)
class Link:
    """A cell that leads to a section."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Table:
    """Rows of cells under their headers, and what they are about."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str | Link]]


@dataclass(frozen=True)
class Picture:
    """A file, and what it shows, for those who do not see it."""

    path: Path
    alt: str


Block = str | Table | Picture
"""In sentences, what is between backticks is code."""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Arguments:
        anchor: what links lead to.
        title: its heading.
        blocks: what it says.
        details: what is said to those who ask, under their headings.
    """

    anchor: str
    title: str
    blocks: list[Block]
    details: dict[str, list[Block]]

    @property
    def pictures(self) -> list[Path]:
        """Files of its pictures."""
        return [block.path for block in self.blocks if isinstance(block, Picture)]


def contents(
    directories: Sequence[Path],
    pictures: Path,
    suffix: str,
    details: bool,
    on_section: Callable[[str], None] | None = None,
) -> list[Section]:
    """The sections of a page of everything in results directories, an overview first.

    Arguments:
        directories: with results.
        pictures: the directory that figures are drawn into.
        suffix: what figures are drawn as, such as ``.png``.
        details: whether to go into them.
        on_section: called with the title of each that takes time, when it is about to be made.

    Raises:
        NalmError: there are no results, or plotnine is not installed.
    """
    stores = [Store.existing(directory) for directory in directories]
    sections = []
    for number, store in enumerate(stores):
        prefix = f"{number}-" if number else ""
        names = in_the_papers_order([*store.experiments.names(), *COMPUTED_FIGURES])
        trained = [name for name in names if name not in COMPUTED_FIGURES]
        where = f" in {store.path}" if len(stores) > 1 else ""
        sections.append(_overview(store, trained, prefix, where))
        for name in names:
            if on_section is not None and name in trained:
                on_section(name + where)
            section = (
                _computed(name, store.path, pictures, prefix)
                if name in COMPUTED_FIGURES
                else _trained(load(store.path, name), store.path, pictures / f"{prefix}{name}{suffix}", details)
            )
            if section is not None:
                sections.append(Section(prefix + name, name + where, *section))
    return sections


def _overview(store: Store, names: list[str], prefix: str, where: str) -> Section:
    costs = training_costs(store, names)
    paper = [name for name in figures_called("all") if name in names]
    rows: list[list[str | Link]] = [
        [
            Link(row["experiment"], prefix + row["experiment"]),
            f"{row['runs']:,}",
            f"{row['new']:,}",
            _minutes(row["core_seconds"]),
        ]
        for row in costs.experiments.to_dict(orient="records")
    ]
    versions = ", ".join(f"{name} {version}" for name, version in costs.versions.items())
    blocks: list[Block] = [
        f"This page: `nalm report`. Made with {versions}. A run that several experiments share is trained once, "
        "and counted as new in the first of them."
    ]
    if paper:
        blocks.append(f"Figures of the paper (`nalm reproduce all`): {_spent(training_costs(store, paper))}.")
    caption = f"Everything: {_spent(costs)}."
    blocks.append(Table(caption, ["experiment", "runs", "new", "minutes of one core"], rows))
    return Section(f"{prefix}results", f"Results{where}", blocks, {})


def _spent(costs: Costs) -> str:
    if not costs.core_seconds:
        return "how long it took is not known"
    wall, cores = _minutes(costs.wall_seconds), _minutes(costs.core_seconds)
    return f"trained in {wall} minutes, {cores} minutes of one core"


Said = tuple[list[Block], dict[str, list[Block]]]
"""Blocks and details of a section."""


def _computed(name: str, directory: Path, pictures: Path, prefix: str) -> Said | None:
    """A figure for which nothing is trained, if it was reproduced into the directory."""
    found = sorted(directory.glob(f"{name}*.png"))
    drawn = [Path(shutil.copy(path, pictures / f"{prefix}{path.name}")) for path in found]
    if not drawn:
        return None
    number, title = name.removeprefix("figure-"), COMPUTED_FIGURES[name]
    blocks: list[Block] = [
        f"Figure {number}. {title}; `nalm reproduce {name}`.",
        *(Picture(path, title) for path in drawn),
    ]
    if name == "figure-5" and (errors := directory / f"{name}.csv").exists():
        blocks.append(_gold_errors(errors))
    return blocks, {}


def _gold_errors(path: Path) -> Table:
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
    return Table("Mean squared errors:", headers, rows)


def _trained(results: Results, directory: Path, picture: Path, details: bool) -> Said | None:
    """An experiment, if any of its runs are there."""
    if not results.trained:
        return None
    experiment, summary = results.experiment, results.summary()
    save(three_panels(results.task_summary()), picture)
    number = f"Figure {experiment.figure}. " if experiment.figure else ""
    alt = f"{experiment.title}: success rate, iteration solved and sparsity error by range and variant"
    blocks: list[Block] = [
        f"{number}{experiment.title}; `nalm reproduce {experiment.name}`.",
        Picture(picture, alt),
        Table(
            f"Solved runs, in all and of {len(experiment.seeds)} per range:",
            ["variant", "solved", "success, 95 %", "median iteration", *experiment.tasks],
            list(_variant_rows(summary, list(experiment.tasks))),
        ),
        *_judged_by_gold(experiment),
        *_comparison(experiment.name, directory),
    ]
    if not details:
        return blocks, {}
    return blocks, {
        "What was run": list(_recipes(experiment)),
        "All estimates": [_estimates(summary)],
        "More figures": _more_figures(results, picture),
        "Runs that failed": list(_failures(results.trained)),
        "Where it comes from": [_provenance(results.trained)],
    }


def _more_figures(results: Results, beside: Path) -> list[Block]:
    drawn: list[Block] = []
    for name, figure, alt in (  # the map takes 20 times more as SVG
        ("success.png", success_map(results), "the share of solved runs by variant and range"),
        (f"survival{beside.suffix}", survival_curves(results), "the share of runs not yet solved by iteration"),
    ):
        path = beside.with_name(f"{beside.stem}-{name}")
        save(figure, path)
        drawn.append(Picture(path, f"{results.experiment.title}: {alt}"))
    return drawn


def _judged_by_gold(experiment: Experiment) -> list[Block]:
    if all(task.threshold != "gold" for task in experiment.tasks.values()):
        return []
    return [
        f"Solved means no greater an error than the module's gold weights have (`nalm thresholds {experiment.name}`), "
        "which rounding can deny to weights that are exact."
    ]


def _comparison(experiment: str, directory: Path) -> list[Block]:
    """Ours beside what is published of an experiment, if anything is."""
    if all(record.experiment != experiment for record in published_numbers()):
        return []
    table = compare(directory, experiment)
    rows = [
        [
            str(row["variant"]),
            task_text(row["task"]),
            f"{row['solved']}/{row['runs']}",
            f"{published_text(row)} [{row['provenance']}]",
            interval_text(row["difference"], row["difference_low"], row["difference_high"], "{:.1%}"),
            str(row["verdict"]),
        ]
        for row in table[table["verdict"] != NOTHING_PUBLISHED].to_dict(orient="records")
    ]
    headers = ["variant", "range", "ours", "published", "difference, 95 %", "verdict"]
    tags = ", ".join(f"{tag}: {PROVENANCE[tag]}" for tag in sorted(set(table["provenance"].dropna())))
    return [Table(f"Beside what is published ({tags}):", headers, rows)] if rows else []


def _variant_rows(summary: pd.DataFrame, tasks: list[str]) -> Iterator[list[str]]:
    for variant, rows in summary.groupby("variant", sort=False):
        total = rows[rows["task"].isna()].iloc[0]
        solved = rows.set_index("task")["solved"]
        interval = interval_text(total.success_rate, total.success_low, total.success_high, "{:.1%}")
        median = number_text(total.iterations_median, "{:,.0f}")
        cells = [str(solved[task]) if task in solved else "–" for task in tasks]
        yield [str(variant), f"{total.solved}/{total.runs}", interval, median, *cells]


def _estimates(summary: pd.DataFrame) -> Table:
    rows = [
        [
            str(row["variant"]),
            task_text(row["task"]),
            *estimate_texts(row),
        ]
        for row in summary.to_dict(orient="records")
    ]
    headers = ["variant", "range", "solved", "success, 95 %", "median iteration", "mean, 95 %", "sparsity error, 95 %"]
    return Table(
        "Success with Wilson's interval; over solved runs, the iteration and the sparsity error.", headers, rows
    )


def _recipes(experiment: Experiment) -> Iterator[Block]:
    recipes = [
        [label, str(recipe.module.name), f"{recipe.iterations:,}", _fields(recipe_fields(recipe))]
        for label, recipe in experiment.variants.items()
    ]
    yield Table("Recipes; what is not named is at its default.", ["variant", "module", "iterations", "recipe"], recipes)
    tasks = [
        [label, task.operation, str(task.columns), task.trained_on, task.tested_on, str(task.threshold)]
        for label, task in experiment.tasks.items()
    ]
    yield Table(
        f"Tasks, on seeds {show_seeds(experiment.seeds)}: solved is what has a test error below the threshold.",
        ["range", "operation", "inputs", "trained on", "tested on", "threshold"],
        tasks,
    )


def _failures(runs: Iterable[TrainedRun]) -> Iterator[Block]:
    """Which seeds failed, and what they have learnt instead."""
    failed: dict[tuple[str, str], list[TrainedRun]] = {}
    for run in runs:
        if not run.outcome()["solved"]:
            failed.setdefault((run.variant, run.task), []).append(run)
    if not failed:
        yield "Every run was solved."
        return
    share = max(1, MOST_EXPRESSIONS // len(failed))
    rows = [
        [variant, task, learnt, show_seeds([run.run.seed for run in alike]), str(len(alike)), _median_error(alike)]
        for (variant, task), group in failed.items()
        for learnt, alike in _by_expression(group, share).items()
    ]
    headers = ["variant", "range", "learnt instead", "seeds", "failed", "median test error"]
    yield Table(
        "The expression of the last weights, rounded to simple fractions: one that looks right was not exact enough.",
        headers,
        rows,
    )
    if any(len(group) > share for group in failed.values()):
        yield f"Of each variant and range, the first {share} expressions; `nalm show` has that of every run."


def _by_expression(runs: Sequence[TrainedRun], most: int) -> dict[str, list[TrainedRun]]:
    """Runs that learnt the same, most frequent first, and those of which it was not found out."""
    found: dict[str, list[TrainedRun]] = {}
    for run in runs[:most]:
        found.setdefault(_learnt(run), []).append(run)
    ordered = dict(sorted(found.items(), key=lambda item: -len(item[1])))
    return ordered | ({"…": list(runs[most:])} if runs[most:] else {})


def _learnt(run: TrainedRun) -> str:
    if run.diverged_at is not None:
        return "diverged"
    if not run.has_parameters:
        return "weights are not known"
    try:
        return learnt_expression(run.module()) or "no expression"
    except NalmError:
        return "its module is not installed here"


def _median_error(runs: Sequence[TrainedRun]) -> str:
    errors = [error for run in runs if (error := run.outcome()["test_error"]) is not None]
    return number_text(float(np.median(errors)) if errors else math.nan, "{:.1e}")


def _provenance(runs: Iterable[TrainedRun]) -> Table:
    """What the shards say about how the runs came to be."""
    shards = list({id(run.provenance): run.provenance for run in runs}.values())
    started = [pd.Timestamp(about["started"], unit="s") for about in shards]
    versions = ("nalm", "torch", "numpy", "python")
    said = {
        "shards": str(len(shards)),
        **{name: _several(about["versions"].get(name) for about in shards) for name in versions},
        **{name: _several(about.get(name) for about in shards) for name in ("host", "device", "threads", "compiled")},
    }
    if any("imported" in about for about in shards):
        said["imported from"] = _several(about.get("imported") for about in shards)
    said["started"] = f"{min(started):%Y-%m-%d %H:%M} to {max(started):%Y-%m-%d %H:%M} UTC"
    said["minutes of one core"] = _minutes(sum(about["seconds"] for about in shards))
    return Table("Of the files that hold its runs:", ["what", "found"], list(said.items()))


def _fields(fields: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in fields.items())


def _several(values: Iterable[Any]) -> str:
    return ", ".join(sorted({str(value) for value in values if value is not None})) or UNKNOWN


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.1f}" if seconds else "–"
