"""Import results of the original research code into a results directory, to summarize, compare and draw them."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from nalm.errors import NalmError
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, Shard
from nalm.original.files import Series, read_csv, read_tensorboard
from nalm.original.matching import Match, NamedSeries, labels_for, labels_of, last_evaluation, matched_experiment
from nalm.original.parse_names import named_run
from nalm.paths import writing
from nalm.store.columns import EVALUATION_COLUMNS, run_table
from nalm.store.schema import about_shard
from nalm.store.store import Store

__all__ = ["Imported", "import_results"]

IMPORTED = "imported"
"""Name of an imported experiment, unless another one is given."""
RUNS_PER_FILE = 225

Evaluations = Mapping[str, Sequence[float]]
"""Values of a run by column, one for each evaluation."""


@dataclass(frozen=True)
class Imported:
    """The outcome of an import.

    Arguments:
        experiment: the experiment that has the runs now.
        runs: number of runs that were added.
        there: number of runs that were there already or were found more than once; the first of each is kept.
        not_in_experiment: number of runs that are not part of the experiment and were skipped.
        short: number of runs that end before others of their variant. They count as diverged, since the original stops
            at NaN weights.
        damaged: damaged event files, whose runs were left out.
    """

    experiment: Experiment
    runs: int
    there: int
    not_in_experiment: int
    short: int
    damaged: Sequence[Path] = ()

    @property
    def strangers(self) -> int:
        """Old name of ``not_in_experiment``."""
        return self.not_in_experiment


def import_results(
    sources: Sequence[Path | str],
    out: Path | str,
    experiment: str | None = None,
    *,
    name: str | None = None,
    skip_damaged: bool = False,
    sort: bool = False,
) -> Imported:
    """Add results of the original research code to a results directory.

    Everything is read and checked before anything is written. Imported runs have no parameters, and have criterion and
    penalty only if they come from TensorBoard logs. Names of runs don't tell how long they trained, so the last
    iteration that any run of a variant has is taken for all of its runs. A run that ends earlier counts as diverged at
    the first evaluation that it lacks.

    Arguments:
        sources: CSV files that the original's export has written, and folders with its TensorBoard logs.
        out: the results directory, which may be new.
        experiment: a name in the catalog or the path of a YAML file. Runs get its labels and thresholds, and runs that
            are not part of it are skipped. By default labels are made from the files or from what differs, and tasks
            have the threshold 1e-5.
        name: name of the experiment that is made without ``experiment``; by default ``imported``.
        skip_damaged: whether runs whose event files are damaged are left out instead of refused.
        sort: whether the rows of CSV files are sorted by run and step first, instead of refused in another order.

    Raises:
        NalmError: the experiment is unknown, the original's names don't tell its variants or tasks apart, a file is
            wrong, no run is part of the experiment, or a run has other values in two files or in the directory it was
            imported to before, and nothing is written; or the results cannot be written.
    """
    if experiment is not None and name is not None:
        raise NalmError(f"found the experiment {experiment!r} and the new name {name!r}, expected one of them")
    known = load_experiment(experiment) if experiment is not None else None
    damaged: list[Path] = []
    series, repeated = _read(sources, damaged if skip_damaged else None, sort)
    runs = [NamedSeries(_named_run(one), one) for one in series]
    labels = labels_of(known) if known else labels_for(runs)
    matches = labels.matches(runs)
    if not matches:
        raise NalmError(f"found no run of {experiment} among {len(series)} runs, expected some")
    target = matched_experiment(name or IMPORTED, known, labels, matches)
    store = Store(out)
    store.experiments.merged(target)  # refuses changed recipes before anything is written
    new, stored = _new_runs(store, target, matches)
    _write(store, target, new.values())
    last = {label: last_evaluation(recipe) for label, recipe in target.variants.items()}
    return Imported(
        experiment=target,
        runs=sum(map(len, new.values())),
        there=repeated + stored,
        not_in_experiment=len(runs) - len(matches),
        short=sum(match.series.iterations[-1] < last[match.variant] for match in matches),
        damaged=damaged,
    )


def _read(sources: Sequence[Path | str], damaged: list[Path] | None, sort: bool) -> tuple[list[Series], int]:
    """Return the runs of all sources, and how many were found again."""
    by_name: dict[str, Series] = {}
    repeated = 0
    for source in map(Path, sources):
        for series in read_tensorboard(source, damaged) if source.is_dir() else read_csv(source, sort=sort):
            first = by_name.setdefault(series.name, series)
            if first is not series:
                _check_same(series, first.source, first.values)
                repeated += 1
    if not by_name:
        found = "no files" if not damaged else f"only damaged files, such as {damaged[0]}"
        raise NalmError(f"found {found}, expected at least one run")
    return list(by_name.values()), repeated


def _named_run(series: Series) -> Run:
    try:
        return named_run(series.name)
    except ValueError as error:
        raise NalmError(f"{series.source}: cannot read the run name {series.name[:300]!r}: {error}") from None


def _new_runs(
    store: Store, experiment: Experiment, matches: Sequence[Match]
) -> tuple[dict[str, list[NamedSeries]], int]:
    """Return the runs that are not in the store, by variant, and how many are in it already.

    Raises:
        NalmError: a run has other values than when it was imported before.
    """
    placed = [
        (variant, NamedSeries(Run(experiment.variants[variant], experiment.tasks[task], seed), series))
        for variant, task, seed, series in matches
    ]
    there = store.finished()
    imported = _imported_before(store, {run.key for _, (run, _) in placed})
    new: dict[str, list[NamedSeries]] = defaultdict(list)
    stored = 0
    for variant, (run, series) in placed:
        if run.key in imported:
            _check_same(series, *imported[run.key])
        if run.key in there:
            stored += 1
        else:
            there.add(run.key)
            imported[run.key] = (series.source, series.values)
            new[variant].append(NamedSeries(run, series))
    return new, stored


def _imported_before(store: Store, keys: Collection[str]) -> dict[str, tuple[str, Evaluations]]:
    """Return the sources and evaluations of runs that were imported before, by key."""
    columns = ["key", *(column.name for column in EVALUATION_COLUMNS)]
    return {
        row["key"]: (" or ".join(about["imported"]), row)
        for table, about in store.runs(keys)
        if "imported" in about
        for row in table.select(columns).to_pylist()
    }


def _check_same(series: Series, source: str, known: Evaluations) -> None:
    """Check that a run has the same values in another source, in float32, the precision of TensorBoard's logs.

    Raises:
        NalmError: the values differ.
    """
    for column in ("iteration", "validation_error", "test_error", "sparsity_error"):
        with np.errstate(over="ignore"):
            one, other = (np.array(values[column], np.float64).astype(np.float32) for values in (series.values, known))
        if not np.array_equal(one, other, equal_nan=True):
            raise NalmError(
                f"the {column.replace('_', ' ')}s of a run in {series.source} differ from those in {source}, "
                f"expected the same, or only one of them: {series.name}"
            )


def _write(store: Store, experiment: Experiment, variants: Iterable[Sequence[NamedSeries]]) -> None:
    store.make_directories()
    with writing(f"results to {str(store.path)!r}"), store.adding() as write:
        for runs in variants:
            for start in range(0, len(runs), RUNS_PER_FILE):
                some = runs[start : start + RUNS_PER_FILE]
                store.add_rows(_table(some), _about(some), write)
    store.experiments.add(experiment)


def _about(runs: Sequence[NamedSeries]) -> dict[str, Any]:
    """Return what is known about the runs' training, which was not on this machine nor by this version of nalm.

    ``seconds`` is 0 instead of None, and so is ``started`` without wall times: they are added up and shown as dates.
    """
    about = about_shard(Shard(runs[0].run.recipe, tuple(run for run, _ in runs)))
    times = [time for _, series in runs for time in series.values["wall_time"] if math.isfinite(time)]
    return about | {
        "versions": dict.fromkeys(about["versions"], "unknown"),
        "host": None,
        "hosts": [],
        "started": min(times, default=0.0),
        "seconds": 0.0,
        "resumed_at": [],
        "device": None,
        "threads": None,
        "compiled": None,
        "imported": sorted({str(series.source) for _, series in runs}),
    }


def _table(runs: Sequence[NamedSeries]) -> pa.Table:
    values: dict[str, list[Any]] = {
        column.name: [series.values[column.name] for _, series in runs] for column in EVALUATION_COLUMNS
    }
    values |= {"diverged_at": [_diverged_at(run, series) for run, series in runs], "restarts": [[] for _ in runs]}
    return run_table([run for run, _ in runs], values)


def _diverged_at(run: Run, series: Series) -> int | None:
    """Return the first evaluation that is missing: the original stops at NaN weights, and does not say so."""
    last = series.iterations[-1]
    return last + run.recipe.evaluate_every if last < last_evaluation(run.recipe) else None
