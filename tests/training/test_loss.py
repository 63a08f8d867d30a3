"""Criteria and the total loss."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from nalm.modules import NRU
from nalm.spec.criteria import CRITERIA
from nalm.spec.recipe import Recipe
from nalm.training.loss import Objective

PREDICTION = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
TARGET = torch.tensor([[2.0], [2.0], [5.0]], dtype=torch.float64)
ONE, ZERO = torch.tensor(1.0), torch.tensor(0.0)


def _pcc_loss() -> float:
    return 1 - float(np.corrcoef(PREDICTION.squeeze(), TARGET.squeeze())[0, 1])


@pytest.mark.parametrize(
    ("name", "share", "expected"),
    [
        ("mse", ZERO, 2 / 3),
        ("mape", ZERO, (1 / 2 + 1 / 5) / 3),
        ("pcc", ZERO, _pcc_loss()),
        ("pcc_then_mse", ONE, _pcc_loss()),
        ("pcc_then_mse", ZERO, 2 / 3),
    ],
)
def test_a_criterion_is_its_formula(name: str, share: Tensor, expected: float) -> None:
    assert CRITERIA[name](PREDICTION, TARGET, share).item() == pytest.approx(expected, rel=1e-9)


def test_a_constant_prediction_has_a_finite_correlation_loss_and_gradient() -> None:
    prediction = torch.full_like(TARGET, 3.0).requires_grad_()
    loss = CRITERIA["pcc"](prediction, TARGET, ONE)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(1)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize(("name", "norm"), [("l1", lambda w: w.abs().sum()), ("l2", lambda w: (w**2).sum().sqrt())])
def test_the_loss_adds_weighted_terms_and_parameter_norms(name: str, norm: Callable[[Tensor], Tensor]) -> None:
    module = NRU(2, 1)
    recipe = Recipe.model_validate({"module": "NRU", "regularizers": {"weight": {}, name: {}}})
    x, target = torch.rand(8, 2) + 1, torch.rand(8, 1)
    scalars = {"pcc": ZERO, "weight": torch.tensor(10.0), name: torch.tensor(0.5)}
    total, loss, penalty = Objective(module, recipe)(x, target, scalars, {})
    expected = 10 * module.regularizers()["weight"] + 0.5 * norm(module.weight)
    torch.testing.assert_close(penalty, expected)
    torch.testing.assert_close(total, loss + expected)
