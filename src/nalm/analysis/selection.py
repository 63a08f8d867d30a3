"""Some of the runs of results."""

__all__ = ["labels", "only", "selected"]

from collections.abc import Mapping, Sequence
from typing import Any

from nalm.analysis.results import Results, TrainedRun
from nalm.errors import NalmError
from nalm.experiments.experiment import check_labels


def labels(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Labels of the variants and tasks that are asked for and have runs, in the experiment's order; by default all.

    Raises:
        NalmError: the experiment has no such variant or task, or nothing of it was trained.
    """
    asked = [
        _known(kind, found, known)
        for kind, found, known in (
            ("variant", variants, results.experiment.variants),
            ("task", tasks, results.experiment.tasks),
        )
    ]
    places = [(run.variant, run.task) for run in results.trained if run.variant in asked[0] and run.task in asked[1]]
    if not places:
        raise NalmError(f"found no finished runs of {', '.join([*variants, *tasks]) or results.experiment.name}")
    there = [dict.fromkeys(column) for column in zip(*places, strict=True)]
    return [label for label in asked[0] if label in there[0]], [label for label in asked[1] if label in there[1]]


def _known(kind: str, found: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    check_labels(kind, found, known)
    return [label for label in known if not found or label in found]


def selected(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> list[TrainedRun]:
    """The trained runs of some variants on some tasks; by default all.

    Raises:
        NalmError: as ``labels`` does.
    """
    of, on = labels(results, variants, tasks)
    return [run for run in results.trained if run.variant in of and run.task in on]


def only(kind: str, found: Sequence[str]) -> str:
    """The one label that there is.

    Raises:
        NalmError: there are several.
    """
    if len(found) > 1:
        raise NalmError(f"found {len(found)} {kind}s, name one of: {', '.join(found)}")
    return found[0]
