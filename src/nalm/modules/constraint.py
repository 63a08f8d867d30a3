"""Keep weights within their bounds in any training loop."""

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from nalm.modules.base import ArithmeticModule

__all__ = ["constrain"]


def constrain(model: nn.Module, optimizer: Optimizer) -> RemovableHandle:
    """Project every arithmetic module of the model onto its bounds after each step of the optimizer, from now on.

    Call it once before an ordinary loop, or in ``configure_optimizers`` of Lightning. Nothing else changes.

    Arguments:
        model: a module that contains arithmetic modules, or is one.
        optimizer: the optimizer of its parameters.

    Returns:
        A handle whose ``remove()`` ends the projections.

    Raises:
        ValueError: there is no arithmetic module in the model.

    >>> import torch
    >>> from nalm.modules import NMRU
    >>> model = nn.Sequential(nn.Linear(4, 3), NMRU(3, 1))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=100.0)
    >>> handle = constrain(model, optimizer)
    >>> model(torch.ones(8, 4)).sum().backward()
    >>> optimizer.step()
    >>> 0 <= model[1].weight.min() and model[1].weight.max() <= 1
    tensor(True)
    """
    parts = [part for part in model.modules() if isinstance(part, ArithmeticModule)]
    if not parts:
        raise ValueError(f"found no arithmetic module in {type(model).__name__}, expected at least one to constrain")

    def project(*_: Any) -> None:
        for part in parts:
            part.project_()

    return optimizer.register_step_post_hook(project)
