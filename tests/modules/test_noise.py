"""Modules with random numbers in training."""

import math
from typing import Any

import pytest
import torch
from tests.modules.helpers import (
    NOISY,
    inputs_for,
    random_variant,
    randomized,
    with_noise,
)
from torch import Tensor

from nalm.modules import (
    GNALU,
    NALU,
    NMU,
    ArithmeticModule,
    GatedNAUNMU,
    Linear,
)


def test_the_noise_of_an_nmu_is_divided_out_again() -> None:
    module = randomized(NMU(3, 2, noise=[1, 5])).train()
    x, uniform = inputs_for("NMU", 6), torch.rand(6, 3, dtype=torch.float64)
    factors = (1 + 4 * uniform).unsqueeze(1)
    noisy = (x.unsqueeze(1) * factors * module.weight + 1 - module.weight).prod(-1)
    alone = (factors * module.weight + 1 - module.weight).prod(-1)
    torch.testing.assert_close(module(x, uniform), noisy / alone, rtol=1e-12, atol=1e-12)


def test_the_batch_gives_noise_its_range() -> None:
    x, uniform = inputs_for("NMU", 6), torch.rand(6, 3, dtype=torch.float64)
    module = randomized(NMU(3, 2, noise="batch")).train()
    same = randomized(NMU(3, 2, noise=[1, 1 + 1 / x.std().item()])).train()
    torch.testing.assert_close(module(x, uniform), same(x, uniform), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("noise", [[1, 5], [0.01, 0.05], "batch"], ids=str)
def test_discrete_weights_of_an_nmu_are_undisturbed_by_noise(noise: Any) -> None:
    module = NMU(3, 2, noise=noise).double().train().gold("mul", 2, 0)
    x = inputs_for("NMU", 50)
    torch.testing.assert_close(module(x), (x[:, 2] * x[:, 0]).unsqueeze(1).expand(-1, 2), rtol=1e-13, atol=0)


def test_noise_disturbs_weights_that_are_not_discrete() -> None:
    module, x = randomized(NMU(3, 2, noise=[1, 5])).train(), inputs_for("NMU", 5)
    assert not torch.equal(module(x), module(x))


@pytest.mark.parametrize("name", NOISY)
def test_evaluation_is_free_of_noise(name: str) -> None:
    module = random_variant(name)
    x = inputs_for(name, 5)
    state = torch.get_rng_state()
    assert torch.equal(module(x), module(x))
    assert torch.equal(module(x, module._uniform(x)), module(x))
    plain: ArithmeticModule
    if isinstance(module, NMU):
        plain = NMU(3, 2).double()
    else:
        gates = {"two_gates": module.second_gate_weight is not None, "bias": module.gate_bias is not None}
        plain = type(module)(3, 2, **gates).double()
    plain.load_state_dict(module.state_dict())
    torch.set_rng_state(state)
    assert torch.equal(module(x), plain(x))
    assert torch.equal(torch.get_rng_state(), state), "no random number is drawn"


@pytest.mark.parametrize("name", NOISY)
def test_noise_comes_from_torchs_generator_unless_it_is_given(name: str) -> None:
    module, x = random_variant(name, training=True), inputs_for(name, 5)
    torch.manual_seed(3)
    drawn_by_module = module(x)
    torch.manual_seed(3)
    shape = module.noise_shape(x.shape)
    assert shape is not None
    assert torch.equal(drawn_by_module, module(x, torch.rand(shape, dtype=torch.float64)))


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (NMU(3, 2, noise=[1, 5]), (7, 5, 3)),
        (NMU(3, 2, noise="batch"), (7, 5, 3)),
        (NMU(3, 2), None),
        (NALU(3, 2), None),
        (NALU(3, 2, gate="gumbel"), (1, 2)),
        (NALU(3, 2, gate="row_gumbel"), (1, 7, 5, 2)),
        (NALU(3, 2, gate="gumbel", two_gates=True), (2, 2)),
        (GNALU(3, 2, gate="row_gumbel", two_gates=True), (2, 7, 5, 2)),
        (GatedNAUNMU(3, 2, gate="row_gumbel"), (1, 7, 5, 2)),
        (Linear(3, 2), None),
    ],
)
def test_the_noise_of_a_pass_has_the_documented_shape(module: ArithmeticModule, shape: tuple[int, ...] | None) -> None:
    assert module.noise_shape(torch.Size([7, 5, 3])) == shape


@pytest.mark.parametrize("two_gates", [False, True])
@pytest.mark.parametrize("gate", ["gumbel", "row_gumbel"])
@pytest.mark.parametrize("build", [NALU, GNALU, GatedNAUNMU])
def test_random_gates_add_a_gumbel_variable_to_the_logit(build: Any, gate: str, two_gates: bool) -> None:
    module = randomized(build(3, 2, gate=gate, two_gates=two_gates, bias=True)).train()
    x = inputs_for("NALU", 5)
    _, uniform = with_noise(module, x)
    base = math.log((1 + math.sqrt(5)) / 2) if build is GNALU else 1.0
    gumbel = -torch.log(-torch.log(uniform))

    def expected(weight: Tensor, bias: Tensor, noise: Tensor) -> Tensor:
        return torch.sigmoid(base * (x @ weight.T + bias + noise))

    added, multiplied = module.gates(x, uniform)
    # The original adds 1e-8 to both logarithms' arguments.
    first = expected(module.gate_weight, module.gate_bias, gumbel[0])
    torch.testing.assert_close(added, first, rtol=1e-6, atol=0)
    if two_gates:
        second = expected(module.second_gate_weight, module.second_gate_bias, gumbel[1])
        torch.testing.assert_close(multiplied, second, rtol=1e-6, atol=0)
    else:
        assert torch.equal(multiplied, 1 - added)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_gumbel_gates_are_finite_at_both_ends_of_the_noise(dtype: torch.dtype, last: bool) -> None:
    one = torch.ones((), dtype=dtype)
    end = torch.nextafter(one, 0 * one) if last else 0 * one
    module = NALU(3, 2, gate="gumbel", dtype=dtype)
    x = inputs_for("NALU", 5).to(dtype)
    result = module(x, end.expand(1, 2))
    result.sum().backward()
    assert result.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize(
    "noise",
    [[5, 1], [1, 1], [0, 1], [-1, 2], [1], [1, 2, 3], [], 3, 1.5, "rows", [1, "5"], [math.nan, 5], [1, math.inf]],
    ids=repr,
)
def test_a_range_of_noise_that_is_none_is_refused(noise: Any) -> None:
    with pytest.raises(ValueError, match=r"NMU: noise is .*, expected \[low, high\] with 0 < low < high, 'batch'"):
        NMU(2, 1, noise=noise)


def test_noise_and_normalization_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="found noise and normalized together"):
        NMU(2, 1, noise=[1, 5], normalized=True)
