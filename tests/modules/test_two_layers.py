"""A network of two layers as a module."""

from typing import Any

import pytest
import sympy
import torch
from torch import nn

from nalm.modules import NAC, NACNMU, NALU, NAU, NMU, NPU, GatedNAUNMU, Linear, RealNPU, ReLU, TwoLayers, expression

SEED = 0


def network(first: nn.Module, second: nn.Module, inputs: int = 4) -> TwoLayers:
    return TwoLayers(inputs, 1, first, second)


def test_it_applies_one_layer_to_the_outputs_of_the_other() -> None:
    first, second = NAU(4, 3), NMU(3, 1)
    x = torch.randn(5, 4)
    torch.testing.assert_close(network(first, second)(x), second(first(x)), rtol=0, atol=0)


def test_resetting_draws_the_first_layer_and_then_the_second() -> None:
    torch.manual_seed(SEED)
    first, second = NAC(4, 2), NACNMU(2, 1)
    both = network(NAC(4, 2), NACNMU(2, 1))
    torch.manual_seed(SEED)
    both.reset_parameters()
    torch.testing.assert_close(both.first.get_parameter("weight_hat"), first.weight_hat, rtol=0, atol=0)
    torch.testing.assert_close(both.second.get_parameter("weight"), second.weight, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("first", "second", "operation", "expected"),
    [
        (NAU(4, 2), NAU(2, 1), "sub", 2.0 - 5.0),
        (NAU(4, 3), NMU(3, 1), "mul", 10.0),
        (NAC(4, 2), RealNPU(2, 1), "div", 0.4),
        (Linear(4, 2), Linear(2, 1), "add", 7.0),
        (NALU(4, 2), NMU(2, 1), "mul", 10.0),
    ],
)
def test_gold_weights_select_operands_and_compute_with_them(
    first: nn.Module, second: nn.Module, operation: str, expected: float
) -> None:
    x = torch.tensor([7.0, 2.0, 3.0, 5.0])
    result = network(first, second).gold(operation, 1, 3)(x)
    torch.testing.assert_close(result, torch.tensor([expected]), rtol=1e-5, atol=0)


def test_the_expression_of_a_network_is_composed_of_its_layers() -> None:
    a, b = sympy.symbols("x2 x4")
    assert expression(network(NAU(4, 2), NMU(2, 1)).gold("mul", 1, 3)) == [a * b]


@pytest.mark.parametrize(
    ("first", "second", "operation", "message"),
    [
        (ReLU(4, 2), Linear(2, 1), "add", "operation is 'add', expected nothing: it can compute none"),
        (NAU(4, 2), nn.Linear(2, 1), "add", "operation is 'add', expected nothing: it can compute none"),
        (NAU(4, 1), NMU(1, 1), "mul", "mul of 2 operands needs as many hidden units, found 1"),
        (NAU(4, 2), NMU(2, 1), "div", "operation is 'div', expected one of: mul"),
    ],
)
def test_what_a_network_cannot_compute_has_no_gold_weights(
    first: nn.Module, second: nn.Module, operation: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        network(first, second).gold(operation)


def test_regularizers_are_added_where_both_layers_have_them() -> None:
    first, second = NAU(4, 2), NMU(2, 1)
    x = torch.rand(6, 4)
    terms, of_first, of_second = network(first, second).regularizers(x), first.regularizers(x), None
    of_second = second.regularizers(first(x))
    for name in ("weight", "input"):
        torch.testing.assert_close(terms[name], of_first[name] + of_second[name], rtol=0, atol=0)
        torch.testing.assert_close(terms[f"first_{name}"], of_first[name], rtol=0, atol=0)
        torch.testing.assert_close(terms[f"second_{name}"], of_second[name], rtol=0, atol=0)
    assert "gate" in network(NAU(4, 2), RealNPU(2, 1)).regularizers()
    assert set(network(nn.Linear(4, 2), NMU(2, 1)).regularizers()) >= {"weight", "second_weight"}


def test_its_sparsity_error_is_that_of_the_less_discrete_layer() -> None:
    both = network(NAU(4, 2), NPU(2, 1))
    assert both.sparsity_error() == max(both.first.sparsity_error(), both.second.sparsity_error())  # type: ignore[operator]
    assert network(nn.Linear(4, 2), nn.Linear(2, 1)).sparsity_error().isnan()


def test_bounds_and_effective_weights_belong_to_the_parameters_of_the_layers() -> None:
    both = network(NAU(4, 2), NMU(2, 1))
    assert both.bounds() == {"first.weight": (-1, 1), "second.weight": (0, 1)}
    assert set(both.effective_weights()) == {"first.weight", "second.weight"}


@pytest.mark.parametrize(
    ("first", "second", "numbers"),
    [
        (NAU(4, 2), NMU(2, 1), None),
        (NAU(4, 2), NMU(2, 1, noise=[1, 5]), 5 * 2),
        (GatedNAUNMU(4, 2, gate="row_gumbel"), NMU(2, 1, noise=[1, 5]), 5 * 2 + 5 * 2),
    ],
)
def test_noise_is_shared_out_between_the_layers(first: Any, second: Any, numbers: int | None) -> None:
    both = network(first, second).train()
    x = torch.rand(5, 4)
    shape = both.noise_shape(x.shape)
    assert shape == (None if numbers is None else (numbers,))
    if shape is not None:
        noise = torch.rand(shape)
        taken = first.noise_shape(x.shape)
        hidden = first(x) if taken is None else first(x, noise[:10].reshape(taken))
        torch.testing.assert_close(both(x, noise), second(hidden, noise[-10:].reshape(5, 2)), rtol=0, atol=0)


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="found 3 outputs and then 2 inputs, expected as many"):
        network(NAU(4, 3), NMU(2, 1))
