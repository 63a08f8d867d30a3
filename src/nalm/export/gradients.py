"""Recompute gradients at the weights of past evaluations, since training doesn't keep them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from nalm.modules import ArithmeticModule
from nalm.spec.recipe import Recipe
from nalm.spec.task import Task
from nalm.training.ensemble.step import VectorizedModels, fixed_state
from nalm.training.optimizers import iteration_scalars

__all__ = ["recomputed_gradients"]

Array = npt.NDArray[np.float64]


def recomputed_gradients(
    recipe: Recipe,
    runs: Sequence[tuple[Task, int]],
    parameters: Mapping[str, Array],
    iterations: Sequence[int],
    validation_errors: Array,
) -> dict[str, Array] | None:
    """Return gradients of the training loss, before clipping, on the first rows of the validation data.

    The batches of training are gone. These rows are from the same range, as many as a batch has, and always the same.

    Arguments:
        recipe: the recipe of the runs.
        runs: task and seed of each run; runs that can train together.
        parameters: values of shape ``(evaluations, runs, …)`` by name.
        iterations: iterations of the evaluations.
        validation_errors: errors of shape ``(evaluations, runs)``; some regularizers start below an error.

    Returns:
        Gradients of shape ``(evaluations, runs, …)`` by name. None for modules with noise or buffers, for those that
        cannot be vectorized, and for recurrent tasks: on these rows, theirs would not be the training loss.
    """
    held_out = runs[0][0].validation_rows(recipe, runs)
    if held_out is None:
        return None
    module = runs[0][0].probe(recipe).to(recipe.dtype)
    noisy = isinstance(module, ArithmeticModule) and module.noise_shape(torch.Size((2, held_out.inputs.shape[1])))
    if noisy or fixed_state(module):
        return None
    x = held_out.inputs[..., : recipe.batch_size][held_out.input_index].transpose(1, 2)
    target = held_out.targets[..., : recipe.batch_size][held_out.target_index].unsqueeze(-1)
    models, scalars = VectorizedModels(module, recipe), iteration_scalars(recipe, np.array(iterations))
    found: dict[str, list[Array]] = {name: [] for name in parameters}
    for evaluation in range(len(iterations)):
        per_run = {"validation_error": torch.from_numpy(validation_errors[evaluation]).to(recipe.dtype)}
        now = {name: torch.from_numpy(values[evaluation]).to(recipe.dtype) for name, values in parameters.items()}
        numbers = {name: torch.tensor(values[evaluation], dtype=recipe.dtype) for name, values in scalars.items()}
        try:
            gradients, _, _ = models.gradients(now, x, target, numbers, per_run)
        except RuntimeError:  # vmap raises this for everything that it cannot do
            return None
        for name, gradient in gradients.items():
            found[name].append(gradient.numpy().astype(np.float64))
    return {name: np.stack(values) for name, values in found.items()}
