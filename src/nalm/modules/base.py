"""What every arithmetic module has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from nalm.modules.functional import sparsity_error

if TYPE_CHECKING:
    import sympy

__all__ = ["ArithmeticModule", "as_symbols", "choice", "fraction", "operand_exponents"]


class ArithmeticModule(nn.Module, ABC):
    """A layer whose weights, once discrete, are an arithmetic expression.

    It is an ordinary ``torch.nn.Module`` from ``(*, in_features)`` to ``(*, out_features)``. Beyond that it knows the
    domain of its weights, how to be projected onto it, the terms that regularize it, and the gold weights with which
    it computes an operation exactly.

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.

    Raises:
        ValueError: a size is not a positive integer.
    """

    weight: nn.Parameter

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise ValueError(f"{type(self).__name__}: {name} is {size!r}, expected a positive integer")
        self.in_features = in_features
        self.out_features = out_features

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draws new initial parameters from torch's default generator."""

    @property
    @abstractmethod
    def domain(self) -> dict[str, tuple[int, int]]:
        """First and last of the consecutive integers that are a parameter's discrete values, by parameter name."""

    @abstractmethod
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Closed intervals in which training keeps parameters, by parameter name; others are free."""

    @abstractmethod
    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Unweighted regularizer terms (scalars) by name.

        Arguments:
            inputs: the training batch, ``(*, in_features)``; with it, terms that depend on the inputs are included.
        """

    @abstractmethod
    def gold(self, operation: str, *operands: int) -> Self:
        """Sets the weights with which the module computes ``operation``, in every output, and returns the module.

        Arguments:
            operation: ``mul``, ``div``, ``reciprocal`` … as the module's documentation lists them.
            operands: indices of the inputs it applies to, in order; by default the first ones.

        Raises:
            ValueError: the module cannot compute the operation, or an operand is not an input.
        """

    @abstractmethod
    def to_sympy(self, names: Sequence[str | sympy.Symbol]) -> list[sympy.Expr]:
        """What each output computes in evaluation mode, as a formula of the named inputs."""

    def effective_weight(self) -> Tensor:
        """The weights as the forward pass uses them."""
        return self.weight

    def sparsity_error(self) -> Tensor:
        """Largest distance of an effective weight from a discrete value; gates do not count."""
        return sparsity_error(self.effective_weight())

    @torch.no_grad()
    def project_(self) -> Self:
        """Clamps the parameters to their bounds in place; call it after every optimizer step."""
        for name, (low, high) in self.bounds().items():
            self.get_parameter(name).clamp_(low, high)
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Rounds the parameters to their nearest discrete values (halves away from zero), and returns the module."""
        for name, parameter in self.named_parameters():
            low, high = self.domain[name]
            away = parameter.sign() * (parameter.frac().abs() >= 0.5)
            parameter.copy_((parameter.trunc() + away).clamp(low, high))
        return self

    def extra_repr(self) -> str:
        """Sizes, as torch's own layers print them."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


def choice(owner: object, option: str, value: str, allowed: Sequence[str]) -> str:
    """Returns ``value`` if it is one of ``allowed``.

    Raises:
        ValueError: it is not; the sentence names the option, the value found and the values allowed.
    """
    if value not in allowed:
        raise ValueError(f"{type(owner).__name__}: {option} is {value!r}, expected one of: {', '.join(allowed)}")
    return value


def fraction(owner: object, option: str, value: float) -> float:
    """Returns ``value`` if it is in [0, 1).

    Raises:
        ValueError: it is not; the sentence names the option, the value found and the values allowed.
    """
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{type(owner).__name__}: {option} is {value!r}, expected 0 or more and less than 1")
    return value


def as_symbols(module: ArithmeticModule, names: Sequence[str | sympy.Symbol]) -> list[sympy.Symbol]:
    """Real symbols for names; symbols stay as they are.

    Raises:
        ValueError: there are not as many as the module has inputs.
    """
    import sympy

    if len(names) != module.in_features:
        raise ValueError(f"{type(module).__name__}: found {len(names)} names, expected {module.in_features}")
    return [sympy.Symbol(name, real=True) if isinstance(name, str) else name for name in names]


_EXPONENTS: dict[str, tuple[float, ...]] = {
    "mul": (1, 1),
    "div": (1, -1),
    "reciprocal": (-1,),
    "squared": (2,),
    "root": (0.5,),
}


def operand_exponents(
    module: ArithmeticModule, operations: Sequence[str], operation: str, operands: Sequence[int]
) -> Tensor:
    """Exponent of each input, ``(in_features,)``, with which a product of powers is the operation.

    ``mul`` takes any number of operands.

    Raises:
        ValueError: ``operation`` is not one of ``operations``, or the operands do not fit.
    """
    exponents = _EXPONENTS[choice(module, "operation", operation, operations)]
    operands = operands or tuple(range(len(exponents)))
    if operation == "mul":
        exponents = (1,) * len(operands)
    if len(operands) != len(exponents) or len(set(operands)) != len(operands):
        raise ValueError(
            f"{type(module).__name__}: {operation} takes {len(exponents)} different operands, found {tuple(operands)}"
        )
    result = torch.zeros(module.in_features)
    for operand, exponent in zip(operands, exponents, strict=True):
        if operand not in range(module.in_features):
            raise ValueError(
                f"{type(module).__name__}: operand {operand} is not an input, expected 0 to {module.in_features - 1}"
            )
        result[operand] = exponent
    return result
