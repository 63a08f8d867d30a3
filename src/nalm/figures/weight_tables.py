"""Tables of the weights of many runs, beside gold weights."""

__all__ = ["final_weights", "in_module_order", "panel_names", "weight_histories"]

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
from nalm.spec.names import STORED
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task

Vector = npt.NDArray[np.float64]
Evaluations = list[tuple[int, int]]
"""Indices into the kept parameters of a run, each with its iteration."""

MOST_SINGLE = 12
"""Greatest number of weights that are drawn one by one."""


def weight_histories(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Return the weights of every run at every evaluation, beside the gold weights.

    For an arithmetic module, these are its effective weights and the parameters that do not enter them, such as gates;
    for any other module, its parameters.

    Arguments:
        results: the results of an experiment.
        variants: labels of variants; by default all.
        tasks: labels of tasks; by default all.

    Returns:
        A row per ``variant``, ``task``, ``seed``, ``iteration``, ``parameter`` and ``index``, with whether the run was
        ``solved``, the ``value``, and the ``gold`` value. ``gold`` is NaN if the module has no gold weights for the
        operation, or if the gold value is only approached far away, as for a gate that a sigmoid saturates. ``place``
        is the index if all runs of a variant and task have the same gold values. Where each seed has its own operands,
        it is the rank by gold value, greatest first, so that weights in one place have the same role in all runs.

    Raises:
        NalmError: a variant or task is unknown, there are no runs, or their weights were not kept.
    """

    def evaluations(run: TrainedRun) -> Evaluations:
        return list(enumerate(run.iterations.tolist())) if run.has_parameter_histories else []

    return _table(results, variants, tasks, evaluations)


def final_weights(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Return the weights of every run after training, beside the gold weights.

    The arguments and the columns are those of :func:`weight_histories`.

    Raises:
        NalmError: as :func:`weight_histories`.
    """
    return _table(results, variants, tasks, lambda run: [(-1, run.run.recipe.iterations + 1)])


def in_module_order(table: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by parameter, in the module's order, and by place."""
    parameters = pd.Categorical(table["parameter"], list(table["parameter"].unique()))
    return table.assign(order=parameters.codes).sort_values(["order", "place"], kind="stable", ignore_index=True)


def panel_names(table: pd.DataFrame) -> pd.Series:
    """Name each weight by its index; by its gold value where weights are many or each seed has its own operands."""
    single = table["parameter"] + "." + table["index"].astype(str)
    if single.nunique() <= MOST_SINGLE and (table["place"] == table["index"]).all():
        return single
    gold = [f", gold {value:g}" for value in table["gold"]]
    return table["parameter"].where(table["gold"].isna(), table["parameter"] + gold)


def _table(
    results: Results,
    variants: Sequence[str],
    tasks: Sequence[str],
    evaluations: Callable[[TrainedRun], Evaluations],
) -> pd.DataFrame:
    runs = [run for run in selected(results, variants, tasks) if run.parameters()]
    parts = [part for run in runs for part in _parameter_tables(run, evaluations(run)) if len(part)]
    if not parts:
        raise NalmError(f"found no weights in the runs of {results.experiment.name}, expected runs that kept them")
    table = pd.concat(parts, ignore_index=True)
    alike = table.groupby(["variant", "task", "parameter", "index"])["gold"].transform("nunique") <= 1
    everywhere = alike.groupby([table["variant"], table["task"]]).transform("all")
    return table.assign(place=table["index"].where(everywhere, table["place"]))


def _parameter_tables(run: TrainedRun, evaluations: Evaluations) -> Iterator[pd.DataFrame]:
    """Yield a table for each parameter of a run."""
    rows, iterations = [row for row, _ in evaluations], [iteration for _, iteration in evaluations]
    task, seed = run.run.task, run.run.seed
    gold = _gold_values(run.run.recipe.model_dump_json(), task, _gold_operands(task, seed))
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
    """Return the weights at some evaluations by name, each with shape ``(rows, elements)``."""
    if not rows:
        return {}
    kept, module = run.parameters(), run.module()
    if not isinstance(module, ArithmeticModule):
        return {name: values[rows].reshape(len(rows), -1) for name, values in kept.items()}
    free = _free_parameters(module)
    found: dict[str, list[Vector]] = {}
    for row in rows:
        with torch.no_grad():
            for name, values in kept.items():
                module.get_parameter(name).copy_(torch.from_numpy(values[row]))
        for name, value in _weights(module, free).items():
            found.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in found.items()}


def _free_parameters(module: ArithmeticModule) -> list[str]:
    """Return the names of the parameters that do not enter any effective weight."""
    names, parameters = zip(*module.named_parameters(), strict=True)
    weights = [weight.sum() for weight in module.effective_weights().values()]
    gradients = torch.autograd.grad(torch.stack(weights).sum(), parameters, allow_unused=True)
    return [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]


@torch.no_grad()
def _weights(module: ArithmeticModule, free: Sequence[str]) -> dict[str, Vector]:
    """Return the effective weights and the free parameters of a module, each flattened."""
    tensors = module.effective_weights() | {name: module.get_parameter(name) for name in free}
    return {name: tensor.double().flatten().numpy().copy() for name, tensor in tensors.items()}


def _gold_operands(task: Task, seed: int) -> tuple[int, ...]:
    """Return the inputs to which gold weights apply the operation; none if they are not known."""
    try:
        return tuple(task.gold_operands(seed))
    except ValueError:
        return ()


@lru_cache(maxsize=1024)
def _gold_values(recipe: str, task: Task, operands: tuple[int, ...]) -> dict[str, Vector]:
    """Return the gold values by name; empty without operands, or if the module has none."""
    module = task.probe(Recipe.model_validate_json(recipe, context=STORED))
    if not isinstance(module, ArithmeticModule) or not operands:
        return {}
    try:
        free = _free_parameters(module)
        module.gold(task.operation, *operands)
    except ValueError:
        return {}
    weights = _weights(module, free)
    return {name: np.where(np.abs(values) < SATURATED, values, np.nan) for name, values in weights.items()}
