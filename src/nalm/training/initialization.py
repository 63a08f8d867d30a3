"""The initial weights of runs."""

from collections.abc import Callable

import torch
from torch import nn

from nalm.modules.base import ArithmeticModule

__all__ = ["initial_module", "noise_shape", "redrawn"]


def initial_module(build: Callable[[], nn.Module], dtype: torch.dtype, seed: int) -> tuple[nn.Module, torch.Generator]:
    """Return a module with the initial weights of a seed, and a generator that continues the seed's random numbers.

    As in the original, the module is constructed and then reset once more.
    """
    before = torch.get_default_dtype()
    generator = torch.Generator()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed spends ten times as long on other devices
        torch.set_default_dtype(dtype)
        try:
            module = build()
        finally:
            torch.set_default_dtype(before)
        generator.set_state(torch.get_rng_state())
    return redrawn(module, generator), generator


def redrawn(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw new weights from the generator, if the module has ``reset_parameters``, and return the module."""
    if callable(reset := getattr(module, "reset_parameters", None)):
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            reset()
            generator.set_state(torch.get_rng_state())
    return module


def noise_shape(module: nn.Module, inputs: torch.Size) -> tuple[int, ...] | None:
    """Return the shape of the noise for a training pass over inputs of this shape, or None if there is no noise."""
    return module.noise_shape(inputs) if isinstance(module, ArithmeticModule) else None
