"""Results beside published numbers, and two sets of results beside each other."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from nalm.analysis.proportions import mcnemar, newcombe, newcombe_paired
from nalm.analysis.publications import Published, published_numbers
from nalm.analysis.results import Results, load
from nalm.analysis.selection import labels
from nalm.analysis.statistics import Estimate, wilson
from nalm.errors import NalmError
from nalm.experiments.catalog import experiment_names, load_experiment
from nalm.experiments.experiment import Experiment
from nalm.log import notices
from nalm.store.store import Store

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

Groups = dict[tuple[str, str | None], pd.DataFrame]


def compare(directory: Path | str, experiment: str | None = None) -> pd.DataFrame:
    """Compares the results in a directory with published numbers.

    A row per variant and task, and one per variant over all tasks (its ``task`` is None): ours with Wilson's
    interval, the published count or rate with its source, the difference (ours − published) with Newcombe's interval,
    and a ``verdict``: ``agrees`` if the interval has 0 in it, ``differs`` if not; ``nothing published``; ``no count
    published`` where the number of runs is not known; ``other tasks`` where the published number is over other tasks
    than ours, or ours is over unequally many runs of them. ``changed`` names the fields of recipe and task that are
    not those of the catalog.

    Arguments:
        directory: with results.
        experiment: the one to compare; by default all of them.

    Raises:
        NalmError: there are no finished runs, or not of this experiment.
    """
    names = Store.existing(directory).experiments.names() if experiment is None else [experiment]
    rows = {name: _beside_published(load(directory, name)) for name in names}
    if unfinished := [name for name in names if not rows[name]]:
        sentence = f"found no finished runs of {', '.join(unfinished)} in {str(directory)!r}"
        if len(unfinished) == len(names):
            raise NalmError(sentence)
        notices.add(sentence)
    return pd.DataFrame([row for name in names for row in rows[name]]).astype(dict.fromkeys(INTEGERS, "Int64"))


def compare_results(first: Path | str, second: Path | str, experiment: str | None = None) -> pd.DataFrame:
    """Compares two results directories, run by run, over the seeds that both have.

    A row per variant and task in both, and one per variant over all of them (its ``task`` is None): how many pairs of
    runs were solved in both, in the first only, in the second only, in neither; the difference of the success rates
    (first − second) with Newcombe's paired interval and the p-value of McNemar's exact test; and a ``verdict``:
    ``same`` if the interval has 0 in it, ``differs`` if not. ``changed`` names the fields of recipe and task that
    differ under the same labels.

    Arguments:
        first: a directory with results.
        second: another one.
        experiment: the one to compare; by default all that are in both.

    Raises:
        NalmError: there is nothing that both have.
    """
    known = [Store.existing(directory).experiments.names() for directory in (first, second)]
    names = [name for name in known[0] if name in known[1]] if experiment is None else [experiment]
    rows = [row for name in names for row in _pairs(load(first, name), load(second, name))]
    if not rows:
        raise NalmError(f"found no variant, task and seed of the same experiment in {str(first)!r} and {str(second)!r}")
    return pd.DataFrame(rows)


def compare_variants(results: Results, first: str, second: str, tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Compares two variants of an experiment, run by run, over the tasks and seeds that both have.

    Runs of one seed draw the same numbers, whatever their variant. A row per task, and one over all of them if there
    are several (its ``task`` is None), with the columns of :func:`compare_results` from ``pairs`` to ``verdict``.

    Arguments:
        results: of an experiment.
        first: label of a variant.
        second: label of another one.
        tasks: labels; by default all.

    Raises:
        NalmError: there is no such variant or task, both variants are one, or there is nothing that both have.
    """
    if first == second:
        raise NalmError(f"found {first!r} twice, expected two of: {', '.join(results.experiment.variants)}")
    there = [labels(results, [label], tasks)[1] for label in (first, second)]
    runs = results.runs()
    runs = runs[runs["task"].isin(set(there[0]) & set(there[1]))]
    one, other = (runs[runs["variant"] == label] for label in (first, second))
    paired = one.merge(other[["task", "seed", "solved"]], on=["task", "seed"], suffixes=("", "_second"))
    groups = _groups(paired, results.experiment)
    rows = [{"task": task, **_paired(group["solved"], group["solved_second"])} for (_, task), group in groups.items()]
    if not rows:
        raise NalmError(f"found no task and seed that both {first!r} and {second!r} have")
    return pd.DataFrame(rows if len(rows) > 2 else rows[:1])


# Beside published numbers


def _beside_published(results: Results) -> list[dict[str, Any]]:
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
    """What is published of a variant on a task; over all tasks, the sum of what is on each of them, or else a total."""
    of_variant = {
        record.task: record
        for record in published_numbers()
        if (record.experiment, record.variant) == (experiment, variant) and record.success_rate is not None
    }
    summed = _sum([of_variant[label] for label in runs]) if task is None and set(runs) <= set(of_variant) else None
    return summed or of_variant.get(task)


def _sum(parts: Sequence[Published]) -> Published | None:
    """All tasks together, if one source has equally many runs of each."""
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
    """The difference from what is published, where there is one, and the verdict."""
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
    """The published count and rate of a row of :func:`compare`, for people to read; a dash if there is none."""
    rate, solved = row["published_rate"], row["published_solved"]
    if math.isnan(rate):
        return "–"
    return f"{rate:.1%}" if pd.isna(solved) else f"{solved}/{row['published_runs']} = {rate:.1%}"


# Beside each other


def _pairs(first: Results, second: Results) -> list[dict[str, Any]]:
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
                **_paired(group["solved"], group["solved_second"]),
                "changed": _changed(first.experiment, second.experiment, variant, task),
            }
        )
    return rows


def _paired(one: pd.Series, other: pd.Series) -> dict[str, Any]:
    """Counts of the pairs by who solved them, and what they say."""
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


# Both


def _groups(runs: pd.DataFrame, experiment: Experiment) -> Groups:
    """Runs by variant and task, and by variant over all tasks, in the experiment's order; none is empty."""
    groups: Groups = {}
    for variant in experiment.variants if len(runs) else ():
        of_variant = runs[runs["variant"] == variant]
        for task in [*experiment.tasks, None]:
            group = of_variant if task is None else of_variant[of_variant["task"] == task]
            if len(group):
                groups[variant, task] = group
    return groups


def _changed(one: Experiment, other: Experiment, variant: str, task: str | None) -> str | None:
    """Fields of the recipe and of the task, or all tasks, in which two experiments differ under the same labels."""
    pairs: list[tuple[BaseModel | None, BaseModel | None]] = [
        (one.variants.get(variant), other.variants.get(variant)),
        *((one.tasks.get(label), other.tasks.get(label)) for label in (one.tasks if task is None else [task])),
    ]
    fields = [field for mine, theirs in pairs if mine and theirs for field in _differing(mine, theirs)]
    return ", ".join(dict.fromkeys(fields)) or None


def _differing(one: BaseModel, other: BaseModel) -> list[str]:
    mine, theirs = (model.model_dump(mode="json") for model in (one, other))
    return [field for field in mine if mine[field] != theirs.get(field)]
