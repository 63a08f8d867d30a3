"""Every module against records of the original's outputs, gradients and initial parameters."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.modules.golden.helpers import (
    BUILDERS,
    TERMS,
    TOLERANCE,
    both_modes,
    float64,
    ours,
    same,
)
from torch import Tensor

from nalm.modules import (
    NAC,
    ArithmeticModule,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "modules"

RECORDS = [record for name in ("core", "extra") for record in json.loads((GOLDEN / f"{name}.json").read_text())]


def name_of(record: dict[str, Any]) -> str:
    return f"{record['module']}-{record['in_features']}-{record['out_features']}"


every_record = pytest.mark.parametrize("record", RECORDS, ids=name_of)


def size(record: dict[str, Any]) -> tuple[int, int]:
    return record["in_features"], record["out_features"]


def from_record(record: dict[str, Any]) -> ArithmeticModule:
    module = BUILDERS[record["module"]](*size(record)).double()
    module.load_state_dict(ours(record["params"]))
    return module


def gradient_tolerance(module: ArithmeticModule, name: str) -> Tensor:
    """Relative tolerance of the gradient to each entry of a parameter.

    The derivative of tanh, 1 - tanh(w)^2, is for large w a small difference of numbers near 1. Rounding them leaves it
    uncertain by a few 2^-53, on either side: for the NAC's initial weights by up to 1.4e-9 of itself (measured).
    """
    parameter = module.get_parameter(name).detach()
    part, _, own = name.rpartition(".")
    unit = module.get_submodule(part)
    if own == "weight_hat" and isinstance(unit, NAC) and unit.base == "e":
        return TOLERANCE + 2.0**-51 * torch.cosh(parameter) ** 2  # 1 / (1 - tanh^2) = cosh^2
    return torch.full_like(parameter, TOLERANCE)


def test_every_setting_is_measured_in_three_sizes() -> None:
    sizes = {name: {size(record) for record in RECORDS if record["module"] == name} for name in BUILDERS}
    assert all(found == {(2, 1), (3, 2), (10, 1)} for found in sizes.values())
    assert len(RECORDS) == 3 * len(BUILDERS)


@both_modes
@every_record
def test_outputs_and_gradients_equal_the_originals(record: dict[str, Any], mode: str) -> None:
    module = from_record(record).train(mode == "train")
    x = float64(record["x"]).requires_grad_()

    y = module(x)
    (float64(record["c"]) * y).sum().backward()

    measured = record[mode]
    same(y.detach(), float64(measured["y"]))
    same(x.grad, float64(measured["grad_x"]))
    gradients = ours(measured["grad"])
    assert gradients.keys() == {name for name, _ in module.named_parameters()}
    for name, gradient in gradients.items():
        own = module.get_parameter(name).grad
        assert own is not None
        excess = (own - gradient).abs() - gradient_tolerance(module, name) * gradient.abs()
        assert ((excess <= 0) | (own.isnan() & gradient.isnan())).all(), name


@every_record
def test_regularizers_equal_the_originals(record: dict[str, Any]) -> None:
    terms = from_record(record).regularizers()
    measured = {TERMS[key]: value for key, value in record["penalties"].items() if key != "z"}
    assert terms.keys() == measured.keys()
    for name, value in measured.items():
        same(terms[name].detach(), float64(value))


@every_record
def test_inputs_add_regularizers_of_inputs_and_gates_and_change_no_other(record: dict[str, Any]) -> None:
    module = from_record(record)
    without, given = module.regularizers(), module.regularizers(float64(record["x"]))
    added = {"input"} if "z" in record["penalties"] else set()
    assert given.keys() - without.keys() == added | ({"gate"} if "G_add" in record["params"] else set())
    for name, value in without.items():
        same(given[name], value)


def is_mass_conserving(record: dict[str, Any]) -> bool:
    return "MCFC" in record["module"]


def seed_of(record: dict[str, Any]) -> int:
    """Return the seed from which the original drew the record's initial parameters (found by search)."""
    in_features, out_features = size(record)
    return 100 + 7 * in_features + out_features


def differences(module: ArithmeticModule, record: dict[str, Any]) -> dict[str, float]:
    """Largest difference of each parameter from the record's, where there is one.

    The original ends its bisection for the NAC's initial range when about 10^-12 is left; other draws are equal up to
    rounding.
    """
    values = {name: (module.get_parameter(name) - value).abs().max() for name, value in ours(record["params"]).items()}
    return {name: value.item() for name, value in values.items() if value > 1e-12}


@pytest.mark.parametrize("record", [r for r in RECORDS if not is_mass_conserving(r)], ids=name_of)
def test_a_module_starts_with_the_parameters_that_the_original_drew(record: dict[str, Any]) -> None:
    torch.manual_seed(seed_of(record))
    module = BUILDERS[record["module"]](*size(record), dtype=torch.float64)
    assert differences(module, record) == {}


@pytest.mark.parametrize("record", [r for r in RECORDS if is_mass_conserving(r)], ids=name_of)
def test_a_reset_mass_conserving_layer_has_the_parameters_that_the_original_drew(record: dict[str, Any]) -> None:
    # Of these the original's constructor lets torch draw a gate first, and then draws the gate and the junction.
    torch.manual_seed(seed_of(record))
    module = BUILDERS[record["module"]](*size(record), dtype=torch.float64)
    module.reset_parameters()
    assert differences(module, record) == {}
