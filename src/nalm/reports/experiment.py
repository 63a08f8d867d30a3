"""An experiment: its figure, its success rates, and the published numbers beside them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from nalm.analysis.comparison import NOTHING_PUBLISHED, compare, published_text
from nalm.analysis.publications import PROVENANCE, published_numbers
from nalm.analysis.results import Results
from nalm.analysis.texts import interval_text, number_text, task_text
from nalm.experiments.experiment import Experiment
from nalm.figures.panels import summary_panels
from nalm.figures.saving import save
from nalm.reports.blocks import Block, Picture, Section, Table
from nalm.reports.source import Source

__all__ = ["experiment_section"]

Details = Callable[[Source, Results], Mapping[str, Sequence[Block]]]


def experiment_section(source: Source, results: Results, details: Details | None) -> Section | None:
    """Return a section about an experiment; None if none of its runs are finished.

    Arguments:
        source: the results directory.
        results: the results of the experiment.
        details: makes the details of the section.
    """
    if not results.finished:
        return None
    experiment = results.experiment
    picture = source.picture(experiment.name)
    save(summary_panels(results), picture)
    number = f"Figure {experiment.figure}. " if experiment.figure else ""
    alt = f"{experiment.title}: success rate, iteration solved and sparsity error by range and variant"
    blocks: list[Block] = [
        f"{number}{experiment.title}; `nalm reproduce {experiment.name}`.",
        Picture(picture, alt),
        _success(results),
        *_judged_by_gold(experiment),
        *_comparison(source, experiment.name),
    ]
    return source.section(experiment.name, blocks, details(source, results) if details else {})


def _success(results: Results) -> Table:
    tasks = list(results.experiment.tasks)
    return Table(
        f"Solved runs, over all ranges and of {len(results.experiment.seeds)} per range:",
        ["variant", "solved", "success, 95 %", "median iteration", *tasks],
        list(_variant_rows(results.summary(), tasks)),
    )


def _variant_rows(summary: pd.DataFrame, tasks: list[str]) -> Iterator[list[str]]:
    for variant, rows in summary.groupby("variant", sort=False):
        total = rows[rows["task"].isna()].iloc[0]
        solved = rows.set_index("task")["solved"]
        interval = interval_text(total.success_rate, total.success_low, total.success_high, "{:.1%}")
        median = number_text(total.iterations_median, "{:,.0f}")
        cells = [str(solved[task]) if task in solved else "–" for task in tasks]
        yield [str(variant), f"{total.solved}/{total.runs}", interval, median, *cells]


def _judged_by_gold(experiment: Experiment) -> list[Block]:
    """Explain gold thresholds, if the experiment has any."""
    if all(task.threshold != "gold" for task in experiment.tasks.values()):
        return []
    return [
        "A run is solved if its test error is at most that of the module's gold weights "
        f"(`nalm thresholds {experiment.name}`). Rounding can make even exact weights miss this threshold."
    ]


def _comparison(source: Source, experiment: str) -> list[Block]:
    """Compare an experiment with published numbers, if there are any."""
    if all(record.experiment != experiment for record in published_numbers()):
        return []
    table = compare(source.store.path, experiment)
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
    return [Table(f"Published numbers beside ours ({tags}):", headers, rows)] if rows else []
