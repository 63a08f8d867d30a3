"""Select runs of results by variant and task."""

__all__ = ["labels", "only", "selected"]

from collections.abc import Mapping, Sequence
from typing import Any

from nalm.analysis.results import Results, TrainedRun
from nalm.errors import NalmError
from nalm.experiments.experiment import check_labels


def labels(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Return the chosen labels of variants and tasks that have runs, in the experiment's order; by default all.

    Raises:
        NalmError: a label is unknown, or none of the chosen runs are finished.
    """
    chosen_variants = _chosen("variant", variants, results.experiment.variants)
    chosen_tasks = _chosen("task", tasks, results.experiment.tasks)
    trained = [pair for pair in results.labels if pair[0] in chosen_variants and pair[1] in chosen_tasks]
    if not trained:
        raise NalmError(f"found no finished runs of {', '.join([*variants, *tasks]) or results.experiment.name}")
    trained_variants, trained_tasks = {variant for variant, _ in trained}, {task for _, task in trained}
    return (
        [label for label in chosen_variants if label in trained_variants],
        [label for label in chosen_tasks if label in trained_tasks],
    )


def _chosen(kind: str, found: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    check_labels(kind, found, known)
    return [label for label in known if not found or label in found]


def selected(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> list[TrainedRun]:
    """Return the finished runs of some variants on some tasks; by default all.

    Raises:
        NalmError: as :func:`labels`.
    """
    chosen_variants, chosen_tasks = labels(results, variants, tasks)
    return [run for run in results.trained if run.variant in chosen_variants and run.task in chosen_tasks]


def only(kind: str, found: Sequence[str]) -> str:
    """Return the only label.

    Raises:
        NalmError: there are several.
    """
    if len(found) > 1:
        raise NalmError(f"found {len(found)} {kind}s, name one of: {', '.join(found)}")
    return found[0]
