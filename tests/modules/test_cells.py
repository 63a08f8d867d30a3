"""Recurrent cells of arithmetic modules."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.modules.helpers import (
    inputs_for,
    layer,
)
from torch import Tensor

from nalm.modules import (
    NAU,
    NMRU,
    NMU,
    ArithmeticCell,
    ArithmeticModule,
    RealNPU,
)


def unrolled(cell: ArithmeticCell, sequence: Tensor) -> Any:
    """Return the state after the last input of ``(time, *, input_size)``."""
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
