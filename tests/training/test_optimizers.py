"""The functional optimizers are torch.optim's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nalm.training.optimizers import SGD, Adam, Optimizer

STEPS = 200


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (Adam(), torch.optim.Adam, {}),
        (SGD(0.0), torch.optim.SGD, {}),
        (SGD(0.9), torch.optim.SGD, {"momentum": 0.9}),
    ],
    ids=["Adam", "SGD", "SGD with momentum"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_those_of_torch_optim(
    ours: Optimizer, theirs: Callable[..., torch.optim.Optimizer], options: dict[str, Any], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    start = torch.randn(5, 3, 2, dtype=dtype)
    gradients = (
        torch.randn(STEPS, 5, 3, 2, dtype=dtype) * torch.logspace(-8, 0, STEPS, dtype=dtype)[:, None, None, None]
    )
    reference = start.clone().requires_grad_()
    optimizer = theirs([reference], lr=1e-2, **options)
    parameters, state = {"weight": start}, ours.state({"weight": start})
    columns = ours.scalars(np.arange(STEPS), 1e-2)
    for step, gradient in enumerate(gradients):
        reference.grad = gradient.clone()
        optimizer.step()
        scalars = {name: torch.tensor(values[step], dtype=dtype) for name, values in columns.items()}
        parameters, state = ours.update(parameters, {"weight": gradient}, state, scalars)
    torch.testing.assert_close(
        parameters["weight"], reference.detach(), rtol=1e-7 if dtype == torch.float64 else 1e-6, atol=1e-7
    )
