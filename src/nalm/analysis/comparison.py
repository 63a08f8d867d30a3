"""Comparison of results with published numbers, of two results directories, and of two variants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from nalm.analysis.proportions import mcnemar, newcombe, newcombe_paired
from nalm.analysis.publications import Published, published_numbers
from nalm.analysis.results import Results, load
from nalm.analysis.selection import labels
from nalm.analysis.statistics import Estimate, wilson
from nalm.analysis.texts import is_missing
from nalm.errors import NalmError
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.index import experiment_names
from nalm.log import warn_once
from nalm.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AGREES",
    "DIFFERS",
    "NOTHING_PUBLISHED",
    "NO_COUNT_PUBLISHED",
    "OTHER_TASKS",
    "SAME",
    "compare",
    "compare_results",
    "compare_variants",
    "published_text",
]

AGREES, DIFFERS, SAME = "agrees", "differs", "same"
NOTHING_PUBLISHED, NO_COUNT_PUBLISHED, OTHER_TASKS = "nothing published", "no count published", "other tasks"

KEY = ["variant", "task", "seed"]
CITED = {
    "published_runs": "runs",
    "published_solved": "solved",
    "published_rate": "success_rate",
    "provenance": "provenance",
    "source": "source",
    "url": "url",
}
INTEGERS = ("published_runs", "published_solved")

Groups = dict[tuple[str, str | None], "pd.DataFrame"]


def compare(directory: Path | str, experiment: str | None = None) -> pd.DataFrame:
    """Compare the results in a directory with published numbers.

    Arguments:
        directory: a results directory.
        experiment: name of the experiment to compare; by default all of them.

    Returns:
        A row per variant and task, and one per variant over all tasks (its ``task`` is None): our success rate with
        Wilson's interval, the published count or rate with its source, the ``difference`` (ours − published) with
        Newcombe's interval, and a ``verdict``:

        * ``agrees`` or ``differs``: the interval includes 0, or does not.
        * ``nothing published``: no paper reports this variant and task.
        * ``no count published``: the published number of runs is unknown.
        * ``other tasks``: the published number is over other tasks than ours, or ours has unequal numbers of runs per
          task.

        ``changed`` lists the fields of recipe and task that differ from the catalog's.

    Raises:
        NalmError: the directory has no finished runs, or none of this experiment.
    """
    import pandas as pd

    names = Store.existing(directory).experiments.names() if experiment is None else [experiment]
    rows = {name: _compare_with_published(load(directory, name)) for name in names}
    if unfinished := [name for name in names if not rows[name]]:
        sentence = f"found no finished runs of {', '.join(unfinished)} in {str(directory)!r}"
        if len(unfinished) == len(names):
            raise NalmError(sentence)
        warn_once(sentence)
    return pd.DataFrame([row for name in names for row in rows[name]]).astype(dict.fromkeys(INTEGERS, "Int64"))


def compare_results(first: Path | str, second: Path | str, experiment: str | None = None) -> pd.DataFrame:
    """Compare two results directories, run by run, over the seeds that both have.

    Arguments:
        first: a results directory.
        second: another results directory.
        experiment: name of the experiment to compare; by default all that are in both.

    Returns:
        A row per variant and task in both, and one per variant over all of these tasks (its ``task`` is None). The
        columns from ``pairs`` to ``neither`` count the pairs of runs, and those solved in both directories, in one only
        or in neither. ``difference`` is that of the success rates (first − second) with Newcombe's paired interval, and
        ``p_value`` that of McNemar's exact test. The ``verdict`` is ``same`` if the interval includes 0, else
        ``differs``. ``changed`` lists the fields of recipe and task that differ under the same labels.

    Raises:
        NalmError: the directories have no run in common.
    """
    import pandas as pd

    known = [Store.existing(directory).experiments.names() for directory in (first, second)]
    names = [name for name in known[0] if name in known[1]] if experiment is None else [experiment]
    rows = [row for name in names for row in _compare_runs(load(first, name), load(second, name))]
    if not rows:
        raise NalmError(f"found no variant, task and seed of the same experiment in {str(first)!r} and {str(second)!r}")
    return pd.DataFrame(rows)


def compare_variants(results: Results, first: str, second: str, tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Compare two variants of an experiment, run by run, over the tasks and seeds that both have.

    Runs with the same seed draw the same numbers, whatever their variant, so they form pairs.

    Arguments:
        results: the results of an experiment.
        first: label of a variant.
        second: label of another variant.
        tasks: labels of tasks; by default all.

    Returns:
        A row per task, and one over all of them if there are several (its ``task`` is None), with the columns of
        :func:`compare_results` from ``pairs`` to ``verdict``.

    Raises:
        NalmError: a variant or task is unknown, both variants are the same, or they share no task and seed.
    """
    import pandas as pd

    if first == second:
        raise NalmError(f"found {first!r} twice, expected two of: {', '.join(results.experiment.variants)}")
    trained_tasks = [labels(results, [label], tasks)[1] for label in (first, second)]
    runs = results.runs()
    runs = runs[runs["task"].isin(set(trained_tasks[0]) & set(trained_tasks[1]))]
    one, other = (runs[runs["variant"] == label] for label in (first, second))
    paired = one.merge(other[["task", "seed", "solved"]], on=["task", "seed"], suffixes=("", "_second"))
    groups = _groups(paired, results.experiment)
    rows = [
        {"task": task, **_paired_statistics(group["solved"], group["solved_second"])}
        for (_, task), group in groups.items()
    ]
    if not rows:
        raise NalmError(f"found no task and seed that both {first!r} and {second!r} have")
    return pd.DataFrame(rows if len(rows) > 2 else rows[:1])


# Comparison with published numbers


def _compare_with_published(results: Results) -> list[dict[str, Any]]:
    ours = results.experiment
    known = load_experiment(ours.name) if ours.name in experiment_names() else None
    groups = _groups(results.runs(), ours)
    rows = []
    for (variant, task), group in groups.items():
        runs = {label: len(groups[variant, label]) for label in ours.tasks if (variant, label) in groups}
        published = _published(ours.name, variant, task, runs)
        success = wilson(int(group["solved"].sum()), len(group))
        difference, verdict = _judge(group["solved"], published, runs)
        rows.append(
            {
                "experiment": ours.name,
                "variant": variant,
                "task": task,
                "runs": len(group),
                "solved": int(group["solved"].sum()),
                "success_rate": success.value,
                "success_low": success.low,
                "success_high": success.high,
                **{column: getattr(published, name, None) for column, name in CITED.items()},
                "difference": difference.value,
                "difference_low": difference.low,
                "difference_high": difference.high,
                "verdict": verdict,
                "changed": _changed(ours, known, variant, task) if known else None,
            }
        )
    return rows


def _published(experiment: str, variant: str, task: str | None, runs: Mapping[str, int]) -> Published | None:
    """Return the published number of a variant on a task; over all tasks, the sum over tasks, or else a total."""
    by_task = {
        record.task: record
        for record in published_numbers()
        if (record.experiment, record.variant) == (experiment, variant) and record.success_rate is not None
    }
    summed = _sum([by_task[label] for label in runs]) if task is None and set(runs) <= set(by_task) else None
    return summed or by_task.get(task)


def _sum(parts: Sequence[Published]) -> Published | None:
    """Add up the numbers of several tasks, if they have one source and equal numbers of runs."""
    solved = [part.solved for part in parts if part.solved is not None]
    if len(solved) < len(parts) or len({(part.source, part.runs) for part in parts}) != 1:
        return None
    total = {
        "task": None,
        "over": tuple(part.task for part in parts),
        "runs": sum(part.runs or 0 for part in parts),
        "solved": sum(solved),
        "rate": None,
    }
    return parts[0].model_copy(update=total)


def _judge(solved: pd.Series, published: Published | None, runs: Mapping[str, int]) -> tuple[Estimate, str]:
    """Return the difference from the published number, NaN where there is none, and the verdict."""
    nothing = Estimate(math.nan, math.nan, math.nan, "none")
    if published is None:
        return nothing, NOTHING_PUBLISHED
    if published.over is not None and (set(published.over) != set(runs) or len(set(runs.values())) > 1):
        return nothing, OTHER_TASKS
    if published.solved is None or published.runs is None:
        return nothing, NO_COUNT_PUBLISHED
    difference = newcombe((int(solved.sum()), len(solved)), (published.solved, published.runs))
    return difference, AGREES if difference.low <= 0 <= difference.high else DIFFERS


def published_text(row: Mapping[Any, Any]) -> str:
    """Format the published count and rate of a row of :func:`compare`; a dash if there is none."""
    rate, solved = row["published_rate"], row["published_solved"]
    if is_missing(rate):
        return "–"
    return f"{rate:.1%}" if is_missing(solved) else f"{solved}/{row['published_runs']} = {rate:.1%}"


# Comparison run by run


def _compare_runs(first: Results, second: Results) -> list[dict[str, Any]]:
    frames = [results.runs() for results in (first, second)]
    if not all(map(len, frames)):
        return []
    paired = frames[0].merge(frames[1][[*KEY, "solved"]], on=KEY, suffixes=("", "_second"))
    rows = []
    for (variant, task), group in _groups(paired, first.experiment).items():
        rows.append(
            {
                "experiment": first.experiment.name,
                "variant": variant,
                "task": task,
                **_paired_statistics(group["solved"], group["solved_second"]),
                "changed": _changed(first.experiment, second.experiment, variant, task),
            }
        )
    return rows


def _paired_statistics(one: pd.Series, other: pd.Series) -> dict[str, Any]:
    """Return the counts of pairs by which of the two was solved, and the statistics of these counts."""
    counts = [int(pair.sum()) for pair in (one & other, one & ~other, ~one & other, ~one & ~other)]
    difference = newcombe_paired(*counts)
    return {
        "pairs": len(one),
        **dict(zip(("both", "first_only", "second_only", "neither"), counts, strict=True)),
        "difference": difference.value,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p_value": mcnemar(counts[1], counts[2]),
        "verdict": SAME if difference.low <= 0 <= difference.high else DIFFERS,
    }


# Shared


def _groups(runs: pd.DataFrame, experiment: Experiment) -> Groups:
    """Group runs by variant and task, and by variant over all tasks, in the experiment's order; none is empty."""
    groups: Groups = {}
    for variant in experiment.variants if len(runs) else ():
        variant_runs = runs[runs["variant"] == variant]
        for task in [*experiment.tasks, None]:
            group = variant_runs if task is None else variant_runs[variant_runs["task"] == task]
            if len(group):
                groups[variant, task] = group
    return groups


def _changed(one: Experiment, other: Experiment, variant: str, task: str | None) -> str | None:
    """List the fields of the recipe and the task (None: all tasks) that differ between two experiments."""
    pairs: list[tuple[BaseModel | None, BaseModel | None]] = [
        (one.variants.get(variant), other.variants.get(variant)),
        *((one.tasks.get(label), other.tasks.get(label)) for label in (one.tasks if task is None else [task])),
    ]
    fields = [field for mine, theirs in pairs if mine and theirs for field in _differing(mine, theirs)]
    return ", ".join(dict.fromkeys(fields)) or None


def _differing(one: BaseModel, other: BaseModel) -> list[str]:
    mine, theirs = (model.model_dump(mode="json") for model in (one, other))
    return [field for field in mine if mine[field] != theirs.get(field)]
