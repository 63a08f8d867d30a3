"""Initial weights: the original's from the same seed, and the distributions of the papers."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nalm.modules import (
    DMU,
    GNALU,
    INALU,
    MCFC,
    MODULES,
    NAC,
    NACNMU,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    GatedNAUNMU,
    Linear,
    MulMCFC,
    NACMul,
    NACSigma,
    NaiveNPU,
    RealNaiveNPU,
    RealNPU,
    ReLU,
    ReLU6,
    SigmaNMU,
)

Build = Callable[..., Any]

SIZES = [(2, 1), (3, 2), (2, 4)]


def drawn(build: Build, *size: int, seed: int = 3, **options: Any) -> Any:
    torch.manual_seed(seed)
    return build(*size, **options)


# --- the original's weights -------------------------------------------------------------------------------------

CONSTRAINED: list[Build] = [partial(RealNPU, init="constrained"), NRU, partial(NRU, sign="separate"), NAU]
RECIPROCAL: list[Build] = [NMRU, partial(NMRU, sign="none"), partial(NMRU, sign="gated")]

TWICE_DRAWN: list[tuple[Sequence[Build], int, int, dict[str, list[float]]]] = [
    ([RealNPU, NPU], 2, 0, {"weight": [-1.1639615, -1.0407749]}),
    ([RealNPU, NPU], 2, 1, {"weight": [-0.2741615, 0.6637879]}),
    (CONSTRAINED, 2, 0, {"weight": [-0.4115226, -0.3679695]}),
    (CONSTRAINED, 2, 1, {"weight": [-0.0969307, 0.2346845]}),
    (RECIPROCAL, 2, 0, {"weight": [0.4037114, 0.5670394, 0.4950467, 0.6982224]}),
    (RECIPROCAL, 2, 1, {"weight": [0.2646408, 0.6499293, 0.4485687, 0.6271859]}),
    ([NMU, NACNMU], 2, 0, {"weight": [0.2942387, 0.3160152]}),
    ([NMU, NACNMU], 2, 1, {"weight": [0.4515346, 0.6173422]}),
    ([NAC, NACMul], 2, 0, {"weight_hat": [-3.6479533, 2.5398273], "mask_hat": [-0.1876587, 7.509778]}),
    ([NAC, NACMul], 2, 1, {"weight_hat": [-8.9167309, 5.6801658], "mask_hat": [-1.9485079, 4.8185201]}),
    (
        [NALU, GNALU],
        2,
        0,
        {
            "gate_weight": [-0.4273938, -0.2779854],
            "additive.weight_hat": [-0.1876587, 7.509778],
            "additive.mask_hat": [-0.8405309, 2.506253],
        },
    ),
    (
        [NALU, GNALU],
        2,
        1,
        {
            "gate_weight": [0.3922476, 0.0697657],
            "additive.weight_hat": [-1.9485079, 4.8185201],
            "additive.mask_hat": [1.3166863, -1.1597183],
        },
    ),
    (
        CONSTRAINED,
        10,
        0,
        {
            "weight": [
                *(-0.1511065, -0.0982827, -0.4776742, -0.3311411, -0.2061116),
                *(0.0185218, 0.1976676, 0.3000114, -0.3389705, -0.2177314),
            ]
        },
    ),
    (
        [RealNPU, NPU],
        10,
        0,
        {
            "weight": [
                *(-0.2231991, -0.1451732, -0.7055716, -0.4891278, -0.3044469),
                *(0.0273585, 0.2919744, 0.4431462, -0.5006927, -0.3216106),
            ]
        },
    ),
    (CONSTRAINED, 1, 0, {"weight": [0.2682218]}),
]


@pytest.mark.parametrize(
    ("build", "in_features", "seed", "weights"),
    [(build, *row) for builds, *row in TWICE_DRAWN for build in builds],
)
def test_the_second_draw_from_a_seed_is_the_originals(
    build: Build, in_features: int, seed: int, weights: dict[str, list[float]]
) -> None:
    module = drawn(build, in_features, 1, seed=seed)
    module.reset_parameters()
    for name, values in weights.items():
        # Printed with 7 decimals; the float32 numbers themselves are equal.
        assert module.get_parameter(name).flatten().tolist() == pytest.approx(values, rel=0, abs=6e-8), name


BUILDS: list[Build] = [
    # Constructors of mass-conserving layers draw more, as the original's do.
    *(module for name, module in MODULES.items() if "MCFC" not in name),
    partial(NALU, separate=True),
    partial(NALU, multiplication="nmu", two_gates=True, bias=True),
    partial(GatedNAUNMU, two_gates=True),
    partial(NAU, init="beta"),
    partial(NMRU, sign="gated"),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("build", BUILDS)
def test_building_a_module_draws_exactly_what_one_reset_draws(build: Build, size: tuple[int, int]) -> None:
    module = drawn(build, *size)
    built, next_number = [parameter.clone() for parameter in module.parameters()], torch.rand(())

    torch.manual_seed(3)
    module.reset_parameters()
    assert all(map(torch.equal, module.parameters(), built))
    assert torch.rand(()) == next_number


# --- distributions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "limit"),
    [
        ((1, 1), 9.471406),
        ((2, 1), 9.471406),
        ((2, 2), 9.471406),
        ((3, 3), 5.425508),
        ((4, 2), 5.425508),
        ((10, 1), 2.260468),
        ((100, 2), 0.503909),
    ],
)
def test_the_range_of_an_accumulators_weights_has_the_originals_limit(size: tuple[int, int], limit: float) -> None:
    module = drawn(NAC, *size, dtype=torch.float64)
    torch.manual_seed(3)
    for name in ("weight_hat", "mask_hat"):
        fraction = 2 * torch.rand(*size[::-1], dtype=torch.float64) - 1
        torch.testing.assert_close(module.get_parameter(name), limit * fraction, rtol=1e-6, atol=0)  # 7 digits printed


def between(low: float, high: float) -> Callable[[Tensor], Tensor]:
    return lambda weight: nn.init.uniform_(weight, low, high)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("build", "name", "draw"),
    [
        (Linear, "weight", nn.init.xavier_uniform_),
        (ReLU, "weight", partial(nn.init.kaiming_uniform_, nonlinearity="relu")),
        (ReLU6, "weight", partial(nn.init.kaiming_uniform_, nonlinearity="relu")),
        (NACSigma, "weight_hat", nn.init.xavier_normal_),
        (SigmaNMU, "weight_hat", between(-0.8660254, 0.8660254)),
        (NAU, "weight", between(-0.5, 0.5)),
        (NMU, "weight", between(0.25, 0.75)),
        (NACNMU, "weight", between(0.25, 0.75)),
    ],
)
def test_weights_are_drawn_as_the_paper_says(
    build: Build, name: str, draw: Callable[[Tensor], Tensor], size: tuple[int, int]
) -> None:
    module = drawn(build, *size)
    torch.manual_seed(3)
    torch.testing.assert_close(module.get_parameter(name).detach(), draw(torch.empty(*size[::-1])))


def test_the_range_of_an_nau_shrinks_where_it_is_large() -> None:
    torch.testing.assert_close(drawn(NAU, 40, 10).weight, drawn(NRU, 40, 10).weight)
    assert math.sqrt(6 / 50) * 0.95 < drawn(NAU, 40, 10).weight.abs().max() <= math.sqrt(6 / 50)


def test_an_nau_of_beta_weights_starts_as_an_nru_of_such() -> None:
    assert torch.equal(drawn(NAU, 3, 2, init="beta").weight, drawn(NRU, 3, 2, init="beta").weight)


@pytest.mark.parametrize("init", ["xavier", "constrained"])
@pytest.mark.parametrize("build", [NPU, NaiveNPU, RealNaiveNPU])
def test_every_power_unit_starts_with_the_real_exponents_of_a_real_npu(build: Build, init: str) -> None:
    start = dict(drawn(build, 3, 2, init=init).named_parameters())
    assert torch.equal(start.pop("weight"), drawn(RealNPU, 3, 2, init=init).weight)
    constants = {name: set(parameter.flatten().tolist()) for name, parameter in start.items()}
    assert constants == {name: values for name, values in {"imaginary": {0}, "gate": {0.5}}.items() if name in start}


def test_biases_of_linear_layers_and_gates_start_at_0() -> None:
    gated = NALU(3, 2, two_gates=True, bias=True)
    biases = [Linear(3, 2).bias, ReLU(3, 2).bias, MulMCFC(3, 2).bias, gated.gate_bias, gated.second_gate_bias]
    assert all(bias is not None and not bias.any() for bias in biases)


@pytest.mark.parametrize(
    ("build", "parts", "gates"),
    [
        (NALU, [NAC], 1),
        (GNALU, [NAC], 1),
        (partial(NALU, separate=True), [NAC, NAC], 1),
        (partial(NALU, multiplication="nmu"), [NAC, SigmaNMU], 1),
        (partial(NALU, separate=True, two_gates=True), [NAC, NAC], 2),
        (GatedNAUNMU, [NAU, NMU], 1),
        (partial(GatedNAUNMU, two_gates=True), [NAU, NMU], 2),
    ],
)
def test_a_gated_unit_draws_its_parts_and_then_its_gates(build: Build, parts: list[Build], gates: int) -> None:
    module = drawn(build, 3, 2)
    torch.manual_seed(3)
    for own, part in zip(module.children(), parts, strict=True):
        torch.testing.assert_close(own.state_dict(), part(3, 2).state_dict(), rtol=0, atol=0)
    for weight in (module.gate_weight, module.second_gate_weight)[:gates]:
        torch.testing.assert_close(weight.detach(), nn.init.xavier_uniform_(torch.empty(2, 3)))


def test_the_improved_nalus_parameters_are_normal_around_their_means() -> None:
    means = {"weight_hat": 0.88, "mask_hat": 0.5, "power_hat": 0.88, "power_mask_hat": 0.5, "gate": 0.0}
    module = drawn(INALU, 2, 5000)
    for name, mean in means.items():
        parameter = module.get_parameter(name)
        # Standard errors of 5,000 draws: 0.0028 of the mean, 0.002 of the standard deviation.
        assert parameter.mean().item() == pytest.approx(mean, abs=0.01), name
        assert parameter.std().item() == pytest.approx(0.2, abs=0.007), name


@pytest.mark.parametrize("trash", [False, True])
@pytest.mark.parametrize("size", [(2, 1), (3, 3), (2, 2), (4, 3), (2, 5)])
def test_a_mass_conserving_layer_starts_with_an_orthogonal_junction_and_a_gate_of_norm_1(
    size: tuple[int, int], trash: bool
) -> None:
    layer = drawn(MCFC, *size, trash=trash)
    junction, gate = layer.junction.detach(), layer.gate_weight.detach()
    rows, columns = junction.shape
    assert (rows, columns) == (size[1] + trash, size[0])
    if rows == columns:
        assert torch.equal(junction, torch.eye(rows))
    gram = junction @ junction.T if rows <= columns else junction.T @ junction
    torch.testing.assert_close(gram, torch.eye(min(rows, columns)))
    torch.testing.assert_close(gate.norm(), torch.tensor(1.0))
    assert not layer.gate_bias.any()


def test_a_mass_conserving_product_starts_with_the_layer_of_the_same_seed() -> None:
    module = drawn(MulMCFC, 3, 2, sign="real_npu")
    torch.testing.assert_close(module.sum.state_dict(), drawn(MCFC, 3, 2).state_dict(), rtol=0, atol=0)
    assert set(module.gate.tolist()) == {0.5}


@pytest.mark.parametrize("selector", ["learnt", "sum"])
def test_a_domain_mixed_unit_starts_at_0(selector: Any) -> None:
    module = DMU(3, 2, selector=selector)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(7)
    module.reset_parameters()
    assert not any(parameter.any() for parameter in module.parameters())


def test_heads_of_a_domain_mixed_unit_start_by_glorots_rule() -> None:
    for head in drawn(DMU, 3, 50, heads=True).heads.values():
        limit = math.sqrt(6 / (head.in_features + head.out_features))
        assert 0.95 * limit < head.weight.abs().max() <= limit
        assert not head.bias.any()
