"""Construction of ensembles' programs, which ensembles that differ only in numbers share."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import nn

from nalm.log import warn_once
from nalm.registry import names_other_code
from nalm.spec.recipe import Recipe
from nalm.training.compiling import compiler_problem
from nalm.training.ensemble.stack import Stack
from nalm.training.ensemble.step import Models, Program, VectorizedModels, fixed_state
from nalm.training.initialization import noise_shape
from nalm.training.optimizers import iteration_scalars, optimizer_structure

__all__ = ["make_program", "vectorized_program"]

_PROGRAMS: dict[Hashable, Program] = {}
"""Cache of this process's programs by structure: a worker that trains many shards compiles each structure once."""


def vectorized_program(
    recipe: Recipe, stack: Stack, modules: Sequence[nn.Module], device: torch.device, compiled: bool
) -> Program | None:
    """Return the program of a stack. Stacks of the same structure share it.

    Arguments:
        recipe: the recipe of the models.
        stack: the models.
        modules: one of the models, or all of them if their buffers may differ.
        device: the device to train on.
        compiled: whether to compile; if that is impossible, the program runs eagerly and a warning says so once.

    Returns:
        The program, or None, with a warning, if the models cannot be vectorized.
    """
    structure = _structure(recipe, stack, device, compiled)
    if structure in _PROGRAMS:
        return _PROGRAMS[structure]
    template = modules[0].to(device)
    models = VectorizedModels(template, recipe)
    if (problem := _vectorization_problem(recipe, stack, modules, models, device)) is not None:
        warn_once(f"{recipe.architecture} cannot be vectorized ({problem}): its runs train one by one")
        return None
    problem = compiler_problem(device.type) if compiled else None
    if problem is not None:
        warn_once(f"cannot compile here ({problem}): training runs eagerly, many times slower")
    steady = not names_other_code(repr(structure))  # our own code is tested for that
    program = make_program(recipe, stack, models, template, compiled and problem is None, steady)
    if not fixed_state(template):  # buffers and frozen parameters depend on the seed, not on the structure
        _PROGRAMS[structure] = program
    return program


def make_program(
    recipe: Recipe, stack: Stack, models: Models, template: nn.Module, compiled: bool, steady: bool = False
) -> Program:
    """Make the program of a stack of vectorized or looped models."""
    return Program(models, template, recipe, stack.sampler.batch, list(_scalars(recipe)), compiled, steady)


def _scalars(recipe: Recipe) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return iteration_scalars(recipe, np.zeros(1, dtype=np.int64))


def _structure(recipe: Recipe, stack: Stack, device: torch.device, compiled: bool) -> Hashable:
    """Return everything that decides the graph: a recipe without its numbers, and the shapes."""
    return (
        recipe.model_dump_json(include={"module", "second"}),
        recipe.criterion,
        optimizer_structure(recipe),
        recipe.precision,
        tuple(_scalars(recipe)),
        stack.sampler.structure,
        (stack.size, stack.sampler.numbers_per_batch, recipe.batch_size),
        device,
        compiled,
    )


def _vectorization_problem(
    recipe: Recipe, stack: Stack, modules: Sequence[nn.Module], models: VectorizedModels, device: torch.device
) -> str | None:
    """Compare the modules' buffers and try a small step; return why the modules cannot be vectorized, or None."""
    first, *rest = map(fixed_state, modules)
    if any(not torch.equal(first[name], state[name]) for state in rest for name in first):
        return "its buffers differ from run to run"
    rows = torch.ones(stack.size, 2, stack.sampler.columns, dtype=recipe.dtype, device=device)
    scalars = {name: rows.new_ones(()) for name in _scalars(recipe)}
    per_run = {"validation_error": rows.new_ones(len(rows))} if recipe.asks_for_validation_errors else {}
    if (shape := noise_shape(modules[0], rows.shape[1:])) is not None:
        per_run["noise"] = rows.new_full((len(rows), *shape), 0.5)
    try:
        models.gradients(stack.state.parameters, rows, rows[..., :1], scalars, per_run)
        models.errors(stack.state.parameters, rows, rows[..., :1])
    except RuntimeError as error:  # vmap raises it for everything that it does not support
        return str(error).strip().split(". ")[0].splitlines()[0]
    return None
