"""NRU, NMRU and Real NPU: wrong options, sizes, operations and operands."""

import copy
from typing import Any

import pytest
import torch
from tests.modules.division.helpers import (
    Build,
    every_variant,
    randomized,
)

from nalm.modules import NMRU, NRU, RealNPU, expression


@pytest.mark.parametrize(
    ("build", "option", "allowed"),
    [
        (NRU, "sign", "joint, separate"),
        (NRU, "out_of_bounds", "clip, penalty"),
        (NRU, "shape", "linear, squared, none"),
        (NRU, "init", "uniform, beta"),
        (NMRU, "sign", "retrieved, none, gated"),
        (NMRU, "out_of_bounds", "clip, penalty"),
        (NMRU, "shape", "linear, squared, none"),
        (RealNPU, "init", "xavier, constrained"),
        (RealNPU, "clip", "none, weight, gate, both"),
        (RealNPU, "attract", "signs, ternary"),
    ],
)
@pytest.mark.parametrize("value", ["both ways", None, ["clip"]], ids=repr)
def test_a_wrong_option_is_told_the_right_ones(build: Any, option: str, allowed: str, value: object) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        build(2, 1, **{option: value})
    assert str(caught.value) == f"{build.__name__}: {option} is {value!r}, expected one of: {allowed}"


@pytest.mark.parametrize("build", [NRU, NMRU, RealNPU])
@pytest.mark.parametrize("size", [0, -1, 1.5, "2", None], ids=repr)
def test_a_size_that_is_not_a_positive_integer_is_refused(build: Any, size: object) -> None:
    for name, sizes in (("in_features", (size, 1)), ("out_features", (1, size))):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
            build(*sizes)
        assert str(caught.value) == f"{build.__name__}: {name} is {size!r}, expected a positive integer"


@pytest.mark.parametrize(
    ("build", "operation"),
    [
        *((NRU, operation) for operation in ("add", "sub", "squared", "root", "power", "")),
        *((NMRU, operation) for operation in ("add", "sub", "squared", "root", "power", "")),
        *((RealNPU, operation) for operation in ("add", "sub", "power", "")),
    ],
)
def test_an_operation_out_of_reach_is_told_those_within(build: Build, operation: str) -> None:
    with pytest.raises(ValueError, match=f"operation is '{operation}', expected one of: mul, div, reciprocal"):
        build(2, 1).gold(operation)


@pytest.mark.parametrize("operand", [2, 7, -1])
@every_variant
def test_an_operand_that_is_not_an_input_is_refused(build: Build, operand: int) -> None:
    with pytest.raises(ValueError, match=rf"operand {operand} is not an input, expected 0 to 1"):
        build(2, 1).gold("div", 0, operand)


@pytest.mark.parametrize("operation", ["mul", "div"])
@every_variant
def test_a_single_input_is_too_few_for_two_operands(build: Build, operation: str) -> None:
    with pytest.raises(ValueError, match="operand 1 is not an input, expected 0 to 0"):
        build(1, 1).gold(operation)


@pytest.mark.parametrize(
    ("operation", "operands", "takes"),
    [
        ("div", (1, 1), 2),
        ("mul", (0, 2, 0), 3),
        ("div", (0,), 2),
        ("div", (0, 1, 2), 2),
        ("reciprocal", (0, 1), 1),
    ],
)
@every_variant
def test_operands_that_repeat_or_do_not_fit_are_refused(
    build: Build, operation: str, operands: tuple[int, ...], takes: int
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the end of the message is compared)
        build(3, 1).gold(operation, *operands)
    assert str(caught.value).endswith(f"{operation} takes {takes} different operands, found {operands}")


@every_variant
def test_a_refused_operation_leaves_the_weights_alone(build: Build) -> None:
    module = randomized(build(2, 1))
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(ValueError, match="not an input"):
        module.gold("div", 0, 5)
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]], ids=len)
@every_variant
def test_a_wrong_number_of_names_is_refused(build: Build, names: list[str]) -> None:
    for use in (lambda module: module.to_sympy(names), lambda module: expression(module, names)):
        with pytest.raises(ValueError, match=f"found {len(names)} names, expected 2"):
            use(build(2, 1))
