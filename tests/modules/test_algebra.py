"""Modules keep the laws of algebra, and compute what was published."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from tests.modules.helpers import (
    COMPUTED,
    FORWARD,
    IGNORING,
    OPERANDS,
    beside,
    both_modes,
    float64,
    inputs_for,
    mostly_slow,
    numbers,
    off_by,
    random_variant,
    randomized,
    rounding_of,
    unhurried,
    with_noise,
)
from tests.modules.variants import VARIANTS
from torch import nn

from nalm.modules import (
    NPU,
    ArithmeticModule,
    NaiveNPU,
    RealNaiveNPU,
    RealNPU,
)


@torch.no_grad()
def permute_(module: ArithmeticModule, order: list[int], others: tuple[int, ...]) -> None:
    """Permutes the parameters' dimensions that count inputs: those whose size is a multiple of their number."""
    inputs = len(order)
    assert not any(other % inputs == 0 for other in others)
    for parameter in module.parameters():
        for dim, size in enumerate(parameter.shape):
            if size % inputs == 0:
                blocks = parameter.reshape(*parameter.shape[:dim], -1, inputs, *parameter.shape[dim + 1 :])
                parameter.copy_(blocks.index_select(dim + 1, torch.tensor(order)).flatten(dim, dim + 1))


@given(order=st.permutations(range(5)), seed=st.integers(0, 1000), training=st.booleans())
@pytest.mark.parametrize("name", mostly_slow(name for name in FORWARD if name != "DMU-difference"))
@unhurried
def test_inputs_may_be_permuted_together_with_their_weights(
    name: str, order: list[int], seed: int, training: bool
) -> None:
    module = randomized(VARIANTS[name](5, 3), seed).train(training)
    x = torch.cat([inputs_for(name, 4, seed=seed), inputs_for(name, 4, seed=seed + 1)[:, :2]], -1)
    x, *noise = with_noise(module, x, seed)
    expected = module(x, *noise)
    permute_(module, order, others=(3, 4, 6))
    noise = [part[..., order] if part.shape == x.shape else part for part in noise]
    # Sums and products in another order: some roundings, relative to the largest result.
    scale = expected.abs().max().item()
    torch.testing.assert_close(module(x[:, order], *noise), expected, rtol=1e-11, atol=1e-11 * scale)


@given(data=st.data())
@pytest.mark.parametrize("name", mostly_slow(dict(IGNORING)))
@unhurried
def test_ignored_inputs_do_not_matter(name: str, data: st.DataObject) -> None:
    module = VARIANTS[name](3, 1).double().eval()
    operation = data.draw(st.sampled_from([*module.operations]))
    valid = numbers(module.operations[operation])
    x = float64(data.draw(st.lists(valid, min_size=3, max_size=3)))
    operands = data.draw(st.permutations(range(3)))[: OPERANDS[operation]]
    changed = x.clone()
    changed[[index for index in range(3) if index not in operands]] = data.draw(valid)
    module.gold(operation, *operands)
    torch.testing.assert_close(module(beside(changed)), module(beside(x)), rtol=rounding_of(name), atol=0)


def both(first: str, second: str) -> list[str]:
    return [name for name in VARIANTS if {(name, first), (name, second)} <= set(COMPUTED)]


@given(data=st.data())
@pytest.mark.parametrize("name", both("mul", "div"))
@unhurried
def test_dividing_a_product_by_a_factor_gives_the_other(name: str, data: st.DataObject) -> None:
    build = VARIANTS[name]
    multiply, divide = (build(2, 1).double().eval().gold(operation) for operation in ("mul", "div"))
    valid = divide.operations["div"]
    a, b = data.draw(numbers(valid)), data.draw(numbers(valid))
    result = divide(torch.cat([multiply(float64([a, b])), float64([b])]))
    relative = off_by(multiply, "mul", float64([a, b])) + off_by(divide, "div", float64([a * b, b]))
    assert result.item() == pytest.approx(a, rel=relative.item())


@given(data=st.data())
@pytest.mark.parametrize("name", [name for name, operation in COMPUTED if operation == "sub"])
@unhurried
def test_a_difference_is_minus_that_of_the_swapped_inputs(name: str, data: st.DataObject) -> None:
    module = VARIANTS[name](2, 1).double().eval().gold("sub")
    x = float64([data.draw(numbers(module.operations["sub"])) for _ in range(2)])
    assert torch.equal(module(x.flip(0)), -module(x))


@given(data=st.data())
@pytest.mark.parametrize("name", mostly_slow(dict(COMPUTED)))
@unhurried
def test_sums_and_products_commute(name: str, data: st.DataObject) -> None:
    module = VARIANTS[name](2, 1).double().eval()
    for operation in {"add", "mul"} & set(module.operations):
        x = float64([data.draw(numbers(module.operations[operation])) for _ in range(2)])
        module.gold(operation)
        found, expected = (module(beside(inputs))[0] for inputs in (x.flip(0), x))
        torch.testing.assert_close(found, expected, rtol=1e-14 + rounding_of(name), atol=1e-14)


@pytest.mark.parametrize("build", [NPU, RealNPU, NaiveNPU, RealNaiveNPU])
def test_a_power_unit_of_open_gates_is_the_real_part_of_the_complex_power_product(build: Any) -> None:
    module = randomized(build(3, 2))
    if hasattr(module, "gate") and module.gate is not None:
        nn.init.ones_(module.gate)
    module.idealize()
    x = inputs_for("NPU", 20)
    imaginary = getattr(module, "imaginary", None)
    exponents = torch.complex(module.weight, torch.zeros_like(module.weight) if imaginary is None else imaginary)
    logarithm = torch.complex(x.abs().log(), (x < 0).double() * math.pi)
    expected = torch.exp(logarithm @ exponents.T).real
    # Some ten roundings, of angles up to 10.
    torch.testing.assert_close(module(x), expected, rtol=1e-12, atol=1e-12)


def dmu_as_published(x: list[float], selectors: list[float], gates: list[float], training: bool) -> float:
    """One output of a domain mixed unit, by the equations of its paper."""
    least, most, end = (1e-11, 1e6, math.log(1e6) - 1) if training else (1e-20, 1e20, 50.0)

    def softplus(value: float) -> float:
        return max(value, 0.0) + math.log1p(math.exp(-abs(value)))

    total = sum(o * value for o, value in zip(selectors, x, strict=True))
    power = sum(o * math.log(max(abs(value), least)) for o, value in zip(selectors, x, strict=True))
    turned = sum(abs(o) for o, value in zip(selectors, x, strict=True) if value < 0)
    sign = gates[0] * math.tanh(total / 1e-4) + gates[1] * math.cos(math.pi * turned)
    power = softplus(end - softplus(end - power) + end) - end
    magnitude = gates[0] * max(math.sqrt(total**2 + 1e-8), least) + gates[1] * math.exp(power)
    return sign * min(max(magnitude, least), most)


@both_modes
@pytest.mark.parametrize("name", ["DMU", "DMU-sum", "DMU-difference", "DMU-heads", "DMU-sum-heads"])
def test_a_domain_mixed_unit_computes_what_was_published(name: str, training: bool) -> None:
    module = random_variant(name, training=training)
    for x in inputs_for(name, 20):
        parameters = dict(module.named_parameters())
        if "heads" in name:
            normalized = (x - x.mean()) / torch.sqrt(x.var(correction=0) + 1e-5)
            heads = {
                key: parameters[f"heads.{key}.weight"] @ normalized + parameters[f"heads.{key}.bias"]
                for key in module.heads
            }
        else:
            heads = {key.removesuffix("_hat"): value for key, value in parameters.items()}
        gates = torch.softmax(heads["gate"].reshape(2, 2), -1)
        if "sign" in heads:
            selectors = torch.tanh(heads["sign"]) * nn.functional.softplus(heads["size"])
            selectors = selectors.reshape(2, -1)
        else:
            selectors = torch.ones(2, len(x)) * torch.tensor([1, -1] if "difference" in name else [1])
        if not training:
            selectors, gates = selectors.round().clamp(-1, 1), gates.round()  # none is near a half
        expected = [
            dmu_as_published(x.tolist(), selectors[output].tolist(), gates[output].tolist(), training)
            for output in range(2)
        ]
        assert module(x).tolist() == pytest.approx(expected, rel=1e-10)
