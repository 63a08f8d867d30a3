"""Gradients agree with finite differences, and are 0 for ignored inputs."""

from itertools import permutations, product
from typing import Any

import pytest
import torch
from tests.modules.helpers import (
    IGNORING,
    OPERANDS,
    both_modes,
    every_variant_mostly_slow,
    float64,
    inputs_for,
    mostly_slow,
    random_variant,
    rounding_of,
    with_noise,
)
from tests.modules.variants import VARIANTS
from torch import Tensor
from torch.func import functional_call, jacrev

from nalm.modules import (
    DMU,
)


@both_modes
@every_variant_mostly_slow
def test_gradients_agree_with_finite_differences(name: str, training: bool) -> None:
    module = random_variant(name, training=training)
    x, *noise = with_noise(module, inputs_for(name, 3))
    # The deviation of the batch that gives the noise its range is taken as a constant. Selectors and gates of a DMU are
    # rounded in evaluation, so that their gradient is 0 or, from heads, missing: there inputs alone are checked.
    differentiable_input = not (training and name == "NMU-batch-noise")
    rounded = isinstance(module, DMU) and not training
    parameters = {} if rounded else {key: value.detach().clone() for key, value in module.named_parameters()}

    def outputs(inputs: Tensor, *values: Tensor) -> Any:
        return functional_call(module, dict(zip(parameters, values, strict=True)), (inputs, *noise))

    module.requires_grad_(not rounded)
    values = [value.requires_grad_() for value in parameters.values()]
    if differentiable_input or values:
        assert torch.autograd.gradcheck(outputs, (x.requires_grad_(differentiable_input), *values))


@pytest.mark.parametrize(("name", "operation"), mostly_slow(IGNORING))
def test_the_derivative_is_zero_for_ignored_inputs_and_for_no_others(name: str, operation: str) -> None:
    module = VARIANTS[name](3, 1 if "MCFC" in name else 2).double()
    valid = module.operations[operation]
    x = float64([1.5, 2.5, 3.5] if valid == "at least 1" else [1.5, 0.5, 2.0])
    if valid in ("real", "nonzero"):
        x[1] *= -1
    for operands, training in product(permutations(range(3), OPERANDS[operation]), (True, False)):
        jacobian = jacrev(module.train(training).gold(operation, *operands))(*with_noise(module, x))
        used = torch.tensor([index in operands for index in range(3)])
        assert jacobian[:, used].all()
        assert jacobian.isfinite().all()
        assert (jacobian[:, ~used].abs() <= rounding_of(name)).all()
