"""The initial weights of runs."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from nalm.modules.base import ArithmeticModule
from nalm.spec.starts import Start

__all__ = ["draw_starts", "initial_module", "noise_shape", "redrawn"]

Starts = Mapping[str, Start]


def initial_module(
    build: Callable[[], nn.Module], dtype: torch.dtype, seed: int, starts: Starts
) -> tuple[nn.Module, torch.Generator]:
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
    return redrawn(module, generator, starts), generator


def redrawn(module: nn.Module, generator: torch.Generator, starts: Starts) -> nn.Module:
    """Draw new weights from the generator, and return the module.

    Its ``reset_parameters``, if it has any, draws all of them first; then those are drawn that have a distribution of
    their own.
    """
    if callable(reset := getattr(module, "reset_parameters", None)):
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            reset()
            generator.set_state(torch.get_rng_state())
    draw_starts(module, generator, starts)
    return module


@torch.no_grad()
def draw_starts(module: nn.Module, generator: torch.Generator | None, starts: Starts) -> None:
    """Draw the parameters that have a distribution of their own, in the module's order.

    Arguments:
        module: the module.
        generator: the generator to draw from, or None for torch's.
        starts: distributions by name of parameter.
    """
    for name, parameter in module.named_parameters():
        if (start := starts.get(name)) is None:
            continue
        if start.uniform is not None:
            parameter.uniform_(*start.uniform, generator=generator)
        elif start.normal is not None:
            parameter.normal_(*start.normal, generator=generator)
        elif start.truncated_normal is not None:
            nn.init.trunc_normal_(parameter, *start.truncated_normal, generator=generator)
        elif start.constant is not None:
            parameter.fill_(start.constant)


def noise_shape(module: nn.Module, inputs: torch.Size) -> tuple[int, ...] | None:
    """Return the shape of the noise for a training pass over inputs of this shape, or None if there is no noise."""
    return module.noise_shape(inputs) if isinstance(module, ArithmeticModule) else None
