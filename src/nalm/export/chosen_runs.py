"""Choose runs of a results directory by experiment and variant, and read them shard by shard."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from nalm.analysis.results import load
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, runs_of
from nalm.store.store import Store

__all__ = ["LabelledRun", "Selection", "select"]


class LabelledRun(NamedTuple):
    """A run with the labels that it has in an experiment."""

    experiment: str
    variant: str
    task: str
    run: Run


class Selection:
    """The runs of one or several experiments, some of which may be missing.

    Arguments:
        store: the results directory.
        experiments: the experiments, with all of their runs.
    """

    def __init__(self, store: Store, experiments: Sequence[Experiment]) -> None:
        self.store = store
        self.experiments = experiments
        self.labelled: dict[str, list[LabelledRun]] = {}
        """Labels of each run by its key; a run that experiments share has several."""
        for experiment in experiments:
            for variant, task, run in runs_of(experiment):
                self.labelled.setdefault(run.key, []).append(LabelledRun(experiment.name, variant, task, run))

    def shards(self) -> Iterator[tuple[pa.Table, dict[str, Any]]]:
        """Yield the rows of the finished runs, shard by shard, and what each shard's file says about them."""
        return self.store.runs(self.labelled.keys())


def select(
    directory: Path | str, experiment: str | Experiment | None = None, variants: Sequence[str] | None = None
) -> Selection:
    """Choose runs of a results directory.

    Arguments:
        directory: the results directory.
        experiment: name of an experiment that was run into the directory, to choose all of its runs; or an experiment,
            to choose only its own runs; by default all experiments.
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
