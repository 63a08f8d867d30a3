"""One step of training on trial, so that a module that cannot be trained is refused before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["initialized", "try_step"]


def initialized(module: nn.Module, in_features: int) -> nn.Module:
    """Return the module after a pass that gives lazy parameters their shapes, if it has any."""
    import torch
    from torch.nn.parameter import is_lazy

    if any(is_lazy(value) for value in [*module.parameters(), *module.buffers()]):
        training = module.training
        with torch.no_grad():
            module.eval()(torch.ones(2, in_features))
        module.train(training)
    return module


def try_step(module: nn.Module, name: str, dtype: torch.dtype, in_features: int, backwards: bool) -> None:
    """Pass two rows through a module in a recipe's precision, and back.

    Arguments:
        module: the module, which is converted to ``dtype``.
        name: its name.
        dtype: the recipe's precision.
        in_features: number of inputs.
        backwards: whether to try the backward pass.

    Raises:
        ValueError: a pass fails, or what it gives cannot be trained.
    """
    import torch

    before = {parameter.dtype for parameter in module.parameters()}
    if strange := [str(kind) for kind in before if kind.is_complex]:
        raise ValueError(f"module {name!r} has parameters of {strange[0]}, expected floating-point numbers")
    module = module.to(dtype)
    x = torch.ones(2, in_features, dtype=dtype)
    what = f"fails on an input of shape (2, {in_features})"
    try:
        with torch.random.fork_rng(devices=[]):
            output = module(x)
            shape = tuple(output.shape)
            if backwards and shape == (2, 1) and output.requires_grad:
                what = f"fails in the backward pass of an input of shape (2, {in_features})"
                output.real.sum().backward()
    except Exception as error:  # whatever the module raises
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        own = " and ".join(sorted(str(kind) for kind in before - {dtype})) if backwards else ""
        hint = f" (its own parameters are {own}, the recipe's precision is {dtype})" if own else ""
        raise ValueError(f"module {name!r} {what}: {reason}{hint}") from error
    if shape != (2, 1):
        raise ValueError(f"module {name!r} maps shape (2, {in_features}) to {shape}, expected (2, 1)")
    if not backwards:
        return
    if not output.is_floating_point() or not output.requires_grad:
        found = str(output.dtype) if not output.is_floating_point() else "detached from its parameters"
        raise ValueError(f"module {name!r} gives outputs that are {found}, expected real numbers with a gradient")
    if not bool((x == 1).all()):
        raise ValueError(f"module {name!r} changes its inputs in place, expected them as they were")
