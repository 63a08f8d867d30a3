"""The module class that is checked, and numbers to check it with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nalm.modules import ArithmeticModule

__all__ = ["Subject", "drawn", "noise_for", "randomize_", "same", "same_parameters"]


@torch.no_grad()
def randomize_(module: ArithmeticModule, seed: int = 0) -> Any:
    """Set all parameters to random numbers that are neither discrete nor near halves, and return the module."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        parameter.uniform_(0.12, 0.38, generator=generator)
        parameter.add_(0.5 * torch.randint(0, 2, parameter.shape, generator=generator))
        if module.domain.get(name, (-1, 1)) != (0, 1):
            parameter.mul_(torch.randint(0, 2, parameter.shape, generator=generator) * 2 - 1)
    return module


@dataclass(frozen=True)
class Subject:
    """The class that is checked, with its sizes and options."""

    name: str
    build: Callable[..., ArithmeticModule]
    in_features: int
    out_features: int
    options: dict[str, Any]

    def expect(self, holds: bool, expected: str, found: object, cause: Exception | None = None) -> None:
        """Raise an AssertionError with what was expected and found, unless it holds."""
        if not holds:
            raise AssertionError(f"{self.name}: expected {expected}, found {found}") from cause

    def refuses(self, expected: str, call: Callable[[], Any]) -> None:
        """Expect a ValueError of a call."""
        try:
            found: object = call()
        except ValueError:
            return
        except Exception as error:  # any other error is the wrong one
            found = f"{type(error).__name__}: {error}"
        else:
            found = "no error"
        self.expect(False, f"a ValueError for {expected}", found)

    def made(self, out_features: int | None = None) -> ArithmeticModule:
        """Build a module in float64, by default with all outputs."""
        return self.build(self.in_features, out_features or self.out_features, **self.options).double()

    def random(self, seed: int = 0, training: bool = False) -> ArithmeticModule:
        """Build a module in float64 with random parameters."""
        module: ArithmeticModule = randomize_(self.made(), seed).train(training)
        return module

    def inputs(self, *batch: int) -> Tensor:
        """Draw inputs for which some operation is valid: of both signs, if every operation takes them."""
        valid = {inputs for outputs in (1, self.out_features) for inputs in self.made(outputs).operations.values()}
        return drawn("real" if valid and valid <= {"real", "nonzero"} else "at least 1", *batch, self.in_features)

    def called(self, module: ArithmeticModule, x: Tensor) -> Tensor:
        """Call the module with the same noise each time."""
        result: Tensor = module(x, *noise_for(module, x))
        return result


def noise_for(module: ArithmeticModule, x: Tensor) -> list[Tensor]:
    """Return the noise of a training pass, if there is any: the same each time."""
    shape = module.noise_shape(x.shape) if module.training else None
    return [] if shape is None else [torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)]


def drawn(inputs: str, *shape: int) -> Tensor:
    """Draw magnitudes from 0.3 to 3, or from 1.1, with both signs if the inputs allow them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.empty(shape, dtype=torch.float64).uniform_(1.1 if inputs == "at least 1" else 0.3, 3, generator=generator)
    sign = torch.randint(0, 2, shape, generator=generator) * 2 - 1
    return x * sign if inputs in ("real", "nonzero") else x


def same(a: Tensor, b: Tensor, tolerance: float = 0.0) -> bool:
    """Tell whether two tensors are equal, NaN included, up to a relative and absolute tolerance."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def same_parameters(a: ArithmeticModule, b: ArithmeticModule, tolerance: float = 0.0) -> bool:
    """Tell whether two modules have equal parameters and buffers."""
    return all(same(value, b.state_dict()[name], tolerance) for name, value in a.state_dict().items())
