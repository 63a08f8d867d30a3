"""Regularizers pull the parameters that they are about."""

from typing import Any

import pytest
import torch
from tests.modules.helpers import (
    both_modes,
    every_variant,
    inputs_for,
    random_variant,
)

from nalm.modules import (
    DMU,
    NACNMU,
    NAU,
    NMRU,
    NMU,
    NRU,
)


def test_the_sparsity_error_of_weights_that_depend_on_the_inputs_is_nan() -> None:
    assert DMU(3, 2, heads=True).sparsity_error().isnan()


@both_modes
@every_variant
def test_regularizers_give_finite_gradients(name: str, training: bool) -> None:
    module = random_variant(name, training=training)
    for together in (module.regularizers(), module.regularizers(inputs_for(name, 5))):
        module.zero_grad()
        total: Any = sum(together.values(), torch.zeros((), requires_grad=True, dtype=torch.float64))
        total.backward()
        assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("NAC", {"input": ["weight_hat", "mask_hat"]}),
        ("NACMul", {"input": ["weight_hat", "mask_hat"]}),
        ("NACNMU-log", {"weight": ["weight"], "input": ["weight"]}),
        ("NALU", {"gate": ["gate_weight"], "input": ["additive.weight_hat", "additive.mask_hat"]}),
        ("NALU-two_gates-bias", {"gate": ["gate_weight", "gate_bias", "second_gate_weight", "second_gate_bias"]}),
        ("NALU-separate", {"input": ["additive.weight_hat", "multiplicative.weight_hat"]}),
        ("INALU", {"saturation": ["weight_hat", "mask_hat", "power_hat", "power_mask_hat", "gate"]}),
        ("NAU", {"weight": ["weight"], "input": ["weight"]}),
        ("NMU", {"weight": ["weight"], "input": ["weight"]}),
        ("GatedNAUNMU", {"weight": ["additive.weight", "multiplicative.weight"], "gate": ["gate_weight"]}),
        ("NPU", {"weight": ["weight"], "gate": ["gate"]}),
        ("NPU-all", {"weight": ["weight", "imaginary"], "gate": ["gate"]}),
        ("RealNaiveNPU", {"weight": ["weight"]}),
        ("NRU-trash", {"weight": ["weight"], "trash": ["trash"], "input": ["weight"]}),
        ("NMRU-gated", {"weight": ["weight"], "gate": ["gate"], "input": ["weight"]}),
        ("MCFC", {"weight": ["junction", "gate_weight", "gate_bias"]}),
        ("MulMCFC-real_npu", {"weight": ["sum.junction", "sum.gate_weight", "sum.gate_bias"], "gate": ["gate"]}),
    ],
)
def test_regularizers_draw_the_parameters_that_they_are_about(name: str, terms: dict[str, list[str]]) -> None:
    for term, parameters in terms.items():
        module = random_variant(name)
        module.regularizers(inputs_for(name, 5))[term].backward()
        for parameter in parameters:
            gradient = module.get_parameter(parameter).grad
            assert gradient is not None, (term, parameter)
            assert gradient.all(), (term, parameter)


@pytest.mark.parametrize("build", [NAU, NMU, NMRU, NRU, NACNMU])
def test_a_single_row_has_the_regularizers_of_a_batch_of_it(build: Any) -> None:
    module, row = build(3, 2), torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(module.regularizers(row), module.regularizers(row.unsqueeze(0)))
