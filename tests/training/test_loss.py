"""Criteria and the total loss."""

import math
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


def _asinh_loss() -> float:
    scale = 10 / (2 * 2 * 5) ** (1 / 3)
    return sum((math.asinh(scale * y) - math.asinh(scale * t)) ** 2 for y, t in ((1, 2), (2, 2), (4, 5))) / 3


def _loss_and_gradient(name: str, prediction: list[float], target: list[float]) -> tuple[float, list[float]]:
    leaf = torch.tensor(prediction, dtype=torch.float64).unsqueeze(-1).requires_grad_()
    loss = CRITERIA[name](leaf, torch.tensor(target, dtype=torch.float64).unsqueeze(-1), ZERO)
    loss.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return loss.item(), leaf.grad.flatten().tolist()


@pytest.mark.parametrize(
    ("name", "share", "expected"),
    [
        ("mse", ZERO, 2 / 3),
        ("mape", ZERO, (1 / 2 + 1 / 5) / 3),
        ("pcc", ZERO, _pcc_loss()),
        ("pcc_then_mse", ONE, _pcc_loss()),
        ("pcc_then_mse", ZERO, 2 / 3),
        ("huber", ZERO, (1 / 2 + 1 / 2) / 3),
        ("log_magnitude", ZERO, _asinh_loss()),
        ("symlog", ZERO, _asinh_loss()),
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


def test_huber_is_quadratic_for_small_errors_and_linear_for_large_ones() -> None:
    loss, gradient = _loss_and_gradient("huber", [0.5, 3.0, -4.0, 1.0], [0.0, 0.0, 0.0, 0.0])
    assert loss == pytest.approx((0.125 + 2.5 + 3.5 + 0.5) / 4)
    assert gradient == pytest.approx([0.5 / 4, 1 / 4, -1 / 4, 1 / 4])


@pytest.mark.parametrize("name", ["log_magnitude", "symlog"])
def test_a_loss_of_logarithms_is_free_of_scale(name: str) -> None:
    loss, gradient = _loss_and_gradient(name, [1.0, -2.0, 0.3], [2.0, -2.5, 0.7])
    larger_loss, larger_gradient = _loss_and_gradient(name, [1e6, -2e6, 0.3e6], [2e6, -2.5e6, 0.7e6])
    assert larger_loss == pytest.approx(loss, rel=1e-12)
    assert larger_gradient == pytest.approx([value / 1e6 for value in gradient], rel=1e-9)


@pytest.mark.parametrize(("name", "prediction"), [("log_magnitude", -3.0), ("symlog", -3.0), ("symlog", 3.0)])
def test_the_gradient_of_a_loss_of_logarithms_is_its_formula(name: str, prediction: float) -> None:
    c = 10 / 4.0
    y = abs(prediction) if name == "log_magnitude" else prediction
    slope = 2 * (math.asinh(c * y) - math.asinh(c * 4)) * c / math.hypot(1, c * y)
    expected = slope * math.copysign(1, prediction) if name == "log_magnitude" else slope
    loss, gradient = _loss_and_gradient(name, [prediction], [4.0])
    assert loss == pytest.approx((math.asinh(c * y) - math.asinh(c * 4)) ** 2, rel=1e-12)
    assert gradient == pytest.approx([expected], rel=1e-12)


def test_only_the_symmetric_logarithm_sees_signs() -> None:
    assert _loss_and_gradient("log_magnitude", [-2.0, 3.0], [2.0, -3.0]) == (0.0, [0.0, 0.0])
    assert _loss_and_gradient("symlog", [-2.0, 3.0], [2.0, -3.0])[0] > 1


def test_targets_of_0_do_not_count_in_the_scale_of_logarithms() -> None:
    loss, gradient = _loss_and_gradient("log_magnitude", [0.1, 4.0, 0.0], [0.0, 4.0, 0.0])
    assert loss == pytest.approx(math.asinh(0.25) ** 2 / 3, rel=1e-12)
    assert gradient == pytest.approx([2 * math.asinh(0.25) * 2.5 / math.hypot(1, 0.25) / 3, 0, 0], rel=1e-12)
    assert _loss_and_gradient("symlog", [0.1], [0.0])[0] == pytest.approx(math.asinh(1) ** 2, rel=1e-12)


def test_the_loss_of_logarithms_is_convex_in_the_exponents_of_a_power_product() -> None:
    x = 1 + torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(exponents: Tensor) -> Tensor:
        prediction = (x**exponents).prod(1, keepdim=True)
        return CRITERIA["log_magnitude"](prediction, x[:, :1] / x[:, 1:], ZERO)

    for exponents in ([0.0, 0.0], [1.0, -1.0], [-1.0, 2.0], [2.0, 2.0]):
        curvature = torch.autograd.functional.hessian(loss, torch.tensor(exponents, dtype=torch.float64))  # type: ignore[no-untyped-call]
        assert (torch.linalg.eigvalsh(curvature) > 0).all(), exponents


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
