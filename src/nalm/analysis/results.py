"""Read results as data frames and trained modules."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nalm.analysis.outcomes import Outcomes, group_statistics, has_references
from nalm.errors import NalmError
from nalm.execution.plan import block_names
from nalm.experiments.experiment import Experiment, check_labels
from nalm.experiments.index import figures_called
from nalm.experiments.runs import Run, runs_of
from nalm.paths import content_hash
from nalm.remember import remembered
from nalm.spec.thresholds import Threshold, best_row
from nalm.store.columns import EVALUATION_COLUMNS
from nalm.store.rows import StoredRun, stored_runs
from nalm.store.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

__all__ = ["Results", "TrainedRun", "learnt_expression", "load"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedRun(StoredRun):
    """A run of an experiment, with what happened to it.

    Arguments:
        variant: label of its variant.
        task: label of its task.
        run: its recipe, task and seed.
        reference: threshold that was found from other runs, for tasks that are judged by one.
    """

    variant: str
    task: str
    run: Run
    reference: Threshold | None = None

    @classmethod
    def from_stored(
        cls, stored: StoredRun, variant: str, task: str, run: Run, reference: Threshold | None = None
    ) -> TrainedRun:
        """Return a stored run with its place in an experiment."""
        return cls(**vars(stored), variant=variant, task=task, run=run, reference=reference)

    @property
    def threshold(self) -> Threshold:
        """The threshold that decides whether it is solved.

        Raises:
            NalmError: the task's threshold cannot be computed for this run.
        """
        return self.run.threshold if self.reference is None else self.reference

    def outcome(self) -> dict[str, Any]:
        """Return whether the run was solved, when, and its errors at the best validation row."""
        validation, test = self.validation_errors.tolist(), self.test_errors.tolist()
        threshold = self.threshold
        best = best_row(validation, threshold.rows) if validation else None
        crossings = [
            iteration for iteration, error in zip(self.iterations.tolist(), test, strict=True) if threshold.met(error)
        ]
        return {
            "variant": self.variant,
            "task": self.task,
            "seed": self.run.seed,
            "solved": threshold.solved(validation, test),
            "iteration_solved": crossings[0] if crossings else None,
            "validation_error": _at(validation, best),
            "test_error": _at(test, best),
            "sparsity_error": _at(self.sparsity_errors.tolist(), best),
            "diverged_at": self.diverged_at,
        }

    def history(self) -> pd.DataFrame:
        """Return a row per evaluation, with ``parameter.index`` columns if parameters were kept at every evaluation."""
        import pandas as pd

        columns = {column.name: getattr(self, column.field) for column in EVALUATION_COLUMNS}
        evaluations = len(self.iterations)
        for name, values in self.parameters().items() if self.has_parameter_histories else ():
            for index, series in enumerate(values.reshape(len(values), -1).T):
                columns[f"{name}.{index}"] = series[:evaluations]
        return pd.DataFrame(columns)

    @property
    def has_parameter_histories(self) -> bool:
        """Whether its parameters are known at every evaluation, not only after training."""
        return all(len(values) > len(self.iterations) for values in self.parameters().values())

    @property
    def has_parameters(self) -> bool:
        """Whether its parameters are known; those of imported runs are not."""
        return "imported" not in self.provenance

    def module(self) -> nn.Module:
        """Return the trained module, in evaluation mode.

        Raises:
            NalmError: its parameters are not known, or its module cannot be imported any more, or is another one now.
        """
        import torch

        if not self.has_parameters:
            raise NalmError(
                f"found no parameters of {self.variant} on {self.task} with seed {self.run.seed}, which was imported"
            )
        module = self._untrained().to(self.run.recipe.dtype)
        state = module.state_dict()
        stored = {name: values[-1] for name, values in self.parameters().items()} | dict(self.flat_buffers)
        if {name: value.numel() for name, value in state.items()} != {name: len(v.flat) for name, v in stored.items()}:
            raise NalmError(
                f"found the stored parameters {', '.join(stored)}, expected those that {self.run.recipe.architecture} "
                f"has now: {', '.join(f'{name} {tuple(value.shape)}' for name, value in state.items())}"
            )
        module.load_state_dict({name: torch.tensor(stored[name]).reshape(state[name].shape) for name in state})
        return module.eval()

    def description(self) -> dict[str, Any]:
        """Return everything about the run: its outcome, expression, weights, provenance and history.

        If its module cannot be imported any more, the expression says so, and the weights are flat.
        """
        return {
            **self.outcome(),
            "expression": self._expression(),
            "weights": {name: values[-1].tolist() for name, values in self.parameters().items()},
            "provenance": self.provenance,
            "history": self.history().to_dict(orient="records"),
        }

    def _expression(self) -> str | None:
        if not self.has_parameters:
            return None
        kept = [*self.flat_parameters.values(), *self.flat_buffers.values()]
        weights = content_hash(b"".join(np.ascontiguousarray(values).tobytes() for values in kept))
        try:
            return remembered("expression", f"{self._network} with {weights}", lambda: learnt_expression(self.module()))
        except NalmError as error:
            return f"unknown: {error}"

    @property
    def _network(self) -> str:
        """The task and the recipe, which decide the network: what is remembered about it needs no torch."""
        task = self.run.task
        return f"{type(task).__name__} {task.model_dump_json()} by {self.run.recipe.model_dump_json()}"

    def _shapes(self) -> dict[str, list[int]]:
        """Return the shapes of the network's parameters.

        Raises:
            NalmError: its module cannot be imported any more.
        """

        def shapes() -> dict[str, list[int]]:
            return {name: list(parameter.shape) for name, parameter in self._untrained().named_parameters()}

        return remembered("shapes", self._network, shapes)

    def _untrained(self) -> nn.Module:
        try:
            return self.run.task.probe(self.run.recipe)
        except ValueError as error:
            raise NalmError(str(error)) from None

    def parameters(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Return the parameters that were kept. The first axis has the evaluations, then the values after training.

        The other axes are the parameter's, or a single one if its module cannot be imported any more.
        """
        if not self.flat_parameters:
            return {}
        try:
            shapes = self._shapes()
        except NalmError:
            return self._flat_parameters()
        if any(len(values) % (prod(shapes.get(name, ())) or 1) for name, values in self.flat_parameters.items()):
            return self._flat_parameters()  # another module has the name now
        return {
            name: self.flat_parameters[name].reshape(-1, *shape)
            for name, shape in shapes.items()
            if name in self.flat_parameters
        }

    def _flat_parameters(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Return the parameters as flat rows, as many as there are evaluations, or one if only the last was kept."""
        from nalm.training.history import MOST_PARAMETERS

        evaluations = self.run.recipe.iterations // self.run.recipe.evaluate_every + 1
        rows = 1 + (evaluations if self.diverged_at is not None else len(self.iterations))
        lengths = [len(values) for values in self.flat_parameters.values()]
        every = not any(length % rows for length in lengths) and evaluations * sum(lengths) // rows <= MOST_PARAMETERS
        return {name: values.reshape(rows if every else 1, -1) for name, values in self.flat_parameters.items()}


def learnt_expression(module: nn.Module) -> str | None:
    """Return the expression that a trained module computes; None if its modules have none, or if it diverged.

    A quotient whose operands have no weight is ``nan``, and the text says why.
    """
    from nalm.modules import ArithmeticModule, TwoLayers, expression

    layers = (module.first, module.second) if isinstance(module, TwoLayers) else (module,)
    if not all(isinstance(layer, ArithmeticModule) for layer in layers) or any(
        value.isnan().any() for value in module.parameters()
    ):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the text says it
        try:
            formulas = [str(formula) for formula in expression(module)]
        except ValueError:  # an operation of its forward pass has no formula
            return None
    return ", ".join(f"{formula} (a division by 0)" if formula == "nan" else formula for formula in formulas)


class Results:
    """The results of one experiment in a results directory, which is only read.

    Arguments:
        experiment: the experiment.
        store: the results directory.
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self.experiment = experiment
        self._store = store

    @cached_property
    def _outcomes(self) -> Outcomes:
        return Outcomes(self.experiment, self._store)

    @cached_property
    def trained(self) -> list[TrainedRun]:
        """The finished runs of the experiment, in its order, with everything that is known about them."""
        labelled = list(runs_of(self.experiment))
        tables = self._store.runs({run.key for _, _, run in labelled})
        stored = {run.key: run for table, about in tables for run in stored_runs(table, about)}
        return [
            self._trained(stored[run.key], variant, task, run) for variant, task, run in labelled if run.key in stored
        ]

    def _trained(self, stored: StoredRun, variant: str, task: str, run: Run) -> TrainedRun:
        references = self._outcomes.references if has_references(self.experiment) else {}
        return TrainedRun.from_stored(stored, variant, task, run, references.get(task))

    @property
    def finished(self) -> int:
        """Number of the experiment's runs that are finished."""
        return len(self._outcomes.labelled)

    @property
    def missing(self) -> int:
        """Number of the experiment's runs that are not finished."""
        return self.experiment.runs - self.finished

    @property
    def labels(self) -> list[tuple[str, str]]:
        """Labels of variant and task that have finished runs, in the experiment's order."""
        return list(dict.fromkeys((variant, task) for variant, task, _ in self._outcomes.labelled))

    def thresholds(self) -> dict[tuple[str, str], Threshold]:
        """Return the thresholds that decide whether finished runs are solved, by labels of variant and task."""
        return self._outcomes.thresholds

    def runs(self) -> pd.DataFrame:
        """Return a row per finished run.

        Columns are ``variant``, ``task``, ``seed``, ``solved``, ``iteration_solved`` (first crossing of the threshold),
        the errors at the best validation row, and ``diverged_at``. Only the columns that decide these are read.
        """
        return self._outcomes.frame.copy()

    def summary(self) -> pd.DataFrame:
        """Return a row per variant and task, and one per variant over all tasks, whose ``task`` is None.

        Columns are the success rate with its Wilson interval, and of the solved runs the iteration (median; mean with
        the profile likelihood interval of a gamma distribution) and the sparsity error (mean with a BCa bootstrap
        interval).
        """
        return self._summary.copy()

    @cached_property
    def _summary(self) -> pd.DataFrame:
        import pandas as pd

        runs = self.runs()
        rows = []
        for variant in self.experiment.variants:
            own = runs[runs["variant"] == variant] if len(runs) else runs
            for label in [*self.experiment.tasks, None]:
                group = own if label is None or not len(own) else own[own["task"] == label]
                if len(group):
                    rows.append({"variant": variant, "task": label, **group_statistics(group)})
        return pd.DataFrame(rows)

    def task_summary(self) -> pd.DataFrame:
        """Return the summary without the rows over all tasks."""
        summary = self.summary()
        return summary[summary["task"].notna()] if len(summary) else summary

    def run(self, variant: str, task: str, seed: int) -> TrainedRun:
        """Return one run.

        Raises:
            NalmError: the experiment has no such variant or task, or the run is not finished.
        """
        check_labels("variant", [variant], self.experiment.variants)
        check_labels("task", [task], self.experiment.tasks)
        run = Run(self.experiment.variants[variant], self.experiment.tasks[task], seed)
        if seed in self.experiment.seeds and (found := self._store.run(run.key, block_names(self.experiment, run))):
            (stored,) = stored_runs(*found)
            return self._trained(stored, variant, task, run)
        labelled = self._outcomes.labelled
        seeds = [str(run.seed) for label, task_label, run in labelled if (label, task_label) == (variant, task)]
        raise NalmError(f"found no run of seed {seed}, expected one of: {', '.join(seeds) or 'none is there'}")

    def module(self, variant: str, task: str, seed: int) -> nn.Module:
        """Return the trained module of one run.

        Raises:
            NalmError: the run is not finished, or its parameters are not known.
        """
        return self.run(variant, task, seed).module()


def load(directory: Path | str, experiment: str | None = None) -> Results:
    """Load the results of an experiment.

    Arguments:
        directory: the results directory.
        experiment: name of the experiment; it can be left out if the directory has only one.

    Raises:
        NalmError: there are no results of the experiment.
    """
    store = Store.existing(directory)
    known = store.experiments.names()
    if experiment is None and len(known) > 1:
        raise NalmError(f"{str(directory)!r} holds several experiments, name one of: {', '.join(known)}")
    name = known[0] if experiment is None else experiment
    if name not in known and len(called := figures_called(name)) == 1:
        (name,) = called
    if name not in known:
        raise NalmError(f"found unknown experiment {name!r} in {str(directory)!r}, expected one of: {', '.join(known)}")
    return Results(store.experiments.read(name), store)


def _at(values: Sequence[float], index: int | None) -> float | None:
    return None if index is None else values[index]
