"""Weights stay within their bounds, and become discrete."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.modules.helpers import (
    WITHOUT_DISCRETE_WEIGHTS,
    assert_within_bounds,
    every_variant,
    random_variant,
)
from tests.modules.variants import VARIANTS
from torch import nn

from nalm.modules import (
    NAU,
    NMU,
    ArithmeticCell,
    constrain,
)


@every_variant
def test_bounds_are_the_first_and_last_discrete_values(name: str) -> None:
    module = VARIANTS[name](2, 1)
    for key, (low, high) in module.bounds().items():
        if key in module.domain and module.domain[key] != (0, 0):
            assert (low, high) == module.domain[key]


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in WITHOUT_DISCRETE_WEIGHTS])
def test_discretized_weights_are_discrete(name: str) -> None:
    for seed in range(3):
        module = random_variant(name, seed=seed)
        assert module.sparsity_error() > 0.1
        assert module.discretize().sparsity_error() < 1e-12
        assert all(weight.isfinite().all() for weight in module.effective_weights().values())


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}

BOUNDED = [name for name, build in VARIANTS.items() if build(2, 1).bounds()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", BOUNDED)
def test_constrained_weights_stay_in_bounds_in_an_ordinary_loop(name: str, optimizer: str) -> None:
    torch.manual_seed(0)
    module = VARIANTS[name](3, 1)
    model = nn.Sequential(nn.Linear(3, 3), module)
    steps = OPTIMIZERS[optimizer](model.parameters(), lr=2.0)
    handle = constrain(model, steps)
    x = torch.rand(10, 3) + 1

    def train() -> None:
        steps.zero_grad()
        # Towards both ends of the bounds, so that without the projection every step would leave them.
        sum(
            (parameter * torch.linspace(-1, 1, parameter.numel()).view_as(parameter)).sum()
            for parameter in module.parameters()
        ).backward()  # type: ignore[union-attr]
        steps.step()

    for _ in range(3):
        train()
        assert_within_bounds(module)
        assert model(x).shape == (10, 1)
    handle.remove()
    train()
    with pytest.raises(AssertionError):
        assert_within_bounds(module)


def test_constrain_reaches_every_module_inside_a_model() -> None:
    inner, added = NMU(3, 3), NAU(3, 1)
    cell = ArithmeticCell(added)
    model = nn.ModuleDict({"deep": nn.Sequential(nn.Sequential(inner)), "cell": cell})
    optimizer = torch.optim.SGD(model.parameters(), lr=100.0)
    constrain(model, optimizer)
    total: Any = inner.weight.sum() + added.weight.sum()
    total.backward()
    optimizer.step()
    assert not inner.weight.any()
    assert torch.equal(added.weight, torch.full((1, 3), -1.0))


@pytest.mark.parametrize("model", [nn.Linear(2, 1), nn.Sequential(), nn.Sequential(nn.Linear(2, 1), nn.ReLU())])
def test_a_model_without_arithmetic_modules_cannot_be_constrained(model: nn.Module) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    with pytest.raises(ValueError, match=f"found no arithmetic module in {type(model).__name__}"):
        constrain(model, optimizer)
