"""The table of operations: functions agree with coefficients, and other packages can add operations."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nalm.modules import NAU, RealNPU
from nalm.modules.base import Inputs
from nalm.modules.operations import OPERATIONS, Operation

SOURCE = """
from nalm.modules.operations import Operation

CUBED = Operation("product", (3,), lambda operands: operands[0] ** 3)
NUMBER = 3
"""


@pytest.fixture
def installed(tmp_path: Path, user_module: Callable[[str, str], None]) -> None:
    """Install a package with an operation, and with an entry point that is not an operation."""
    user_module("somebodys_operations", SOURCE)
    information = tmp_path / "operations-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: operations\nVersion: 1.0\n")
    points = "[nalm.operations]\ncubed = somebodys_operations:CUBED\nnumber = somebodys_operations:NUMBER\n"
    (information / "entry_points.txt").write_text(points)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_functions_agree_with_coefficients_and_exponents(name: str) -> None:
    operation = OPERATIONS[name]
    operands = [torch.tensor(value, dtype=torch.float64) for value in (1.7, 0.6)[: len(operation.coefficients)]]
    pairs = list(zip(operands, operation.coefficients, strict=True))
    if operation.kind == "sum":
        expected = sum(float(operand) * constant for operand, constant in pairs)
    else:
        expected = math.prod(float(operand) ** constant for operand, constant in pairs)
    assert operation.apply(operands).item() == pytest.approx(expected, rel=1e-15)


def test_sums_and_products_take_any_number_of_operands_and_others_their_own() -> None:
    ones = [torch.ones(()) + 1] * 5
    assert (OPERATIONS["add"].apply(ones).item(), OPERATIONS["mul"].apply(ones).item()) == (10.0, 32.0)
    needed = {name: OPERATIONS[name].operands for name in OPERATIONS}
    assert needed == {"add": 1, "sub": 2, "mul": 1, "div": 2, "squared": 1, "root": 1, "reciprocal": 1}
    assert [name for name in OPERATIONS if OPERATIONS[name].any_number] == ["add", "mul"]


@pytest.mark.usefixtures("installed")
def test_an_operation_of_an_installed_package_has_gold_weights() -> None:
    class Cubing(RealNPU):
        @property
        def operations(self) -> Mapping[str, Inputs]:
            return {"cubed": "real"}

    assert "cubed" in OPERATIONS
    assert isinstance(OPERATIONS["cubed"], Operation)
    x: Tensor = torch.tensor([5.0, 2.0], dtype=torch.float64)
    assert Cubing(2, 1).double().gold("cubed", 1)(x).item() == pytest.approx(8.0, rel=1e-6)


@pytest.mark.usefixtures("installed")
def test_an_entry_point_that_is_no_operation_is_refused() -> None:
    expected = "'somebodys_operations:NUMBER' is a int, expected an Operation of nalm.modules.operations"
    with pytest.raises(ValueError, match=expected):
        OPERATIONS["number"]


def test_an_operation_that_a_module_lacks_is_told_those_it_has() -> None:
    with pytest.raises(ValueError, match="NAU: operation is 'mul', expected one of: add, sub"):
        NAU(2, 1).gold("mul")
