"""The models that runs start with."""

import torch
from torch import nn

from nalm.modules.base import ArithmeticModule
from nalm.spec.recipe import Recipe

__all__ = ["initial_module", "noise_shape", "redrawn"]


def initial_module(recipe: Recipe, in_features: int, hidden_size: int, seed: int) -> tuple[nn.Module, torch.Generator]:
    """A model with the run's initial weights, and a generator that goes on with the random numbers after theirs.

    It is constructed and then reset once more, as the original does.
    """
    before = torch.get_default_dtype()
    generator = torch.Generator()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_default_dtype(recipe.dtype)
        try:
            module = recipe.build(in_features, hidden_size)
        finally:
            torch.set_default_dtype(before)
        generator.set_state(torch.get_rng_state())
    return redrawn(module, generator), generator


def redrawn(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """The model with new weights from the generator, if it can draw any."""
    if callable(reset := getattr(module, "reset_parameters", None)):
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            reset()
            generator.set_state(torch.get_rng_state())
    return module


def noise_shape(module: nn.Module, inputs: torch.Size) -> tuple[int, ...] | None:
    """Shape of the noise that a training pass of the module over such inputs takes, if it takes any."""
    return module.noise_shape(inputs) if isinstance(module, ArithmeticModule) else None
