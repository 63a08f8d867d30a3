"""Runs of a results directory, chosen by experiment and variant, and read shard by shard."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from nalm.analysis.results import load
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, runs_of
from nalm.store.store import Store

__all__ = ["Place", "Selection", "select"]


class Place(NamedTuple):
    """Where a run stands in an experiment, by labels."""

    experiment: str
    variant: str
    task: str
    run: Run


class Selection:
    """Runs of one or several experiments, of which some may not be there.

    Arguments:
        store: the directory.
        experiments: all of whose runs are meant.
    """

    def __init__(self, store: Store, experiments: Sequence[Experiment]) -> None:
        self.store = store
        self.experiments = experiments
        self.places: dict[str, list[Place]] = {}
        """Of each run, by its key; a run that experiments share has several."""
        for experiment in experiments:
            for variant, task, run in runs_of(experiment):
                self.places.setdefault(run.key, []).append(Place(experiment.name, variant, task, run))

    def shards(self) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """Rows of the runs that are there, shard by shard, and what is said of each shard."""
        return self.store.runs(self.places.keys())


def select(
    directory: Path | str, experiment: str | Experiment | None = None, variants: Sequence[str] | None = None
) -> Selection:
    """Chooses runs of a results directory.

    Arguments:
        directory: where they are.
        experiment: the name of one that was run into it, of which all that is there is meant, or an experiment, of
            which no other runs are meant than its own; by default all of them.
        variants: labels of variants; by default all of them.

    Raises:
        NalmError: there are no such results.
    """
    store = Store.existing(directory)
    if isinstance(experiment, Experiment):
        chosen = [experiment]
    elif experiment is not None:
        chosen = [load(directory, experiment).experiment]
    else:
        chosen = [store.experiments.read(name) for name in store.experiments.names()]
    if variants:
        if len(chosen) > 1:
            raise NalmError(f"found variants with {len(chosen)} experiments, expected them with one")
        chosen = [chosen[0].narrowed(variants=variants)]
    return Selection(store, chosen)
