"""NRU, NMRU and Real NPU: permutations, derivatives, shapes, state."""

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from tests.modules.division.helpers import (
    VARIANTS,
    Build,
    both_modes,
    every_variant,
    float64,
    randomized,
    signed_inputs,
    unhurried,
    with_parameters,
)
from torch import Tensor
from torch.func import functional_call, jacrev

from nalm.modules import NMRU, NRU, ArithmeticModule, RealNPU


@given(order=st.permutations(range(4)), seed=st.integers(0, 1000))
@both_modes
@every_variant
@unhurried
def test_inputs_may_be_permuted_together_with_their_weights(
    build: Build, training: bool, order: list[int], seed: int
) -> None:
    module = randomized(build(4, 2), seed).train(training)
    permuted = copy.deepcopy(module)
    x = signed_inputs(10, 4, seed)
    with torch.no_grad():
        for parameter in permuted.parameters():
            halves = parameter.unflatten(-1, (-1, 4))  # the NMRU has a half for inputs and one for reciprocals
            parameter.copy_(halves[..., order].flatten(-2))
    # Factors are multiplied in another order: some roundings, made relative to the largest term of a sum.
    expected = module(x)
    torch.testing.assert_close(permuted(x[:, order]), expected, rtol=1e-12, atol=1e-12 * expected.abs().max().item())


@both_modes
@every_variant
def test_an_input_of_weight_zero_has_derivative_zero_and_the_others_have_not(build: Build, training: bool) -> None:
    module = randomized(build(4, 3)).train(training)
    ignored = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    with torch.no_grad():
        module.weight[ignored.repeat(1, module.weight.shape[1] // 4)] = 0
    jacobian = jacrev(module)(float64([1.5, -0.5, 2.0, -3.0]))
    assert torch.equal(jacobian == 0, ignored)


def test_an_input_whose_gate_is_closed_has_derivative_zero_in_every_output() -> None:
    module = randomized(RealNPU(3, 2))
    with torch.no_grad():
        module.gate.copy_(float64([1.0, 0.0, -0.5]))
    jacobian = jacrev(module)(float64([1.5, -0.5, 2.0]))
    assert torch.equal(jacobian == 0, torch.tensor([[False, True, True]] * 2))


@both_modes
@pytest.mark.parametrize("sign", ["joint", "separate"])
def test_a_weight_of_zero_is_a_stationary_point_of_an_nru(sign: Any, training: bool) -> None:
    module = with_parameters(NRU(2, 1, sign=sign), weight=0.0).train(training)
    module(signed_inputs(10, 2)).sum().backward()
    assert torch.equal(module.weight.grad, torch.zeros_like(module.weight))


@both_modes
@every_variant
def test_gradients_agree_with_finite_differences(build: Build, training: bool) -> None:
    module = randomized(build(3, 2)).train(training)
    names = [name for name, _ in module.named_parameters()]

    def outputs(x: Tensor, *parameters: Tensor) -> Any:
        return functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    x = float64([[1.5, -0.5, 2.0], [-3.0, 0.7, -1.2]]).requires_grad_()
    parameters = [parameter.detach().clone().requires_grad_() for parameter in module.parameters()]
    assert torch.autograd.gradcheck(outputs, (x, *parameters))


@pytest.mark.parametrize("build", [VARIANTS["NRU-penalty"], VARIANTS["NMRU-penalty"]], ids=["NRU", "NMRU"])
def test_gradients_out_of_bounds_agree_with_finite_differences(build: Build) -> None:
    module: Any = build(2, 1).double()
    x = float64([1.5, -0.5])
    weight = torch.linspace(-1.4, 1.3, module.weight.numel(), dtype=torch.float64).reshape_as(module.weight)
    assert torch.autograd.gradcheck(
        lambda weight: functional_call(module, {"weight": weight}, (x,)), weight.requires_grad_()
    )


@both_modes
@every_variant
def test_every_parameter_gets_a_finite_gradient(build: Build, training: bool) -> None:
    torch.manual_seed(0)
    module = build(3, 2).double().train(training)
    module(signed_inputs(20, 3)).sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert (parameter.grad != 0).all()


@pytest.mark.parametrize("shape", [(), (7,), (2, 3)], ids=str)
@both_modes
@every_variant
def test_every_leading_shape_gives_the_results_of_its_rows(
    build: Build, training: bool, shape: tuple[int, ...]
) -> None:
    module = randomized(build(3, 2)).train(training)
    x = signed_inputs(math.prod(shape), 3).reshape(*shape, 3)
    rows = [module(row) for row in x.reshape(-1, 3)]
    # Vectorized and scalar logarithms and powers may differ in their last place.
    torch.testing.assert_close(module(x), torch.stack(rows).reshape(*shape, 2), rtol=1e-13, atol=1e-14)


@every_variant
def test_state_dicts_carry_everything_that_a_module_computes_with(build: Build) -> None:
    module, other = randomized(build(3, 2), seed=1), randomized(build(3, 2), seed=2)
    other.load_state_dict(module.state_dict())
    x = signed_inputs(10, 3)
    assert torch.equal(other(x), module(x))


@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (NRU(3, 2), {"weight": (2, 3)}),
        (NMRU(3, 2), {"weight": (2, 6)}),
        (NMRU(3, 2, sign="gated"), {"weight": (2, 6), "gate": (6,)}),
        (RealNPU(3, 2), {"weight": (2, 3), "gate": (3,)}),
    ],
    ids=["NRU", "NMRU", "NMRU-gated", "RealNPU"],
)
def test_weights_have_a_row_for_each_output(module: ArithmeticModule, shapes: dict[str, tuple[int, ...]]) -> None:
    assert {name: tuple(parameter.shape) for name, parameter in module.named_parameters()} == shapes


@every_variant
def test_modules_print_their_sizes(build: Build) -> None:
    assert "in_features=3, out_features=2" in repr(build(3, 2))
