"""Brings results of the original research code into a results directory, to be summarized, compared and drawn."""

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from nalm.errors import NalmError
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, Shard
from nalm.original.files import Series, read_csv, read_tensorboard
from nalm.original.labels import recipe_labels, task_labels
from nalm.original.parse_names import named_run
from nalm.original.write_names import named_recipe, named_task
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.store.columns import EVALUATION_COLUMNS, run_table
from nalm.store.schema import about_shard
from nalm.store.store import Store

__all__ = ["Imported", "import_results"]

IMPORTED = "imported"
"""Name of the experiment, where none is given."""
RUNS_IN_FILE = 225


@dataclass(frozen=True)
class Imported:
    """What an import came to.

    Arguments:
        experiment: the experiment that has the runs now.
        runs: how many were added.
        there: how many were there already, or were found again; the first is kept.
        strangers: how many are not of the experiment and were left out.
        short: how many end before others of their variant and count as diverged, as the original's do whose weights
            become NaN.
    """

    experiment: Experiment
    runs: int
    there: int
    strangers: int
    short: int


def import_results(
    sources: Sequence[Path | str], out: Path | str, experiment: str | None = None, *, name: str | None = None
) -> Imported:
    """Adds results of the original research code to a results directory.

    Everything is read and checked before anything is written. Runs have no parameters, and criterion and penalty only
    if they come from TensorBoard. Names of runs do not tell how long they trained: the last step that one of a variant
    has is taken for all of them, and a run that ends before it counts as diverged at the evaluation that it lacks.

    Arguments:
        sources: CSV files that the original's export has written, and folders with the folders of its TensorBoard logs.
        out: the results directory, which may be new.
        experiment: a name in the catalog or the path of a YAML file, whose labels and thresholds are used, and runs
            that are not of it are left out. Without it, labels are made from the files or from what differs, and tasks
            are solved below 1e-5.
        name: of the experiment that is made then; by default ``imported``.

    Raises:
        NalmError: there is no such experiment, names do not tell its variants or tasks apart, a file is wrong, nothing
            in it is of the experiment, or a run is not the same in two of them or in the directory, to which it was
            imported before, and nothing is written; or the results cannot be written.
    """
    if experiment is not None and name is not None:
        raise NalmError(f"found the experiment {experiment!r} and the new name {name!r}, expected one of them")
    known = load_experiment(experiment) if experiment is not None else None
    series, again = _read(sources)
    runs = [(_run(one), one) for one in series]
    labels = _labels_of(known) if known else _labels_for(runs)
    found = [
        (labels.variants[_recipe_id(run)][0], labels.tasks[_task_id(run)][0], run.seed, one)
        for run, one in runs
        if _recipe_id(run) in labels.variants and _task_id(run) in labels.tasks
    ]
    if not found:
        raise NalmError(f"found no run of {experiment} among {len(series)} runs, expected some")
    meant = _experiment(name or IMPORTED, known, labels, found)
    store = Store(out)
    store.merged(meant)  # which may refuse them
    named = [
        (variant, Run(meant.variants[variant], meant.tasks[task], seed), one) for variant, task, seed, one in found
    ]
    there = store.finished()
    known_as = _imported_before(store, {run.key for _, run, _ in named})
    new: dict[str, list[tuple[Run, Series]]] = defaultdict(list)
    for variant, run, one in named:
        if run.key in known_as:
            _check_same(one, *known_as[run.key])
        if run.key in there:
            again += 1
        else:
            there.add(run.key)
            known_as[run.key] = (one.source, one.values)
            new[variant].append((run, one))
    _write(store, meant, new.values())
    last = {label: _last(recipe) for label, recipe in meant.variants.items()}
    return Imported(
        experiment=meant,
        runs=sum(map(len, new.values())),
        there=again,
        strangers=len(runs) - len(found),
        short=sum(one.iterations[-1] < last[variant] for variant, _, _, one in found),
    )


Named = Sequence[tuple[Run, Series]]
Found = Sequence[tuple[str, str, int, Series]]
"""Labels of variant and task, seed, and what is known of a run."""
Evaluations = Mapping[str, Sequence[float]]
"""Values of a run by the store's columns."""


class _Labels(NamedTuple):
    """Labels and the recipes and tasks they stand for, by what the original's names tell of these."""

    variants: dict[str, tuple[str, Recipe]]
    tasks: dict[str, tuple[str, Task]]


def _read(sources: Sequence[Path | str]) -> tuple[list[Series], int]:
    """All runs, each as it was found first, and how many were found again."""
    by_name: dict[str, Series] = {}
    again = 0
    for source in map(Path, sources):
        for series in read_tensorboard(source) if source.is_dir() else read_csv(source):
            first = by_name.setdefault(series.name, series)
            if first is not series:
                _check_same(series, first.source, first.values)
                again += 1
    if not by_name:
        raise NalmError("found no files, expected at least one")
    return list(by_name.values()), again


def _imported_before(store: Store, keys: Collection[str]) -> dict[str, tuple[str, Evaluations]]:
    """Where runs that were imported earlier came from, and their evaluations, by key."""
    return {
        row["key"]: (" or ".join(about["imported"]), row)
        for table, about in store.runs(keys)
        if "imported" in about
        for row in table.select(["key", *(column.name for column in EVALUATION_COLUMNS)]).to_pylist()
    }


def _check_same(series: Series, source: str, known: Evaluations) -> None:
    """Checks that a run that was found again is the same; in float32, in which TensorBoard keeps numbers.

    Raises:
        NalmError: it is another one.
    """
    for column in ("iteration", "validation_error", "test_error", "sparsity_error"):
        with np.errstate(over="ignore"):
            one, other = (
                np.array(values[column], dtype=np.float64).astype(np.float32) for values in (series.values, known)
            )
        if not np.array_equal(one, other, equal_nan=True):
            raise NalmError(
                f"found a run in {series.source} whose {column.replace('_', ' ')}s are not those that it has in "
                f"{source}, expected the same or one of them only: {series.name}"
            )


def _run(series: Series) -> Run:
    try:
        return named_run(series.name)
    except ValueError as error:
        raise NalmError(f"{series.source}: cannot read the run name {series.name[:300]!r}: {error}") from None


def _recipe_id(run: Run) -> str:
    return json.dumps(named_recipe(run.recipe), sort_keys=True)


def _task_id(run: Run) -> str:
    return json.dumps(named_task(run.task), sort_keys=True)


def _labels_of(known: Experiment) -> _Labels:
    variants = {label: named_recipe(recipe) for label, recipe in known.variants.items()}
    tasks = {label: named_task(task) for label, task in known.tasks.items()}
    return _Labels(
        {identity: (label, known.variants[label]) for identity, label in _told_apart("variants", variants).items()},
        {identity: (label, known.tasks[label]) for identity, label in _told_apart("tasks", tasks).items()},
    )


def _told_apart(kind: str, named: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Labels by what the original's names tell.

    Raises:
        NalmError: they tell the same of two.
    """
    labels: dict[str, str] = {}
    for label, fields in named.items():
        first = labels.setdefault(json.dumps(fields, sort_keys=True), label)
        if first != label:
            raise NalmError(
                f"the original's names do not tell the {kind} {first!r} and {label!r} apart: "
                "import the runs of each into a directory of their own, with an experiment that has only one of them"
            )
    return labels


def _labels_for(runs: Named) -> _Labels:
    recipes = {_recipe_id(run): run.recipe for run, _ in runs}
    tasks = {_task_id(run): run.task for run, _ in runs}
    origins: dict[str, set[Path]] = {identity: set() for identity in recipes}
    for run, series in runs:
        origins[_recipe_id(run)].add(series.origin)
    labelled = zip(recipe_labels(list(recipes.values()), list(origins.values())), recipes.values(), strict=True)
    tasks_labelled = zip(task_labels(list(tasks.values())), tasks.values(), strict=True)
    return _Labels(dict(zip(recipes, labelled, strict=True)), dict(zip(tasks, tasks_labelled, strict=True)))


def _experiment(name: str, known: Experiment | None, labels: _Labels, found: Found) -> Experiment:
    """The experiment that the runs are of, with the iterations that they have."""
    steps: dict[str, set[int]] = defaultdict(set)
    for variant, _, _, series in found:
        steps[variant].update(series.iterations)
    variants = {label: _with_steps(recipe, steps[label]) for label, recipe in labels.variants.values() if steps[label]}
    tasks = {task for _, task, _, _ in found}
    fields = {
        "variants": variants,
        "tasks": {label: task for label, task in labels.tasks.values() if label in tasks},
        "seeds": tuple(sorted({seed for _, _, seed, _ in found})),
    }
    if known:
        return known.model_copy(update=fields)
    try:
        return Experiment(name=name, title=f"{name}: results of the original code", **fields)
    except ValidationError as error:
        raise NalmError(f"found the name {name!r}: {error.errors()[0]['msg']}") from None


def _with_steps(recipe: Recipe, steps: set[int]) -> Recipe:
    every, last = math.gcd(*steps), max(steps)
    if every == 0:  # the first evaluation is all there is
        return recipe.model_copy(update={"iterations": 0})
    if every == recipe.evaluate_every and last == _last(recipe):
        return recipe
    return recipe.model_copy(update={"iterations": last, "evaluate_every": every})


def _last(recipe: Recipe) -> int:
    """Iteration of the last evaluation."""
    return recipe.iterations // recipe.evaluate_every * recipe.evaluate_every


def _write(store: Store, experiment: Experiment, variants: Iterable[Named]) -> None:
    store.make_directories()
    try:
        for runs in variants:
            for start in range(0, len(runs), RUNS_IN_FILE):
                some = runs[start : start + RUNS_IN_FILE]
                store.add_rows(_table(some), _about(some))
    except OSError as error:
        raise NalmError(f"cannot write results to {str(store.path)!r}: {error.strerror}") from None
    store.add_experiment(experiment)


def _about(runs: Named) -> dict[str, Any]:
    """As far as it is known: it was not this machine, nor this version of nalm, that trained them.

    ``seconds`` is 0, not None, and so is ``started`` without wall times: they are added up and shown as dates.
    """
    about = about_shard(Shard(runs[0][0].recipe, tuple(run for run, _ in runs)))
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


def _diverged_at(run: Run, series: Series) -> int | None:
    """The evaluation that it did not come to: the original stops when a weight becomes NaN, and does not say so."""
    last = series.iterations[-1]
    return last + run.recipe.evaluate_every if last < _last(run.recipe) else None


def _table(runs: Named) -> pa.Table:
    values = {column.name: [series.values[column.name] for _, series in runs] for column in EVALUATION_COLUMNS}
    return run_table(
        [run for run, _ in runs],
        {
            **values,
            "diverged_at": [_diverged_at(run, series) for run, series in runs],
            "restarts": [[] for _ in runs],
        },
    )
