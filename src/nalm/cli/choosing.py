"""Experiments, variants and tasks as they are typed."""

from collections.abc import Collection, Sequence
from typing import Any

from nalm.errors import NalmError
from nalm.experiments.catalog import COMPUTED_FIGURES, figures_called, load_experiment
from nalm.experiments.experiment import Experiment
from nalm.experiments.seeds import parse_seeds

__all__ = ["choose", "choose_trained", "labels_of"]


def choose_trained(
    names: Sequence[str],
    seeds: str | None,
    variants: Sequence[str] | None,
    iterations: int | None,
    evaluate_every: int | None,
    settings: Sequence[str] | None,
    stop_when_solved: bool = False,
    tasks: Sequence[str] | None = None,
) -> list[Experiment]:
    """The experiments that names stand for, as `choose` finds them, without computed figures.

    Raises:
        NalmError: nothing is trained for any of the names.
    """
    figures = choose(names, seeds, variants, iterations, evaluate_every, settings, stop_when_solved, tasks)
    chosen = [figure for figure in figures if isinstance(figure, Experiment)]
    if not chosen:
        raise NalmError(f"nothing is trained for {figures[0]}: use `nalm reproduce {figures[0]}`")
    return chosen


def choose(
    names: Sequence[str],
    seeds: str | None,
    variants: Sequence[str] | None,
    iterations: int | None,
    evaluate_every: int | None,
    settings: Sequence[str] | None,
    stop_when_solved: bool = False,
    tasks: Sequence[str] | None = None,
) -> list[Experiment | str]:
    """The experiments that names stand for, with what is asked for; computed figures stay names."""
    names = list(dict.fromkeys(called for name in names for called in figures_called(name)))
    if len(names) > 1 and (variants or tasks or settings):
        raise NalmError(f"found --variants, --tasks or --set with {len(names)} experiments, expected them with one")
    changes: dict[str, Any] = {"iterations": iterations, "evaluate_every": evaluate_every}
    changes = {field: value for field, value in changes.items() if value is not None}
    changes |= {"stop_when_solved": True} if stop_when_solved else {}
    if all(name in COMPUTED_FIGURES for name in names) and (
        changes or seeds is not None or variants or tasks or settings
    ):
        raise NalmError(f"nothing is trained for {' and '.join(names)}: found options of training, expected none")
    parsed = parse_seeds(seeds) if seeds is not None else None
    chosen: list[Experiment | str] = []
    for name in names:
        if name in COMPUTED_FIGURES:
            chosen.append(name)
            continue
        experiment = load_experiment(name)
        if iterations is not None:
            experiment = experiment.with_iterations(iterations)  # before settings, which may be of ramps
        for setting in settings or ():
            experiment = experiment.with_setting(setting)
        if changes:
            experiment = experiment.changed(changes)
        of_variants = labels_of(variants, experiment.variants) if variants else None
        of_tasks = labels_of(tasks, experiment.tasks) if tasks else None
        chosen.append(experiment.narrowed(parsed, of_variants, of_tasks))
    return chosen


def labels_of(typed: Sequence[str], known: Collection[str]) -> list[str]:
    """Labels as they are typed: one at a time, or several with commas between them.

    A label that has a comma itself is one: of those that a text can start with, the longest counts.
    """
    return [label for text in typed for label in _split(text, known)]


def _split(text: str, known: Collection[str]) -> list[str]:
    labels, parts = [], text.split(",")
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if ",".join(parts[:end]).strip() in known), 1)
        labels.append(",".join(parts[:end]).strip())
        parts = parts[end:]
    return labels
