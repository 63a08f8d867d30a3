"""Weights of many runs, beside gold weights."""

__all__ = ["final_weights", "weight_histories"]

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from nalm.analysis.results import Results, TrainedRun
from nalm.analysis.selection import selected
from nalm.errors import NalmError
from nalm.modules import ArithmeticModule
from nalm.modules.functional import SATURATED
from nalm.spec.recipe import STORED, Recipe
from nalm.spec.task import Task

Vector = npt.NDArray[np.float64]
Moments = list[tuple[int, int]]
"""Rows of kept parameters, and their iterations."""
MomentsOf = Callable[[TrainedRun], Moments]


def weight_histories(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Weights at every evaluation, beside those with which the module computes the operation.

    Of an arithmetic module these are its effective weights, and those parameters on which they do not depend, such as
    gates; of any other module its parameters.

    Arguments:
        results: of an experiment.
        variants: labels; by default all.
        tasks: labels; by default all.

    Returns:
        A row per ``variant``, ``task``, ``seed``, ``iteration``, ``parameter`` and ``index``, with whether the run was
        ``solved``, the ``value``, and the ``gold`` value: NaN if there is none, as the module or the operands are not
        such, or if it is only far away, such as of a gate that a sigmoid saturates. ``place`` is the index if gold
        values are alike in all runs of a variant and task; where each seed has its own operands, it is the position
        with the greatest gold value first, so that what is in one place plays one part in all runs.

    Raises:
        NalmError: there is no such variant or task, no runs, or their weights were not kept.
    """

    def moments(run: TrainedRun) -> Moments:
        return list(enumerate(run.iterations.tolist())) if run.has_parameter_histories else []

    return _table(results, variants, tasks, moments)


def final_weights(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Weights after training; otherwise as ``weight_histories``.

    Raises:
        NalmError: as ``weight_histories`` does.
    """
    return _table(results, variants, tasks, lambda run: [(-1, run.run.recipe.iterations + 1)])


def _table(results: Results, variants: Sequence[str], tasks: Sequence[str], moments_of: MomentsOf) -> pd.DataFrame:
    runs = [run for run in selected(results, variants, tasks) if run.parameters()]
    parts = [part for run in runs for part in _of_run(run, moments_of(run)) if len(part)]
    if not parts:
        raise NalmError(f"found no weights in the runs of {results.experiment.name}, expected runs that kept them")
    table = pd.concat(parts, ignore_index=True)
    alike = table.groupby(["variant", "task", "parameter", "index"])["gold"].transform("nunique") <= 1
    everywhere = alike.groupby([table["variant"], table["task"]]).transform("all")
    return table.assign(place=table["index"].where(everywhere, table["place"]))


def _of_run(run: TrainedRun, moments: Moments) -> Iterator[pd.DataFrame]:
    """A table for each parameter."""
    rows, iterations = [row for row, _ in moments], [iteration for _, iteration in moments]
    task, seed = run.run.task, run.run.seed
    gold = _gold(run.run.recipe.model_dump_json(), task, _gold_operands(task, seed))
    solved = run.outcome()["solved"]
    for name, values in _values(run, rows).items():
        elements = values.shape[1]
        target = gold.get(name, np.full(elements, np.nan))
        places = np.empty(elements, dtype=np.int64)
        places[np.argsort(-np.nan_to_num(target), kind="stable")] = np.arange(elements)
        yield pd.DataFrame(
            {
                "variant": run.variant,
                "task": run.task,
                "seed": seed,
                "solved": solved,
                "iteration": np.repeat(iterations, elements),
                "parameter": name,
                "index": np.tile(np.arange(elements), len(rows)),
                "place": np.tile(places, len(rows)),
                "gold": np.tile(target, len(rows)),
                "value": values.ravel(),
            }
        )


def _values(run: TrainedRun, rows: Sequence[int]) -> dict[str, Vector]:
    """The weights at some evaluations, ``(rows, elements)``, by name."""
    if not rows:
        return {}
    kept, module = run.parameters(), run.module()
    if not isinstance(module, ArithmeticModule):
        return {name: values[rows].reshape(len(rows), -1) for name, values in kept.items()}
    free = _free(module)
    found: dict[str, list[Vector]] = {}
    for row in rows:
        with torch.no_grad():
            for name, values in kept.items():
                module.get_parameter(name).copy_(torch.from_numpy(values[row]))
        for name, value in _weights(module, free).items():
            found.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in found.items()}


def _free(module: ArithmeticModule) -> list[str]:
    """Names of the parameters on which no effective weight depends."""
    names, parameters = zip(*module.named_parameters(), strict=True)
    weights = [weight.sum() for weight in module.effective_weights().values()]
    gradients = torch.autograd.grad(torch.stack(weights).sum(), parameters, allow_unused=True)
    return [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]


@torch.no_grad()
def _weights(module: ArithmeticModule, free: Sequence[str]) -> dict[str, Vector]:
    """Effective weights, and parameters on which they do not depend, each in one row."""
    tensors = module.effective_weights() | {name: module.get_parameter(name) for name in free}
    return {name: tensor.double().flatten().numpy().copy() for name, tensor in tensors.items()}


def _gold_operands(task: Task, seed: int) -> tuple[int, ...]:
    try:
        return tuple(task.gold_operands(seed))
    except ValueError:
        return ()


@lru_cache(maxsize=1024)
def _gold(recipe: str, task: Task, operands: tuple[int, ...]) -> dict[str, Vector]:
    """Return gold values by name; none without operands, or if the module has no gold weights."""
    module = task.probe(Recipe.model_validate_json(recipe, context=STORED))
    if not isinstance(module, ArithmeticModule) or not operands:
        return {}
    try:
        free = _free(module)
        module.gold(task.operation, *operands)
    except ValueError:
        return {}
    weights = _weights(module, free)
    return {name: np.where(np.abs(values) < SATURATED, values, np.nan) for name, values in weights.items()}
