"""Modules that learn the magnitude of a product, whose sign follows."""

import math
from typing import Any

import pytest
import torch
from tests.modules.helpers import float64, layer
from torch import Tensor

from nalm.modules import MagnitudeNMRU, PowerProduct, RealNaiveNPU, expression
from nalm.spec.criteria import CRITERIA

both = pytest.mark.parametrize("build", [PowerProduct, MagnitudeNMRU])


def mixed_signs(rows: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(rows, 2, dtype=torch.float64).uniform_(-2, 2, generator=generator)


def test_a_power_product_multiplies_powers_of_magnitudes() -> None:
    module = layer(PowerProduct(3, 1).double(), [[0.25, -1.5, 2.0]])
    found = module(float64([3.0, 2.0, -5.0])).item()
    assert found == pytest.approx(3**0.25 * 2**-1.5 * 25, rel=1e-7)


def test_a_magnitude_nmru_multiplies_mixtures_of_magnitudes_with_1() -> None:
    module = layer(MagnitudeNMRU(2, 1).double(), [[0.25, 0.5, 0.125, 0.75]])
    expected = (0.25 * 3 + 0.75) * (0.5 * 4 + 0.5) * (0.125 / 3 + 0.875) * (0.75 / 4 + 0.25)
    # Negative factors count 0.25 + 0.125 in the first row, 0.5 + 0.75 in the second, whose cosine is negative.
    assert module(float64([[-3.0, 4.0], [3.0, -4.0]])).flatten().tolist() == pytest.approx([expected, -expected])


@pytest.mark.parametrize(
    ("exponent", "sign"), [(0.0, 1), (0.49, 1), (0.51, -1), (1.0, -1), (1.49, -1), (1.51, 1), (2, 1)]
)
def test_the_sign_changes_where_an_exponent_is_halfway_between_integers(exponent: float, sign: int) -> None:
    module = layer(PowerProduct(1, 1).double(), [[exponent]])
    assert math.copysign(1, module(float64([-2.0])).item()) == sign


@both
def test_magnitudes_alone_have_gradients(build: Any) -> None:
    torch.manual_seed(0)
    module, x = build(2, 1, start=0.9).double(), mixed_signs(50)
    magnitude = module(x.abs())
    module(x).abs().sum().backward()
    torch.testing.assert_close(module.weight.grad, torch.autograd.grad(magnitude.sum(), module.weight)[0])
    torch.testing.assert_close(module(x).abs(), magnitude)


def test_a_power_product_differs_from_a_naive_npu_in_its_sign_alone() -> None:
    npu, ours = RealNaiveNPU(3, 2, eps=0).double(), PowerProduct(3, 2).double()
    ours.load_state_dict(npu.state_dict())
    x = mixed_signs(20).repeat(1, 2)[:, :3]
    torch.testing.assert_close(ours(x.abs()), npu(x.abs()))


@both
def test_initial_weights_fill_the_interval_of_the_start(build: Any) -> None:
    torch.manual_seed(0)
    low = -1 if build is PowerProduct else 0
    for options, start in (({}, 0.1 if build is PowerProduct else 0.02), ({"start": 0.5}, 0.5), ({"start": 0}, 0)):
        weight = build(100, 100, **options).weight
        assert weight.min().item() == pytest.approx(low * start, abs=1e-3)
        assert weight.max().item() == pytest.approx(start, abs=1e-3)


@both
@pytest.mark.parametrize("start", [-0.1, 1, "small", None])
def test_a_start_out_of_range_is_refused(build: Any, start: Any) -> None:
    with pytest.raises(ValueError, match=f"{build.__name__}: start is {start!r}, expected 0 or more and less than 1"):
        build(2, 1, start=start)


@both
@pytest.mark.parametrize("training", [True, False])
def test_an_input_of_0_is_harmless_where_it_is_ignored(build: Any, training: bool) -> None:
    module = build(3, 1).gold("div", 0, 2).train(training)
    x = torch.tensor([[6.0, 0.0, -3.0], [0.0, 1.0, 5.0]], requires_grad=True)
    result = module(x)
    torch.testing.assert_close(result, torch.tensor([[-2.0], [0.0]]))
    result.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert module.weight.grad.isfinite().all()


@both
def test_a_division_of_numbers_of_mixed_signs_is_learnt_in_a_few_hundred_steps(build: Any) -> None:
    torch.manual_seed(0)
    module = build(2, 1).double()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for step in range(500):
        x = mixed_signs(128, step)
        loss = CRITERIA["log_magnitude"](module(x), x[:, :1] / x[:, 1:], torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        module.project_()
    assert str(expression(module)[0]) == "x1/x2"
    torch.testing.assert_close(module(float64([300.0, -7.0])), float64([-300 / 7]), rtol=1e-2, atol=0)
