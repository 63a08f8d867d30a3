"""``check_module`` accepts modules that keep every promise, and says in a sentence which promise another breaks."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Self

import pytest
import torch
from torch import Tensor, nn

from nalm.modules import NMRU, ArithmeticModule
from nalm.testing import check_module


class Sum(ArithmeticModule):
    """Adds a selection of its inputs: a module with as little as there must be."""

    def __init__(self, in_features: int, out_features: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, out_features)
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.weight, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T * self.scale

    @property
    def operations(self) -> Mapping[str, Any]:
        return {"add": "real"}

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        return {"weight": (0, 1)}

    def bounds(self) -> dict[str, tuple[float, float]]:
        return {"weight": (0.0, 1.0)}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        return {"weight": (self.weight * (1 - self.weight)).abs().mean()}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        self.weight.copy_(self.coefficients(operation, operands).expand_as(self.weight))
        return self


def test_a_module_that_keeps_every_promise_is_accepted() -> None:
    check_module(Sum)
    check_module(Sum, 4, 1)
    check_module(NMRU, sign="gated")


def test_torchs_random_numbers_are_as_if_nothing_had_been_drawn() -> None:
    before = torch.get_rng_state()
    check_module(Sum)
    assert torch.equal(torch.get_rng_state(), before)


def broken(base: type[ArithmeticModule] = Sum, **changes: Any) -> type[ArithmeticModule]:
    """Make a module class that differs from a correct one in some attributes."""
    return type("Broken", (base,), changes)


def unchecked(self: Any, in_features: Any, out_features: Any) -> None:
    """Accept any size."""
    nn.Module.__init__(self)
    self.in_features, self.out_features = in_features, out_features
    self.weight = nn.Parameter(torch.rand(int(out_features), int(in_features)))


def unhooked(self: Any, in_features: int, out_features: int) -> None:
    """Check the sizes, but not the width of inputs."""
    Sum.__init__(self, in_features, out_features)
    self._forward_pre_hooks.clear()


def positional(self: Any, in_features: int, out_features: int, scale: float = 1.0) -> None:
    Sum.__init__(self, in_features, out_features, scale=scale)


def with_buffer(self: Any, in_features: int, out_features: int) -> None:
    """Compute with a random number that is not in the state_dict."""
    Sum.__init__(self, in_features, out_features)
    self.scale = float(torch.rand(()))


def unused(self: Any, in_features: int, out_features: int) -> None:
    Sum.__init__(self, in_features, out_features)
    self.spare = nn.Parameter(torch.ones(1))


def linear(self: Any) -> Tensor:
    weight: Tensor = self.weight
    return weight.T


def gold(factor: float = 1.0, default: tuple[int, ...] = (0, 1), returned: bool = True) -> Callable[..., Any]:
    """Make a gold method that is wrong by a factor, has other default operands, or returns nothing."""

    @torch.no_grad()
    def set_gold(self: Any, operation: str, *operands: int) -> Any:
        self.weight.copy_((factor * self.coefficients(operation, operands or default)).expand_as(self.weight))
        return self if returned else None

    return set_gold


def careless_gold(self: Any, operation: str, *operands: int) -> Any:
    """Set gold weights of sums for any operation and operands."""
    with torch.no_grad():
        self.weight.zero_()[:, list(operands or (0, 1))] = 1.0
    return self


def refusing_gold(self: Any, operation: str, *operands: int) -> Any:
    raise ValueError("Broken: no gold weights")


class Halved(Sum):
    """Adds inputs with weights of 1/2, which are not discrete."""

    gold = gold(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def differs_when_vectorized(self: Any, x: Tensor) -> Tensor:
    """Compute something else when torch vectorizes the module."""
    vectorized = torch._C._functorch.is_batchedtensor(self.weight)
    result: Tensor = x @ linear(self) + (1 if vectorized else 0)
    return result


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (nn.Linear, "Linear: expected an ArithmeticModule, found a Linear"),
        (lambda i, o: Sum(i + 1, o), "expected the sizes (3, 2) as in_features and out_features, found (4, 2)"),
        (broken(__init__=positional), "expected a keyword-only option scale, found a positional or keyword one"),
        (broken(__init__=unchecked), "expected a ValueError for in_features=0, found no error"),
        (
            broken(__init__=unhooked, forward=lambda self, x: x[..., :1] * self.weight[:, 0]),
            "expected a ValueError for inputs of shape (4, 4), found no error",
        ),
        (
            broken(forward=lambda self, x: x @ self.weight.T[:, :1]),
            "expected outputs of shape (2,) for inputs (3,), found (1,)",
        ),
        (
            broken(forward=lambda self, x: torch.log(-(x @ linear(self)).abs())),
            "expected finite outputs for inputs (3,), found [nan, nan]",
        ),
        (
            broken(forward=lambda self, x: (x @ linear(self)).double()),
            "expected outputs in torch.float32 with parameters and inputs in it, found torch.float64",
        ),
        (broken(__init__=unused), "expected a gradient of the parameter spare, found none"),
        (
            broken(forward=lambda self, x: (x @ linear(self)) + (0 * linear(self).sum()).sqrt()),
            "expected a finite gradient of the parameter weight, found [[nan",
        ),
        (
            broken(forward=lambda self, x: x @ linear(self) * 0),
            "expected a gradient other than 0, found 0 everywhere",
        ),
        (
            broken(forward=lambda self, x: x @ linear(self) + torch.rand(())),
            "expected equal outputs of two evaluations of the same inputs, found different ones",
        ),
        (
            broken(forward=lambda self, x: x @ linear(self) + 0 * torch.rand(())),
            "expected no random numbers drawn in evaluation, found some",
        ),
        (
            broken(forward=lambda self, x: x @ linear(self) + (torch.rand(()) if self.training else 0)),
            "expected equal outputs in training, given the noise that noise_shape announces, found different ones",
        ),
        (broken(bounds=lambda self: {"bias": (0.0, 1.0)}), "expected only parameters in bounds: weight, found bias"),
        (broken(domain={"bias": (0, 1)}), "expected only parameters in domain: weight, found bias"),
        (broken(project_=lambda self: None), "expected the module from project_(), found something else"),
        (
            broken(project_=lambda self: self),
            "expected the parameter weight clamped to [0, 1] by project_(), found [[",
        ),
        (
            broken(regularizers=lambda self, inputs=None: {} if inputs is not None else {"weight": self.weight.sum()}),
            "expected regularizers ['weight'] with inputs too, found []",
        ),
        (
            broken(regularizers=lambda self, inputs=None: {"weight": self.weight}),
            "expected a scalar as regularizer weight, found the shape (2, 3)",
        ),
        (
            broken(regularizers=lambda self, inputs=None: {"weight": self.weight.sum() / 0}),
            "expected a finite regularizer weight, found inf",
        ),
        (
            broken(regularizers=lambda self, inputs=None: {"weight": self.weight.sum() + (inputs is None)}),
            "expected the same regularizer weight with and without inputs, found different ones",
        ),
        (broken(discretize=lambda self: None), "expected the module from discretize(), found something else"),
        (
            broken(discretize=lambda self: (self.weight.data.add_(1), self)[1]),
            "expected parameters that a second discretize() leaves, found others",
        ),
        (broken(idealize=lambda self: None), "expected the module from idealize(), found something else"),
        (
            broken(sparsity_error=lambda self: self.weight),
            "expected a scalar as sparsity error, found the shape (2, 3)",
        ),
        (
            broken(sparsity_error=lambda self: -self.weight.abs().sum()),
            "expected a sparsity error of at least 0, found -",
        ),
        (
            broken(reset_parameters=lambda self: nn.init.uniform_(self.weight) if self.weight.is_meta else None),
            "expected new parameters from reset_parameters(), found the old ones",
        ),
        (
            broken(reset_parameters=lambda self: self.weight.data.add_(1)),
            "expected equal parameters from reset_parameters() with the same seed of torch, found different ones",
        ),
        (
            broken(__init__=with_buffer),
            "expected equal outputs after loading the state_dict of another, found different ones",
        ),
        (broken(gold=careless_gold), "expected a ValueError for gold weights for no_such_operation, found no error"),
        (broken(operations={"power": "real"}), "expected known operations: add, sub, mul, div, squared, root, "),
        (
            broken(gold=refusing_gold),
            "expected operands for which gold('add') sets weights, found a ValueError for all",
        ),
        (broken(gold=gold(returned=False)), "expected the module from gold('add'), found something else"),
        (broken(gold=gold(1.5)), "expected gold weights for add of inputs (0, 1) to compute "),
        (broken(gold=gold(-1.0)), "expected gold weights for add of inputs (0, 1) to compute "),
        (broken(operations={"sub": "real"}), "expected gold weights for sub within bounds, found some outside"),
        (
            broken(gold=gold(default=(1, 2))),
            "expected gold('add') to apply to the first inputs by default, found other weights",
        ),
        (broken(Halved), "expected gold weights for add of inputs (0, 1) to compute "),
        (
            broken(Halved, domain={}),
            "expected a sparsity error of 0 with discretized gold weights for add, found 0.5",
        ),
        (
            broken(forward=differs_when_vectorized),
            "expected equal outputs under torch.func.vmap, found different ones",
        ),
        (broken(forward=lambda self, x: x[:, 7:]), "Broken: expected that inputs (*, in_features) give finite "),
        (broken(__init__=lambda self, i, o: 1 / 0), "Broken: expected that it is built from its sizes as an "),
        (
            broken(__deepcopy__=lambda self, memo: self),
            "expected a deep copy with its own parameters, found shared ones",
        ),
    ],
)
def test_a_broken_promise_is_named_in_a_sentence(module: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(sentence)) as caught:
        check_module(module)
    assert "\n" not in str(caught.value)
