"""The original's names and options mean our modules, and installed packages add names of their own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from nalm.modules import MODULES, NAU, NMRU, NMU, NRU, ArithmeticModule, build, canonical, module_names, resolve
from nalm.original.units import UNITS, translate

Layers = list[tuple[str, dict[str, Any]]]

# --- one layer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "layer"),
    [
        ("linear", ("Linear", {})),
        ("Tanh", ("Linear", {})),
        ("Sigmoid", ("Linear", {})),
        ("Softsign", ("Linear", {})),
        ("SELU", ("Linear", {})),
        ("ELU", ("Linear", {})),
        ("NAC", ("NAC", {})),
        ("MNAC", ("NACMul", {})),
        ("PosNAC", ("NACSigma", {"space": "linear"})),
        ("NALU", ("NALU", {})),
        ("iNALU", ("INALU", {})),
        ("ReRegualizedLinearNAC", ("NAU", {})),
        ("ReRegualizedLinearMNAC", ("NMU", {})),
        ("ReRegualizedLinearPosNAC", ("NACNMU", {"space": "linear"})),
        ("NPU", ("NPU", {})),
        ("RealNPU", ("RealNPU", {})),
        ("NRU", ("NRU", {})),
        ("NMRU", ("NMRU", {"sign": "none"})),
        ("SignNMRU", ("NMRU", {})),
        ("GatedSignNMRU", ("NMRU", {"sign": "gated"})),
        ("MCFC", ("MCFC", {})),
        ("MulMCFC", ("MulMCFC", {})),
        ("MulMCFCSignINALU", ("MulMCFC", {"sign": "inalu"})),
        ("MulMCFCSignRealNPU", ("MulMCFC", {"sign": "real_npu"})),
    ],
)
def test_each_unit_of_the_original_is_one_of_our_modules(unit: str, layer: tuple[str, dict[str, Any]]) -> None:
    assert translate(unit) == [layer]
    assert translate(f"--layer-type {unit}") == [layer]
    name, options = layer
    module = build(f"--layer-type {unit}", 2, 1, {})
    assert type(module).__name__ == name
    for option, value in options.items():
        assert getattr(module, option) == value


@pytest.mark.parametrize("unit", ["ReLU", "ReLU6"])
def test_in_the_originals_networks_of_one_layer_activations_are_left_out(unit: str) -> None:
    assert translate(f"--layer-type {unit}") == [("Linear", {})]
    assert resolve(unit) is MODULES[unit]


def test_every_unit_can_be_built_and_called() -> None:
    for unit in UNITS:
        extra = " --nalu-mul mnac" if unit == "ReRegualizedLinearNALU" else ""
        module = build(f"--layer-type {unit}{extra}", 3, 2, {})
        assert module(torch.ones(5, 3)).shape == (5, 2)


@pytest.mark.parametrize(
    ("command", "layer"),
    [
        ("", ("NALU", {})),
        ("--nalu-two-nac", ("NALU", {"separate": True})),
        ("NALU --nalu-two-gate --nalu-bias", ("NALU", {"two_gates": True, "bias": True})),
        ("NALU --nalu-mul normal --nalu-gate normal", ("NALU", {"multiplication": "log", "gate": "sigmoid"})),
        ("NALU --nalu-mul safe", ("NALU", {"multiplication": "safe"})),
        ("NALU --nalu-mul trig --nalu-gate gumbel", ("NALU", {"multiplication": "trig", "gate": "gumbel"})),
        ("NALU --nalu-gate regualized", ("NALU", {"gate": "sigmoid"})),
        ("NALU --nalu-gate obs-gumbel", ("NALU", {"gate": "row_gumbel"})),
        ("NALU --nalu-two-nac --nalu-mul mnac", ("NALU", {"separate": True, "multiplication": "nmu"})),
        ("ReRegualizedLinearNALU --nalu-two-nac --nalu-mul mnac", ("GatedNAUNMU", {})),
        ("ReRegualizedLinearNALU --nalu-mul mnac --nalu-bias", ("GatedNAUNMU", {"bias": True})),
        ("ReRegualizedLinearNAC --oob-mode clip", ("NAU", {"out_of_bounds": "clip"})),
        ("ReRegualizedLinearNAC --oob-mode regualized", ("NAU", {"out_of_bounds": "penalty"})),
        ("ReRegualizedLinearNAC --regualizer-shape squared", ("NAU", {"shape": "squared"})),
        ("ReRegualizedLinearNAC --beta-nau", ("NAU", {"init": "beta"})),
        ("ReRegualizedLinearMNAC --mnac-epsilon 0.25", ("NMU", {"identity_epsilon": 0.25})),
        ("ReRegualizedLinearMNAC --nmu-noise", ("NMU", {"noise": [1.0, 5.0]})),
        ("ReRegualizedLinearMNAC --nmu-noise --noise-range [5,10]", ("NMU", {"noise": [5.0, 10.0]})),
        ("ReRegualizedLinearMNAC --nmu-noise --noise-range '[0.1, 0.5]'", ("NMU", {"noise": [0.1, 0.5]})),
        ("ReRegualizedLinearMNAC --nmu-noise --noise-range [1,0]", ("NMU", {"noise": "batch"})),
        ("ReRegualizedLinearMNAC --noise-range [5,10]", ("NMU", {})),
        ("RealNPU --npu-clip none", ("RealNPU", {"clip": "none"})),
        ("RealNPU --npu-clip w", ("RealNPU", {"clip": "weight"})),
        ("RealNPU --npu-clip g", ("RealNPU", {"clip": "gate"})),
        ("RealNPU --npu-clip wg --realnpu-reg-type bias", ("RealNPU", {"clip": "both", "attract": "ternary"})),
        ("RealNPU --npu-clip wig", ("RealNPU", {})),  # which does nothing there
        (
            "RealNPU --npu-Wr-init xavier-uniform --realnpu-reg-type W",
            ("RealNPU", {"init": "xavier", "attract": "signs"}),
        ),
        (
            "NPU --npu-clip wig --npu-Wr-init xavier-uniform-constrained",
            ("NPU", {"clip": "all", "init": "constrained"}),
        ),
        ("NRU --nru-div-mode div --trash-cell", ("NRU", {"sign": "joint", "trash": True})),
        ("--layer-type NRU --nru-div-mode div-sepSign --beta-nau", ("NRU", {"sign": "separate", "init": "beta"})),
        ("SignNMRU --mnac-epsilon 1e-3", ("NMRU", {"identity_epsilon": 0.001})),
        ("--nru-div-mode div-sepSign --layer-type NRU", ("NRU", {"sign": "separate"})),  # in any order
    ],
)
def test_options_of_the_original_become_ours(command: str, layer: tuple[str, dict[str, Any]]) -> None:
    assert translate(command) == [layer]
    name, options = layer
    assert isinstance(MODULES[name](2, 1, **options), ArithmeticModule)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("SignNMRU --nalu-bias --npu-clip wg --beta-nau --trash-cell", "NMRU"),
        ("RealNPU --oob-mode clip --regualizer-shape linear --nalu-two-nac --mnac-epsilon 0.1", "RealNPU"),
        ("NAC --nru-div-mode div --nalu-mul safe --first-layer NAC", "NAC"),
        ("NPU --realnpu-reg-type bias", "NPU"),
        ("NALU --nac-mul mnac", "NALU"),
        ("SignNMRU --nac-mul real-npu", "NMRU"),
    ],
)
def test_options_that_mean_nothing_to_a_unit_are_left_out(command: str, name: str) -> None:
    ((found, options),) = translate(command)
    assert found == name
    assert options.keys() <= {"out_of_bounds", "shape"}


def layers_of(network: nn.Module) -> list[Any]:
    assert isinstance(network, nn.Sequential)
    return list(network)


# --- two layers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "layers"),
    [
        ("NAC --nac-mul normal", [("NAC", {}), ("NACMul", {})]),
        ("NAC --nac-mul mnac", [("NAC", {}), ("SigmaNMU", {})]),
        ("PosNAC --nac-mul normal", [("NACSigma", {"space": "linear"}), ("NACSigma", {})]),
        ("PosNAC --nac-mul normal --first-layer NAC", [("NAC", {}), ("NACSigma", {})]),
        (
            "ReRegualizedLinearPosNAC --nac-mul normal --first-layer ReRegualizedLinearNAC",
            [("NAU", {}), ("NACNMU", {})],
        ),
        ("ReRegualizedLinearNAC --nac-mul mnac", [("NAU", {}), ("NMU", {})]),
        ("--nac-mul mnac --layer-type ReRegualizedLinearNAC", [("NAU", {}), ("NMU", {})]),
        ("ReRegualizedLinearNAC --nac-mul real-npu", [("NAU", {}), ("RealNPU", {})]),
        ("ReRegualizedLinearNAC --nac-mul npu", [("NAU", {}), ("NPU", {})]),
        ("ReRegualizedLinearNAC --nac-mul none", [("NAU", {})]),
        (
            "ReRegualizedLinearNAC --nac-mul mnac --oob-mode regualized --beta-nau --mnac-epsilon 0.5 --nmu-noise",
            [
                ("NAU", {"out_of_bounds": "penalty", "init": "beta"}),
                ("NMU", {"out_of_bounds": "penalty", "identity_epsilon": 0.5, "noise": [1.0, 5.0]}),
            ],
        ),
        (
            "ReRegualizedLinearNAC --nac-mul real-npu --npu-clip wg --regualizer-shape none",
            [("NAU", {"shape": "none"}), ("RealNPU", {"clip": "both"})],
        ),
    ],
)
def test_a_multiplication_after_an_additive_unit_is_a_second_layer(command: str, layers: Layers) -> None:
    assert translate(command) == layers
    if len(layers) == 1:
        return
    network = build(command, 4, 3, {})
    first, second = layers_of(network)
    assert [type(first).__name__, type(second).__name__] == [name for name, _ in layers]
    for module, (_, options) in zip((first, second), layers, strict=True):
        for option, value in options.items():
            found = getattr(module, option)
            assert (list(found) if isinstance(found, tuple) else found) == value
    assert [(first.in_features, first.out_features), (second.in_features, second.out_features)] == [(4, 2), (2, 3)]
    assert network(torch.ones(5, 4)).shape == (5, 3)


def test_the_hidden_size_of_two_layers_is_an_option() -> None:
    network = build("ReRegualizedLinearNAC --nac-mul mnac", 4, 3, {"hidden_size": 7})
    first, second = layers_of(network)
    assert isinstance(first, NAU)
    assert isinstance(second, NMU)
    assert (first.out_features, second.in_features) == (7, 7)
    with pytest.raises(
        ValueError, match=r"no option 'hidden' \(did you mean hidden_size\?\), expected one of: hidden_size"
    ):
        build("ReRegualizedLinearNAC --nac-mul mnac", 4, 3, {"hidden": 7})


def test_a_sum_of_logarithms_that_no_module_computes_is_refused() -> None:
    # exp(NAU(ln x)) is none of our modules; two sums in a row would be something else.
    with pytest.raises(ValueError, match="ReRegualizedLinearNAC"):
        translate("ReRegualizedLinearNAC --nac-mul normal")


# --- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("SoftmaxNAC", "found unknown unit 'SoftmaxNAC' of the original, expected one of: linear"),
        ("--layer-type NAU", "found unknown unit 'NAU' of the original"),
        ("NAC --nac-mul mnac --first-layer GumbelNAC", "found unknown unit 'GumbelNAC'"),
        ("PosNAC --nac-mul mnac", "found unknown unit 'PosMNAC'"),
        ("NAC --nac-mul safe", "found --nac-mul safe, expected one of: none, normal, mnac, npu, real-npu"),
        ("NRU --learning-rate 1e-3", "found '--learning-rate' in 'NRU --learning-rate 1e-3', expected options about"),
        ("NRU --seed 3", "found '--seed'"),
        ("NRU NMRU", "found 'NMRU' in 'NRU NMRU'"),
        ("--layer-type", "found --layer-type without a value in '--layer-type'"),
        ("NRU --nru-div-mode", "found --nru-div-mode without a value"),
        ("NRU --nru-div-mode both", "found --nru-div-mode both, expected one of: div, div-sepSign"),
        ("NAC --oob-mode cut", "found --oob-mode cut, expected one of: clip, regualized"),
        ("NALU --nalu-mul max-safe", "found --nalu-mul max-safe, expected one of: normal, safe, trig, mnac"),
        ("NPU --npu-clip all", "found --npu-clip all, expected one of: none, w, g, wg, wig"),
        ("ReRegualizedLinearNALU", "found ReRegualizedLinearNALU with --nalu-mul normal, expected mnac"),
        ("ReRegualizedLinearNALU --nalu-mul trig", "found ReRegualizedLinearNALU with --nalu-mul trig, expected mnac"),
        ("SignNMRU --mnac-epsilon small", "found --mnac-epsilon small, expected a number"),
        ("SignNMRU --mnac-epsilon [1]", r"found --mnac-epsilon \[1\], expected a number"),
        ("ReRegualizedLinearMNAC --nmu-noise --noise-range 5", "found --noise-range 5, expected a range such as"),
        (
            "ReRegualizedLinearMNAC --nmu-noise --noise-range [1,2,3]",
            r"found --noise-range \[1,2,3\], expected a range",
        ),
        ("ReRegualizedLinearMNAC --nmu-noise --noise-range [1,'a']", "found --noise-range"),
    ],
)
def test_what_is_wrong_with_a_command_is_named_with_what_is_allowed(command: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        translate(command)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "use", [resolve, canonical, lambda name: build(name, 2, 1, {})], ids=["resolve", "canonical", "build"]
)
def test_a_wrong_command_is_refused_wherever_a_name_is_used(use: Callable[[str], Any]) -> None:
    with pytest.raises(ValueError, match="found --npu-clip all, expected one of"):
        use("RealNPU --npu-clip all")


def test_a_value_that_the_module_refuses_is_an_error_of_building() -> None:
    with pytest.raises(ValueError, match=r"noise is \[5.0, 1.0\], expected \[low, high\] with 0 < low < high"):
        build("ReRegualizedLinearMNAC --nmu-noise --noise-range [5,1]", 2, 1, {})
    with pytest.raises(ValueError, match=r"identity_epsilon is 1\.5, expected 0 or more and less than 1"):
        build("SignNMRU --mnac-epsilon 1.5", 2, 1, {})


# --- names ------------------------------------------------------------------------------------------------------


def test_a_name_that_both_have_is_ours_and_the_command_is_the_originals() -> None:
    assert resolve("NMRU") is NMRU
    ours, theirs = build("NMRU", 2, 1, {}), build("--layer-type NMRU", 2, 1, {})
    assert isinstance(ours, NMRU)
    assert isinstance(theirs, NMRU)
    assert (ours.sign, theirs.sign) == ("retrieved", "none")
    assert canonical("NMRU") == ("NMRU", {})
    assert canonical("--layer-type NMRU") == ("NMRU", {"sign": "none"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NMU", ("NMU", {})),
        ("ReRegualizedLinearMNAC", ("NMU", {})),
        ("SignNMRU", ("NMRU", {})),
        ("iNALU", ("INALU", {})),
        ("NRU --nru-div-mode div-sepSign", ("NRU", {"sign": "separate"})),
        ("mypackage.layers:MyUnit", ("mypackage.layers:MyUnit", {})),
        ("no such module", ("no such module", {})),
    ],
)
def test_modules_of_one_layer_have_a_canonical_name(name: str, expected: tuple[str, dict[str, Any]]) -> None:
    assert canonical(name) == expected


@pytest.mark.parametrize("unit", UNITS)
def test_the_canonical_name_builds_the_same_module(unit: str) -> None:
    command = f"--layer-type {unit}" + (" --nalu-mul mnac" if unit == "ReRegualizedLinearNALU" else "")
    name, options = canonical(command)
    assert name in MODULES
    torch.manual_seed(0)
    theirs = build(command, 3, 2, {})
    torch.manual_seed(0)
    ours = build(name, 3, 2, options)
    assert repr(ours) == repr(theirs)
    x = torch.rand(5, 3) + 0.5
    assert torch.equal(ours(x), theirs(x))


def test_options_beside_a_command_win_over_its_own() -> None:
    module = build("NRU --nru-div-mode div-sepSign", 2, 1, {"sign": "joint", "eps": 1e-3})
    assert isinstance(module, NRU)
    assert (module.sign, module.eps) == ("joint", 1e-3)


def test_names_are_listed_without_those_of_the_original() -> None:
    assert module_names()[: len(MODULES)] == list(MODULES)
    assert not {"SignNMRU", "ReRegualizedLinearNAC"} & set(module_names())
