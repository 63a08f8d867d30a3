"""What every module promises: gold weights, algebra, gradients, and that torch's tools and formulas agree with it."""

import copy
import inspect
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations, product
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings, strategies as st
from tests.modules.variants import VARIANTS
from torch import Tensor, nn
from torch.export import Dim, export
from torch.func import functional_call, jacrev, stack_module_state, vmap

from nalm.modules import (
    DMU,
    GNALU,
    INALU,
    MCFC,
    MODULES,
    NACNMU,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    ArithmeticCell,
    ArithmeticModule,
    GatedNAUNMU,
    Linear,
    MulMCFC,
    NACMul,
    NACSigma,
    NaiveNPU,
    RealNaiveNPU,
    RealNPU,
    constrain,
    expression,
)
from nalm.modules.base import Inputs

every_variant = pytest.mark.parametrize("name", VARIANTS)
both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
unhurried = settings(deadline=None, max_examples=12)

RANGES: list[tuple[tuple[float, float], ...]] = [
    ((-20, -10), (-40, -20)),
    ((-2, -1), (-6, -2)),
    ((-1.2, -1.1), (-6.1, -1.2)),
    ((-0.2, -0.1), (-2, -0.2)),
    ((-2, 2), (-6, -2), (2, 6)),
    ((0.1, 0.2), (0.2, 2)),
    ((1, 2), (2, 6)),
    ((1.1, 1.2), (1.2, 6)),
    ((10, 20), (20, 40)),
]
"""Training and test intervals of the paper's nine tasks."""

LEAST: dict[Inputs, float] = {"real": -math.inf, "nonzero": -math.inf, "positive": 1e-3, "at least 1": 1.0}
"""The least input of a kind that is drawn (one of a continuous distribution is never 0)."""

EXACT: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda x: x.sum(-1),
    "sub": lambda x: x[..., 0] - x[..., 1],
    "mul": lambda x: x.prod(-1),
    "div": lambda x: x[..., 0] / x[..., 1],
    "reciprocal": lambda x: 1 / x[..., 0],
    "squared": lambda x: x[..., 0] ** 2,
    "root": lambda x: x[..., 0] ** 0.5,
}
OPERANDS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "reciprocal": 1, "squared": 1, "root": 1}

COMPUTED = [(name, operation) for name, build in VARIANTS.items() for operation in build(2, 1).operations]
"""Every variant with every operation that its gold weights compute."""

ONLY_POSITIVE = ("MulMCFC-none", "MulMCFC-none-trash")
"""Variants that are NaN for negative inputs, as documented."""
TAKES_ALL_INPUTS = [
    *("MCFC", "MulMCFC-none", "MulMCFC-inalu", "MulMCFC-real_npu"),
    *("DMU-sum", "DMU-difference", "DMU-sum-heads"),
]
"""Variants that cannot ignore an input."""
WITHOUT_DISCRETE_WEIGHTS = ("Linear", "ReLU", "ReLU6", "DMU-heads", "DMU-sum-heads")
WITHOUT_FORMULA = {
    "NMU-normalized": "std",
    "DMU-heads": "native_layer_norm",
    "DMU-sum-heads": "native_layer_norm",
}
"""Variants that compute with something that has no formula, and what it is."""
REPRESENTATIVES = [
    *("Linear", "ReLU6", "NAC-golden", "NACMul", "NACSigma-log", "NACNMU-log", "NALU-separate", "NALU-safe"),
    *("NALU-trig", "GNALU-bias", "INALU", "NAU", "NMU", "NMU-normalized", "SigmaNMU", "GatedNAUNMU-bias", "NPU"),
    *("RealNPU", "NaiveNPU", "RealNaiveNPU", "NRU", "NRU-separate", "NMRU-gated", "MCFC-trash", "MulMCFC-inalu"),
    *("MulMCFC-real_npu-trash", "DMU", "DMU-heads"),
]
"""At least one variant of each class, where all would take too long."""
FORWARD = [
    name
    for name in VARIANTS
    if name not in ("NAU-beta", "NPU-both", "NPU-all", "RealNPU-ternary", "NaiveNPU-weight", "RealNaiveNPU-weight")
]
"""Variants whose forward pass differs from that of every other, for what takes long and is about nothing else."""
NOISY = [name for name, build in VARIANTS.items() if build(2, 1).noise_shape(torch.Size([5, 2])) is not None]
POWER_UNITS = (NPU, RealNPU, NaiveNPU, RealNaiveNPU)


@pytest.fixture(autouse=True)
def _seeds_end_with_the_test() -> Iterator[None]:
    """Tests that need a seed set it; whatever they set does not reach the next test."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def float64(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def width(name: str, wanted: int = 3) -> int:
    """How many inputs the variant gets, if three (or others) are wanted."""
    return 2 if name == "DMU-difference" else wanted


def inputs_for(name: str, *shape: int, seed: int = 0) -> Tensor:
    """Numbers of both signs, where the variant takes them, from 0.3 to 3, none of them near the 1 of ``safe``."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.empty(*shape, width(name), dtype=torch.float64).uniform_(0.3, 0.9, generator=generator)
    size = torch.where(torch.rand(size.shape, generator=generator) < 0.5, size, 3.3 * size)
    sign = torch.randint(0, 2, size.shape, generator=generator) * 2 - 1
    return size if name in ONLY_POSITIVE else size * sign


@torch.no_grad()
def randomized(module: ArithmeticModule, seed: int = 0) -> Any:
    """The module in float64, with parameters that are discrete nowhere, nor nearly halves, which are rounded."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.double().named_parameters():
        parameter.uniform_(0.12, 0.38, generator=generator)
        parameter.add_(0.5 * torch.randint(0, 2, parameter.shape, generator=generator))
        if module.domain.get(name, (-1, 1)) != (0, 1):
            parameter.mul_(torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1)
    return module


def random_variant(name: str, *, training: bool = False, seed: int = 0) -> Any:
    return randomized(VARIANTS[name](width(name), 2), seed).train(training)


def with_noise(module: ArithmeticModule, x: Tensor, seed: int = 0) -> tuple[Tensor, ...]:
    """What the module is called with: in training some also take noise, which is the same for the same seed."""
    shape = module.noise_shape(x.shape) if module.training else None
    if shape is None:
        return (x,)
    return x, torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def operand_choices(name: str, operation: str, in_features: int) -> list[tuple[int, ...]]:
    """Some of the operands, or all, that the variant can apply the operation to."""
    if name in TAKES_ALL_INPUTS:
        return [tuple(range(in_features))]
    if in_features > 3:
        return [(7, 2)[: OPERANDS[operation]], (0, 1)[: OPERANDS[operation]]]
    return list(permutations(range(in_features), OPERANDS[operation]))


def off_by(module: ArithmeticModule, operation: str, operands: Tensor) -> Tensor:
    """How far from exact a result may be, relative to the largest of the operands and the result: each logarithm or
    reciprocal adds eps to its operand (squares do so twice), the DMU smooths."""
    eps = 1e-4 if isinstance(module, DMU) else getattr(module, "eps", 0.0)
    times = 2 if operation == "squared" else 1
    return 1e-6 + times * eps * (1 / operands.abs()).sum(-1)


def drawn(valid: Inputs, in_features: int, rows: int = 10) -> Tensor:
    """Rows from each interval of the nine tasks, or from that part of it where the operation is computed."""
    generator = torch.Generator().manual_seed(0)
    parts = [(max(low, LEAST[valid]), high) for intervals in RANGES for low, high in intervals if high > LEAST[valid]]
    return torch.cat(
        [
            torch.empty(rows, in_features, dtype=torch.float64).uniform_(low, high, generator=generator)
            for low, high in parts
        ]
    )


def numbers(valid: Inputs) -> st.SearchStrategy[float]:
    """Single inputs for which an operation is computed."""
    if valid == "at least 1":
        return st.floats(1, 20)
    sizes = st.floats(0.1, 20)
    return sizes if valid == "positive" else st.builds(math.copysign, sizes, st.sampled_from([-1.0, 1.0]))


def test_every_module_and_every_value_of_an_option_is_among_the_variants() -> None:
    given: dict[str, list[dict[str, Any]]] = {name: [] for name in MODULES}
    for build in VARIANTS.values():
        given[type(build(2, 1)).__name__].append(getattr(build, "keywords", {}))
    for name, found in given.items():
        defaults = inspect.signature(MODULES[name]).parameters
        for option, hint in get_type_hints(MODULES[name].__init__).items():
            # A golden NALU has the NALU's options, which are tried there; these four concern no forward pass.
            if (
                name != "GNALU"
                and option not in ("init", "shape", "clip", "attract")
                and (get_origin(hint) is Literal or hint is bool)
            ):
                expected = {False, True} if hint is bool else set(get_args(hint))
                assert {options.get(option, defaults[option].default) for options in found} >= expected, (name, option)
        assert found, name


# --- gold weights -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "operation"), COMPUTED)
def test_gold_weights_compute_the_operation_on_the_nine_ranges(name: str, operation: str) -> None:
    for in_features, out_features in ((2, 1), (3, 2), (10, 1)):
        module = VARIANTS[name](width(name, in_features), out_features).double().eval()
        if out_features > 1 and isinstance(module, MCFC | MulMCFC):
            assert module.operations == {}, "an input goes to one output only"
            continue
        x = drawn(module.operations[operation], module.in_features)
        for operands in operand_choices(name, operation, module.in_features):
            selected = x[:, list(operands)]
            exact = EXACT[operation](selected)
            largest = torch.cat([selected, exact.unsqueeze(-1)], -1).abs().amax(-1)
            for output in module.gold(operation, *operands)(x).unbind(-1):
                error = (output - exact).abs() / (off_by(module, operation, selected) * largest)
                worst = error.nan_to_num(nan=math.inf).argmax()
                assert error[worst] <= 1, (operands, x[worst], output[worst], exact[worst])


@pytest.mark.parametrize(("name", "operation"), COMPUTED)
def test_operands_are_the_first_inputs_unless_they_are_named(name: str, operation: str) -> None:
    # Those that cannot ignore an input have no others here.
    module = VARIANTS[name](2 if name in TAKES_ALL_INPUTS else 3, 1).double().eval()
    x = drawn(module.operations[operation], module.in_features)
    by_default = module.gold(operation)(x).detach()
    assert torch.equal(by_default, module.gold(operation, *range(OPERANDS[operation]))(x))


@pytest.mark.parametrize("name", [name for name, operation in COMPUTED if operation == "mul"])
def test_a_product_takes_any_number_of_operands(name: str) -> None:
    in_features = 4
    operands = (0, 1, 2, 3) if name in TAKES_ALL_INPUTS else (3, 0, 2)
    module = VARIANTS[name](in_features, 1).double().eval().gold("mul", *operands)
    x = drawn(module.operations["mul"], in_features)
    selected = x[:, list(operands)]
    error = (module(x)[:, 0] - selected.prod(-1)).abs()
    scale = torch.maximum(selected.abs().amax(-1), selected.prod(-1).abs())
    assert (error <= off_by(module, "mul", selected) * scale).all()


@pytest.mark.parametrize(("name", "operation"), COMPUTED)
def test_gold_weights_are_within_bounds(name: str, operation: str) -> None:
    module = VARIANTS[name](2, 1).gold(operation)
    before = copy.deepcopy(module.state_dict())
    for key, value in module.project_().state_dict().items():
        assert torch.equal(value, before[key]), key


# --- algebra ----------------------------------------------------------------------------------------------------


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
@pytest.mark.parametrize("name", [name for name in FORWARD if name != "DMU-difference"])
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


def beside(x: Tensor) -> Tensor:
    """The row and another one, since a normalized NMU needs a batch that is not constant."""
    return torch.stack([x, torch.linspace(1.25, 2.5, len(x), dtype=x.dtype)])


def rounding_of(name: str) -> float:
    """Of what should cancel: a standard deviation that is multiplied in and divided out is rounded, nothing else is."""
    return 1e-12 if name == "NMU-normalized" else 0.0


IGNORING = [(name, operation) for name, operation in COMPUTED if name not in TAKES_ALL_INPUTS]


@given(data=st.data())
@pytest.mark.parametrize("name", [*dict(IGNORING)])
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
@pytest.mark.parametrize("name", [*dict(COMPUTED)])
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


# --- gradients --------------------------------------------------------------------------------------------------


@both_modes
@every_variant
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


@pytest.mark.parametrize(("name", "operation"), IGNORING)
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


@every_variant
def test_every_initial_parameter_gets_a_finite_gradient(name: str) -> None:
    torch.manual_seed(0)
    module = VARIANTS[name](width(name), 2)
    module(inputs_for(name, 20).float() * 4).square().mean().backward()
    gradients = [parameter.grad for parameter in module.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient is not None and gradient.any() for gradient in gradients)


# --- being an ordinary layer of torch ---------------------------------------------------------------------------


@both_modes
@every_variant
def test_every_leading_shape_gives_the_results_of_its_rows(name: str, training: bool) -> None:
    module = random_variant(name, training=training)
    alone = name == "NMU-normalized" or (training and name == "NMU-batch-noise")  # a batch of one has no deviation
    for shape in ((), (7,), (2, 3)):
        x = inputs_for(name, *shape)
        _, *noise = with_noise(module, x)
        results = module(x, *noise)
        assert results.shape == (*shape, 2)
        assert results.isfinite().all()
        rows = [x[index] for index in np.ndindex(shape)]
        if noise and module.noise_shape(x.shape) != module.noise_shape(rows[0].shape):
            # The rows have numbers of their own, in the dimensions before the last.
            before = noise[0].ndim - len(shape) - 1
            noises = [[noise[0][(slice(None),) * before + index]] for index in np.ndindex(shape)]
        else:
            noises = [noise] * len(rows)
        if not alone:
            each = [module(row, *numbers) for row, numbers in zip(rows, noises, strict=True)]
            # Vectorized and scalar functions may differ in their last place.
            torch.testing.assert_close(results, torch.stack(each).reshape(*shape, 2), rtol=1e-12, atol=1e-13)


@every_variant
def test_state_dicts_carry_everything_that_a_module_computes_with(name: str) -> None:
    module, other = random_variant(name, seed=1), random_variant(name, seed=2)
    x = inputs_for(name, 10)
    assert not torch.equal(other(x), module(x)) or isinstance(module, DMU)  # whose rounded weights may be the same
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))


def pickled(module: ArithmeticModule) -> ArithmeticModule:
    restored: ArithmeticModule = pickle.loads(pickle.dumps(module))
    return restored


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
@every_variant
def test_copies_compute_the_same_with_parameters_of_their_own(
    name: str, duplicate: Callable[[ArithmeticModule], ArithmeticModule]
) -> None:
    for training in (True, False):
        module = random_variant(name, training=training)
        arguments = with_noise(module, inputs_for(name, 10))
        copied = duplicate(module)
        expected = module(*arguments)
        assert torch.equal(copied(*arguments), expected)
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.fill_(0.7)
        assert torch.equal(module(*arguments), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@every_variant
def test_modules_are_made_and_compute_in_the_wanted_dtype(name: str, dtype: torch.dtype) -> None:
    module = VARIANTS[name](width(name), 2, dtype=dtype)
    assert {parameter.dtype for parameter in module.parameters()} == {dtype}
    result = module(inputs_for(name, 5).to(dtype))
    assert result.dtype == dtype
    assert {term.dtype for term in module.regularizers(inputs_for(name, 5).to(dtype)).values()} <= {dtype}


@every_variant
def test_modules_are_made_on_the_wanted_device(name: str) -> None:
    module = VARIANTS[name](width(name), 2, device="meta")
    assert {parameter.device.type for parameter in module.parameters()} == {"meta"}


@every_variant
def test_shapes_are_computed_without_numbers(name: str) -> None:
    module = VARIANTS[name](width(name), 2).to("meta")
    for mode in (module.train(), module.eval()):
        result = mode(torch.ones(5, width(name), device="meta"))
        assert (result.device.type, tuple(result.shape)) == ("meta", (5, 2))


@every_variant
def test_parameters_on_the_meta_device_can_be_drawn_later(name: str) -> None:
    torch.manual_seed(1)
    early = VARIANTS[name](width(name), 2)
    early.reset_parameters()
    late = VARIANTS[name](width(name), 2, device="meta").to_empty(device="cpu")
    torch.manual_seed(1)
    VARIANTS[name](width(name), 2)  # what is drawn on construction
    late.reset_parameters()
    for key, value in early.state_dict().items():
        torch.testing.assert_close(late.state_dict()[key], value, rtol=0, atol=0)


@every_variant
def test_modules_are_layers_of_a_sequential(name: str) -> None:
    first = random_variant(name)
    second = randomized(VARIANTS[name](2, 1), seed=1).eval()
    x = inputs_for(name, 5).abs()
    result = nn.Sequential(first, second)(x)
    assert result.shape == (5, 1)
    torch.testing.assert_close(result, second(first(x)), rtol=0, atol=0, equal_nan=True)


@every_variant
def test_modules_print_their_class_and_sizes(name: str) -> None:
    module = VARIANTS[name](2, 4)
    assert repr(module).startswith(type(module).__name__)
    assert "in_features=2, out_features=4" in repr(module)


@pytest.mark.parametrize("name", MODULES)
def test_options_are_given_by_name(name: str) -> None:
    options = [*inspect.signature(MODULES[name]).parameters.values()][2:]
    assert {option.kind for option in options} == {inspect.Parameter.KEYWORD_ONLY}
    assert {"device", "dtype"} <= {option.name for option in options}


# --- bounds, discrete weights, regularizers ---------------------------------------------------------------------


@torch.no_grad()
def scattered(module: ArithmeticModule) -> ArithmeticModule:
    """The module with parameters from -3 to 3."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.uniform_(-3, 3, generator=generator)
    return module


def assert_within_bounds(module: ArithmeticModule) -> None:
    for name, (low, high) in module.bounds().items():
        parameter = module.get_parameter(name)
        assert ((parameter >= low) & (parameter <= high)).all(), name


@every_variant
def test_a_projection_clamps_to_the_bounds_and_leaves_free_parameters_alone(name: str) -> None:
    module = scattered(VARIANTS[name](width(name, 10), 5))
    before = {key: value.detach().clone() for key, value in module.named_parameters()}
    assert module.project_() is module
    for key, value in module.named_parameters():
        low, high = module.bounds().get(key, (-math.inf, math.inf))
        assert torch.equal(value, before[key].clamp(low, high)), key
    assert_within_bounds(module)


@every_variant
def test_bounds_and_domains_belong_to_parameters(name: str) -> None:
    module = VARIANTS[name](2, 1)
    names = set(dict(module.named_parameters()))
    assert module.bounds().keys() <= names
    assert module.domain.keys() <= names
    for key, (low, high) in module.bounds().items():
        if key in module.domain and module.domain[key] != (0, 0):
            assert (low, high) == module.domain[key]


@every_variant
def test_discretizing_twice_is_discretizing_once(name: str) -> None:
    module = random_variant(name)
    assert module.discretize() is module
    once = copy.deepcopy(module.state_dict())
    for key, value in module.discretize().state_dict().items():
        torch.testing.assert_close(value, once[key], rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in WITHOUT_DISCRETE_WEIGHTS])
def test_discretized_weights_are_discrete(name: str) -> None:
    for seed in range(3):
        module = random_variant(name, seed=seed)
        assert module.sparsity_error() > 0.1
        assert module.discretize().sparsity_error() < 1e-12
        assert all(weight.isfinite().all() for weight in module.effective_weights().values())


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        (name, operation)
        for name, operation in COMPUTED
        # Other modules have no weight of 1/2 or 2 that is discrete.
        if operation not in ("root", "squared") or "weight" not in VARIANTS[name](2, 1).bounds()
        if operation != "root" or isinstance(VARIANTS[name](2, 1), POWER_UNITS)
    ],
)
def test_discretizing_leaves_gold_weights_what_they_are(name: str, operation: str) -> None:
    module = VARIANTS[name](2, 1).double().eval().gold(operation)
    x = drawn(module.operations[operation], 2)
    before = module(x).detach()
    torch.testing.assert_close(module.discretize()(x), before, rtol=1e-12, atol=1e-12)


def test_the_sparsity_error_of_weights_that_depend_on_the_inputs_is_nan() -> None:
    assert DMU(3, 2, heads=True).sparsity_error().isnan()


@both_modes
@every_variant
def test_regularizers_are_scalars_and_inputs_only_add_to_them(name: str, training: bool) -> None:
    module = random_variant(name, training=training)
    terms, more = module.regularizers(), module.regularizers(inputs_for(name, 5))
    assert terms.keys() <= more.keys()
    for key, term in more.items():
        assert term.shape == ()
        assert term.isfinite()
        assert key not in terms or torch.equal(term, terms[key])
    for together in (terms, more):
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


# --- torch's tools ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORWARD)
def test_compiled_in_one_graph_it_trains_the_same(name: str) -> None:
    torch.compiler.reset()
    module = random_variant(name, training=True)
    arguments = with_noise(module, inputs_for(name, 5))
    compiled: Any = torch.compile(module, backend="eager", fullgraph=True)
    ours, theirs = compiled(*arguments), module(*arguments)
    assert torch.equal(ours, theirs)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for result, expected in zip(
        torch.autograd.grad(ours.sum(), parameters, allow_unused=True),
        torch.autograd.grad(theirs.sum(), parameters, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(result, expected)


@both_modes
@every_variant
def test_parameters_may_be_stacked_and_mapped_over(name: str, training: bool) -> None:
    modules = [random_variant(name, training=training, seed=seed) for seed in range(3)]
    arguments = with_noise(modules[0], inputs_for(name, 5))
    parameters, buffers = stack_module_state([*modules])

    def call(parameters: Any, buffers: Any) -> Any:
        return functional_call(modules[0], (parameters, buffers), arguments)

    expected = torch.stack([module(*arguments) for module in modules])
    torch.testing.assert_close(vmap(call)(parameters, buffers), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_an_exported_program_computes_the_same_for_any_number_of_rows(name: str) -> None:
    module = random_variant(name)
    program: Any = export(module, (inputs_for(name, 5),), dynamic_shapes=({0: Dim("rows", min=2)},))
    x = inputs_for(name, 9, seed=1)
    torch.testing.assert_close(program.module()(x), module(x), rtol=1e-13, atol=0)


class SideBySide(nn.Module):
    """Many modules with the same inputs: exporting them at once is faster than one by one."""

    def __init__(self, modules: list[ArithmeticModule]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(layer(x) for layer in self.layers)


def evaluated_by_onnx(model: nn.Module, x: Tensor) -> list[Tensor]:
    from onnx.reference import ReferenceEvaluator

    exported = torch.onnx.export(model, (x,), dynamo=True, verbose=False)
    assert exported is not None
    proto = exported.model_proto
    found = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x.numpy()})
    assert isinstance(found, list)
    return [torch.tensor(values) for values in found]


@pytest.fixture(scope="module")
def from_onnx() -> dict[str, tuple[Tensor, Tensor]]:
    """Results of ONNX's reference implementation, and ours, by variant."""
    pytest.importorskip("onnxscript")
    model = SideBySide([random_variant(name).float() for name in REPRESENTATIVES]).eval()
    x = inputs_for("MulMCFC-none", 6).float() * torch.tensor([1, 1, -1])  # both signs
    found = evaluated_by_onnx(model, x)
    return dict(zip(REPRESENTATIVES, zip(found, model(x), strict=True), strict=True))


def test_onnx_is_tried_with_every_class() -> None:
    assert {type(VARIANTS[name](2, 1)).__name__ for name in REPRESENTATIVES} | {"ReLU"} == set(MODULES)


# torch's exporter warns of torch's own deprecated calls.
of_the_exporter = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")


@of_the_exporter
@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_an_onnx_model_computes_the_same(from_onnx: dict[str, tuple[Tensor, Tensor]], name: str) -> None:
    found, expected = from_onnx[name]
    assert expected.isfinite().all()
    # Both compute in float32, some twenty roundings.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@of_the_exporter
def test_modules_that_clamp_their_weights_become_onnx_models() -> None:
    pytest.importorskip("onnxscript")
    names = ["NAU-penalty", "NMU-penalty", "NRU-penalty", "NMRU-penalty", "NACNMU-penalty"]
    model = SideBySide([scattered(VARIANTS[name](3, 2)) for name in names]).eval()
    x = inputs_for("NMU", 6).float()
    for name, found, expected in zip(names, evaluated_by_onnx(model, x), model(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, msg=name)


# --- formulas ---------------------------------------------------------------------------------------------------


def evaluated(module: ArithmeticModule, x: Tensor) -> Tensor:
    """The module's formulas, computed by numpy."""
    symbols = sympy.symbols([f"x{index}" for index in range(module.in_features)], real=True)
    formulas = sympy.lambdify([symbols], module.to_sympy(symbols), modules="numpy")
    columns = np.broadcast_arrays(*formulas(x.T.numpy()), x[:, 0].numpy())[:-1]
    return torch.tensor(np.stack(columns, axis=-1))


@pytest.mark.parametrize("name", [name for name in FORWARD if name not in WITHOUT_FORMULA])
def test_formulas_compute_what_the_module_does_in_evaluation(name: str) -> None:
    module = randomized(VARIANTS[name](2, 2)).train()  # formulas are those of evaluation all the same
    x = inputs_for(name, 20)[:, :2]
    found = evaluated(module, x)
    expected = module.eval()(x).detach()
    assert expected.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["NAC", "NALU-bias", "INALU", "NMU", "NPU", "NRU", "NMRU", "MulMCFC-real_npu", "DMU"])
def test_formulas_of_modules_with_many_weights_compute_the_same(name: str) -> None:
    # From 64 on, sums and products are not written out: other operations of torch compute them.
    module = randomized(VARIANTS[name](40, 2)).eval()
    x = inputs_for("NMU", 14, 3).flatten(1)[:, :9].repeat(1, 5)[:, :40]
    torch.testing.assert_close(evaluated(module, x), module(x).detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "operation"), WITHOUT_FORMULA.items())
def test_what_has_no_formula_is_named_in_one_sentence(name: str, operation: str) -> None:
    with pytest.raises(ValueError, match=f"operation {operation}, which has no formula") as caught:
        VARIANTS[name](2, 1).to_sympy(["a", "b"])
    assert "\n" not in str(caught.value)


@every_variant
def test_a_wrong_number_of_names_is_refused(name: str) -> None:
    module = VARIANTS[name](2, 1)
    for names, use in product((["a"], ["a", "b", "c"]), (module.to_sympy, partial(expression, module))):
        with pytest.raises(ValueError, match=f"found {len(names)} names, expected 2"):
            cast(Callable[[list[str]], Any], use)(names)


PRINTED = {
    "add": "x1 + x2",
    "sub": "x1 - x2",
    "mul": "x1*x2",
    "div": "x1/x2",
    "reciprocal": "1/x1",
    "squared": "x1**2",
    "root": "sqrt(x1)",
}
PRINTED_WHEN_SAFE = {
    "mul": "(Abs(x1 - 1) + 1)*(Abs(x2 - 1) + 1)",
    "div": "(Abs(x1 - 1) + 1)/(Abs(x2 - 1) + 1)",
    "reciprocal": "1/(Abs(x1 - 1) + 1)",
}
"""A safe NALU multiplies these, which are its inputs from 1 on."""


def keeps(name: str, operation: str) -> bool:
    """Whether the weight of a root or square is a discrete one of the variant."""
    module = VARIANTS[name](2, 1)
    return operation not in ("root", "squared") or (isinstance(module, POWER_UNITS) and "weight" not in module.bounds())


@pytest.mark.parametrize(
    ("name", "operation"), [(name, operation) for name, operation in COMPUTED if keeps(name, operation)]
)
def test_the_expression_of_gold_weights_is_the_operation(name: str, operation: str) -> None:
    expected = PRINTED | (PRINTED_WHEN_SAFE if name == "NALU-safe" else {})
    assert [str(formula) for formula in expression(VARIANTS[name](2, 1).gold(operation))] == [expected[operation]]


@pytest.mark.parametrize(
    ("name", "operation"), [(name, operation) for name, operation in COMPUTED if not keeps(name, operation)]
)
def test_the_expression_takes_the_nearest_weight_for_one_that_is_not_discrete(name: str, operation: str) -> None:
    # A half is rounded away from zero, a square's 2 to the largest weight.
    printed = str(expression(VARIANTS[name](2, 1).gold(operation))[0])
    assert printed == ("Abs(x1 - 1) + 1" if name == "NALU-safe" else "x1")


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        (name, operation)
        for name, operation in IGNORING
        if operation in ("sub", "mul", "div") and name in REPRESENTATIVES
    ],
)
def test_the_expression_names_the_operands_in_every_output(name: str, operation: str) -> None:
    outputs = 1 if "MCFC" in name else 2
    module = VARIANTS[name](3, outputs).gold(operation, 2, 0)
    c, a = sympy.symbols("total_price a")
    exact = {"sub": c - a, "mul": c * a, "div": c / a}[operation]
    if name == "NALU-safe" and operation != "sub":
        exact = exact.subs({c: sympy.Abs(c - 1) + 1, a: sympy.Abs(a - 1) + 1}, simultaneous=True)
    assert expression(module, ["a", "b", "total_price"]) == [exact] * outputs


def layer(module: Any, weight: list[list[float]]) -> Any:
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weight))
    return module


def sum_and_difference() -> NAU:
    result: NAU = layer(NAU(2, 2), [[1.0, 1.0], [1.0, -1.0]])
    return result


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(sum_and_difference(), NMU(2, 1).gold("mul")), "(x1 + x2)*(x1 - x2)"),
        (nn.Sequential(sum_and_difference(), RealNPU(2, 1).gold("div")), "(x1 + x2)/(x1 - x2)"),
        (nn.Sequential(sum_and_difference(), RealNPU(2, 1).gold("squared", 1)), "(x1 - x2)**2"),
        (nn.Sequential(sum_and_difference(), NMRU(2, 1).gold("div", 1, 0)), "(x1 - x2)/(x1 + x2)"),
        (nn.Sequential(sum_and_difference(), NALU(2, 1, bias=True).gold("add")), "2*x1"),
        (
            nn.Sequential(
                NMU(3, 2).gold("mul", 0, 2), sum_and_difference(), layer(RealNPU(2, 1).gold("mul"), [[2.0, 0.0]])
            ),
            "4*x1**2*x3**2",
        ),
        (
            nn.Sequential(
                nn.Sequential(sum_and_difference(), sum_and_difference()), nn.Sequential(NMU(2, 1).gold("mul"))
            ),
            "4*x1*x2",
        ),
    ],
    ids=["NAU-NMU", "NAU-RealNPU", "NAU-square", "NAU-NMRU", "NAU-NALU", "three-layers", "nested"],
)
def test_expressions_of_layers_are_composed(model: nn.Module, expected: str) -> None:
    (found,) = expression(model)
    assert sympy.simplify(found - sympy.sympify(expected)) == 0


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (nn.Linear(2, 1), "Linear"),
        (nn.Sequential(NAU(2, 2), nn.ReLU(), NMU(2, 1)), "ReLU"),
        (nn.Sequential(NAU(2, 2), nn.Sequential(NMU(2, 1), nn.Identity())), "Identity"),
        (nn.Sequential(), "Sequential"),
        (nn.Sequential(NAU(2, 2), nn.Sequential()), "Sequential"),
        (ArithmeticCell(NAU(2, 1)), "ArithmeticCell"),
    ],
    ids=["Linear", "ReLU", "Identity", "empty", "empty-inside", "cell"],
)
def test_what_has_no_expression_is_refused_by_its_name(model: nn.Module, found: str) -> None:
    with pytest.raises(ValueError, match=f"found a {found}, which has no expression, expected an arithmetic module"):
        expression(model)


def test_layers_that_do_not_fit_have_no_expression() -> None:
    with pytest.raises(ValueError, match="NMU: found 2 inputs, expected 3"):
        expression(nn.Sequential(NAU(2, 2), NMU(3, 1)))


@pytest.mark.parametrize("name", [name for name in REPRESENTATIVES if name not in WITHOUT_FORMULA])
def test_asking_for_an_expression_changes_nothing(name: str) -> None:
    module = randomized(VARIANTS[name](2, 1)).train()
    before, eps = copy.deepcopy(module.state_dict()), getattr(module, "eps", None)
    expression(module)
    assert module.training
    assert getattr(module, "eps", None) == eps
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(parameter.requires_grad for parameter in module.parameters())


# --- constrain, cells -------------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}
BOUNDED = [name for name, build in VARIANTS.items() if build(2, 1).bounds()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", BOUNDED)
def test_constrained_weights_stay_in_bounds_in_an_ordinary_loop(name: str, optimizer: str) -> None:
    torch.manual_seed(0)
    module = VARIANTS[name](3, 1)
    model = nn.Sequential(nn.Linear(3, 3), module)
    steps = OPTIMIZERS[optimizer](model.parameters(), lr=2.0)
    handle = constrain(model, steps)
    x = torch.rand(10, 3) + 1

    def train() -> None:
        steps.zero_grad()
        # Towards both ends of the bounds, so that without the projection every step would leave them.
        sum(
            (parameter * torch.linspace(-1, 1, parameter.numel()).view_as(parameter)).sum()
            for parameter in module.parameters()
        ).backward()  # type: ignore[union-attr]
        steps.step()

    for _ in range(3):
        train()
        assert_within_bounds(module)
        assert model(x).shape == (10, 1)
    handle.remove()
    train()
    with pytest.raises(AssertionError):
        assert_within_bounds(module)


def test_constrain_reaches_every_module_inside_a_model() -> None:
    inner, added = NMU(3, 3), NAU(3, 1)
    cell = ArithmeticCell(added)
    model = nn.ModuleDict({"deep": nn.Sequential(nn.Sequential(inner)), "cell": cell})
    optimizer = torch.optim.SGD(model.parameters(), lr=100.0)
    constrain(model, optimizer)
    total: Any = inner.weight.sum() + added.weight.sum()
    total.backward()
    optimizer.step()
    assert not inner.weight.any()
    assert torch.equal(added.weight, torch.full((1, 3), -1.0))


@pytest.mark.parametrize("model", [nn.Linear(2, 1), nn.Sequential(), nn.Sequential(nn.Linear(2, 1), nn.ReLU())])
def test_a_model_without_arithmetic_modules_cannot_be_constrained(model: nn.Module) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    with pytest.raises(ValueError, match=f"found no arithmetic module in {type(model).__name__}"):
        constrain(model, optimizer)


def unrolled(cell: ArithmeticCell, sequence: Tensor) -> Any:
    """The state after the last of the inputs, ``(time, *, input_size)``."""
    state = None
    for x in sequence:
        state = cell(x, state)
    assert state is not None
    return state


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)], ids=str)
@pytest.mark.parametrize(
    ("module", "initial", "exact"),
    [
        (NAU(2, 1).gold("add"), 0.0, lambda x: x.sum(0)),
        (NAU(2, 1).gold("sub", 1, 0), 10.0, lambda x: 10 - x.sum(0)),
        (NMU(2, 1).gold("mul"), 1.0, lambda x: x.prod(0)),
        (NMRU(2, 1).gold("div", 1, 0).eval(), 1.0, lambda x: 1 / x.prod(0)),
        (RealNPU(2, 1).gold("div", 1, 0), 1.0, lambda x: 1 / x.prod(0)),
    ],
    ids=["sum", "difference", "product", "quotient-NMRU", "quotient-RealNPU"],
)
def test_a_cell_of_gold_weights_accumulates(
    module: ArithmeticModule, initial: float, exact: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    sequence = inputs_for("NMU", 6, *shape)[..., :1]
    state = unrolled(ArithmeticCell(module.double(), initial=initial), sequence)
    assert state.shape == (*shape, 1)
    torch.testing.assert_close(state, exact(sequence), rtol=1e-5, atol=1e-12)  # RealNPU adds eps in every step


def test_a_cell_has_as_many_states_as_its_module_outputs() -> None:
    cell = ArithmeticCell(layer(NAU(5, 2), [[1.0, 0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0, 1.0]]), initial=1.0)
    assert (cell.input_size, cell.hidden_size) == (3, 2)
    state = unrolled(cell, torch.arange(12.0).reshape(2, 2, 3))
    # Each row: 1 + the first inputs, 1 + the third minus the second.
    assert state.tolist() == [[1.0 + 0 + 6, 1.0 + 1 + 1], [1.0 + 3 + 9, 1.0 + 1 + 1]]
    assert "3, 2, initial=1" in repr(cell)


def test_a_cell_starts_from_the_state_it_is_given() -> None:
    cell = ArithmeticCell(NMU(2, 1).gold("mul"), initial=1.0)
    assert cell(torch.tensor([[3.0]]), torch.tensor([[5.0]])).tolist() == [[15.0]]


def test_a_cell_trains_the_module_it_is_made_of() -> None:
    torch.manual_seed(0)
    module = NAU(2, 1)
    cell = ArithmeticCell(module)
    before = module.weight.detach().clone()
    unrolled(cell, torch.ones(5, 3, 1)).sum().backward()
    assert module.weight.grad is not None
    assert module.weight.grad.all()
    cell.reset_parameters()
    assert not torch.equal(module.weight, before)


@pytest.mark.parametrize(("in_features", "out_features"), [(1, 1), (2, 2), (2, 3)])
def test_a_cell_needs_more_inputs_than_states(in_features: int, out_features: int) -> None:
    expected = f"found a module of {in_features} inputs and {out_features} outputs, expected more inputs than outputs"
    with pytest.raises(ValueError, match=expected):
        ArithmeticCell(NAU(in_features, out_features))


# --- autocast ---------------------------------------------------------------------------------------------------


def warned(call: Callable[[], Any]) -> list[warnings.WarningMessage]:
    """The warnings of a call that are about half precision."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [warning for warning in caught if "under autocast" in str(warning.message)]


@every_variant
def test_under_autocast_to_half_precision_a_module_warns(name: str) -> None:
    module = VARIANTS[name](width(name), 2)
    x = inputs_for(name, 5).float()
    for mode in (module.train(), module.eval()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            caught = warned(partial(mode, x))
        assert issubclass(caught[0].category, UserWarning)
        assert str(caught[0].message).startswith(f"{type(module).__name__} runs under autocast to torch.bfloat16")


def test_the_warning_points_at_the_call() -> None:
    module = NMU(2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (caught,) = warned(lambda: module(torch.ones(2)))
    assert caught.filename == __file__


@pytest.mark.filterwarnings("ignore:In CPU autocast, but the target dtype is not supported")
@every_variant
def test_in_full_precision_a_module_does_not_warn(name: str) -> None:
    call = partial(VARIANTS[name](width(name), 2), inputs_for(name, 5).float())
    assert not warned(call)
    with torch.autocast("cpu", enabled=False):
        assert not warned(call)
    with torch.autocast("cpu", dtype=torch.float32):
        assert not warned(call)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.autocast("cpu", enabled=False):
        assert not warned(call)


# --- noise ------------------------------------------------------------------------------------------------------


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


# --- graphics cards ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")
def test_every_module_runs_on_a_graphics_card() -> None:
    for name, training in product(VARIANTS, (True, False)):
        module = VARIANTS[name](width(name), 2, device="cuda").train(training)
        reference = copy.deepcopy(module).cpu()
        arguments = [argument.float() for argument in with_noise(reference, inputs_for(name, 5))]
        result = module(*(argument.cuda() for argument in arguments))
        result.sum().backward()
        assert all(parameter.grad is None or parameter.grad.is_cuda for parameter in module.parameters()), name
        # Exponentials and logarithms differ between devices in their last places.
        torch.testing.assert_close(result.cpu(), reference(*arguments), rtol=1e-4, atol=1e-5, msg=name)


# --- found by reading -------------------------------------------------------------------------------------------


@every_variant
def test_inputs_of_another_width_are_refused_and_not_broadcast(name: str) -> None:
    module = VARIANTS[name](width(name), 1)
    for shape, found in (((4, width(name) + 1), f"{width(name) + 1} inputs"), ((), "a single number")):
        with pytest.raises(ValueError, match=f"{type(module).__name__}: found {found}, expected {width(name)}"):
            module(torch.ones(shape))


def sums_of_signs(second: ArithmeticModule) -> nn.Sequential:
    first = NAU(2, 2)
    first.load_state_dict({"weight": torch.tensor([[1.0, -1.0], [1.0, 1.0]])})
    return nn.Sequential(first, second).double().eval()


@pytest.mark.parametrize(
    "second",
    [
        NACMul(2, 1).gold("mul"),
        NACSigma(2, 1).gold("mul"),
        NACNMU(2, 1).gold("mul"),
        MulMCFC(2, 1, sign="inalu").gold("mul"),
        NMU(2, 1).gold("mul"),
        NMRU(2, 1).gold("div"),
        RealNPU(2, 1).gold("div"),
        NRU(2, 1).gold("div"),
        INALU(2, 1).gold("div"),
    ],
    ids=lambda module: type(module).__name__,
)
def test_the_expression_of_a_stack_is_what_it_computes_on_numbers_of_both_signs(second: ArithmeticModule) -> None:
    model = sums_of_signs(second)
    names = ["a", "b"]
    compute = sympy.lambdify(names, expression(model, names)[0], "numpy")
    for a, b in ((1.0, 3.0), (3.0, 1.0), (2.0, 0.5)):
        computed = model(torch.tensor([a, b], dtype=torch.float64)).item()
        assert compute(a, b) == pytest.approx(computed, rel=1e-5)  # expressions have no eps


def test_a_trigonometric_product_is_expressed_as_it_is() -> None:
    module = NALU(2, 1, multiplication="trig").gold("add")
    module.load_state_dict({"gate_weight": torch.tensor([[0.9, -0.5]])}, strict=False)
    (formula,) = expression(module)
    assert formula.has(sympy.sinh)


def test_names_that_repeat_are_refused() -> None:
    with pytest.raises(ValueError, match="found the names a, a, expected a different one"):
        expression(NAU(2, 1), ["a", "a"])


@pytest.mark.parametrize("build", [MCFC, MulMCFC, partial(MCFC, trash=True)])
def test_mass_conserving_layers_are_drawn_in_half_precision(build: Any) -> None:
    assert build(3, 2, dtype=torch.bfloat16)(torch.ones(3, dtype=torch.bfloat16)).isfinite().all()


@pytest.mark.parametrize("build", [NAU, NMU, NMRU, NRU, NACNMU])
def test_a_single_row_has_the_regularizers_of_a_batch_of_it(build: Any) -> None:
    module, row = build(3, 2), torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(module.regularizers(row), module.regularizers(row.unsqueeze(0)))
