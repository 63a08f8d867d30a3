"""NRU, NMRU and Real NPU: values and gradients of regularizers."""

from functools import partial
from typing import Any

import pytest
import torch
from tests.modules.division.helpers import (
    Build,
    both_modes,
    every_variant,
    randomized,
    signed_inputs,
    with_parameters,
)

from nalm.modules import NMRU, NRU, RealNPU
from nalm.modules.functional import EPS32, Shape, binary_penalty, excess_penalty, ternary_penalty

SHAPES: list[Shape] = ["linear", "squared", "none"]


@pytest.mark.parametrize("shape", ["linear", "squared"])
@pytest.mark.parametrize("out_of_bounds", ["clip", "penalty"])
@pytest.mark.parametrize(
    ("build", "discrete"),
    [(NRU, [-1.0, 0.0, 1.0]), (NMRU, [0.0, 1.0]), (partial(NMRU, sign="gated"), [0.0, 1.0])],
    ids=["NRU", "NMRU", "NMRU-gated"],
)
def test_regularizers_are_zero_at_discrete_weights(
    build: Any, discrete: list[float], out_of_bounds: str, shape: Shape
) -> None:
    for value in discrete:
        module = build(2, 1, out_of_bounds=out_of_bounds, shape=shape)
        with_parameters(module, **dict.fromkeys(dict(module.named_parameters()), value))
        assert {term.item() for term in module.regularizers().values()} == {0.0}


@pytest.mark.parametrize(
    ("attract", "weight", "expected"),
    [
        ("signs", -1.0, 0.0),
        ("signs", 0.0, 1.0),
        ("signs", 0.75, 0.25),
        ("signs", -1.5, 0.5),
        ("ternary", -1.0, 0.0),
        ("ternary", 0.0, 0.0),
        ("ternary", 0.75, 0.25),
        ("ternary", -1.5, 0.5),
    ],
)
def test_a_real_npus_weights_are_drawn_to_the_values_that_attract_names(
    attract: Any, weight: float, expected: float
) -> None:
    module = with_parameters(RealNPU(3, 2, attract=attract), weight=weight, gate=1.0)
    terms = module.regularizers(signed_inputs(5, 3))
    assert {name: term.item() for name, term in terms.items()} == {"weight": expected, "gate": 0.0}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("out_of_bounds", ["clip", "penalty"])
@pytest.mark.parametrize(("build", "low"), [(NRU, -1), (NMRU, 0)], ids=["NRU", "NMRU"])
def test_the_shape_is_that_of_the_weight_and_the_out_of_bounds_terms(
    build: Any, low: int, out_of_bounds: str, shape: Shape
) -> None:
    module = build(3, 2, out_of_bounds=out_of_bounds, shape=shape)
    with torch.no_grad():
        module.weight.copy_(torch.linspace(-1.7, 1.9, module.weight.numel()).reshape_as(module.weight))
    penalty = ternary_penalty if low else binary_penalty
    terms = module.regularizers()
    assert torch.equal(terms["weight"], penalty(module.weight, shape))
    outside = excess_penalty(module.weight, low, 1, shape if out_of_bounds == "penalty" else "none")
    assert torch.equal(terms["out_of_bounds"], outside)


@pytest.mark.parametrize("shape", SHAPES)
def test_gates_of_an_nmru_are_penalized_linearly_whatever_the_shape(shape: Shape) -> None:
    module = with_parameters(NMRU(2, 1, sign="gated", shape=shape), gate=0.25)
    assert module.regularizers()["gate"].item() == 0.25


def test_the_input_term_of_an_nru_weighs_squared_mean_inputs_by_what_is_unused() -> None:
    module, x = randomized(NRU(3, 2)), signed_inputs(6, 3)
    mean = x.mean(0).tolist()
    expected = [(1 - abs(w)) * mean[i] ** 2 for row in module.weight.tolist() for i, w in enumerate(row)]
    term = module.regularizers(x.reshape(2, 3, 3))["input"]
    assert term.item() == pytest.approx(sum(expected) / len(expected), rel=1e-13)  # sums of few terms


@both_modes
@pytest.mark.parametrize("sign", ["retrieved", "none", "gated"])
def test_the_input_term_of_an_nmru_weighs_squared_distances_from_1_by_what_is_unused(sign: Any, training: bool) -> None:
    module, x = randomized(NMRU(3, 2, sign=sign)).train(training), signed_inputs(6, 3)
    z = torch.cat([x, 1 / (x + EPS32 if training else x)], -1)
    z = z * module.gate if sign == "gated" else z
    mean = (z if sign == "none" else z.abs()).mean(0).tolist()
    expected = [(1 - w) * (1 - mean[j]) ** 2 for row in module.weight.tolist() for j, w in enumerate(row)]
    term = module.regularizers(x.reshape(2, 3, 3))["input"]
    assert term.item() == pytest.approx(sum(expected) / len(expected), rel=1e-13)


@every_variant
def test_regularizers_are_scalars_that_the_parameters_get_gradients_from(build: Build) -> None:
    module = randomized(build(3, 2))
    for term in module.regularizers(signed_inputs(5, 3)).values():
        assert term.shape == ()
        assert term.dtype == torch.float64
    sum(module.regularizers(signed_inputs(5, 3)).values()).backward()
    for parameter in module.parameters():
        assert (parameter.grad != 0).all()
