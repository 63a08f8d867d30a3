"""What every arithmetic module has in common."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.functional import nearest, sparsity_error

if TYPE_CHECKING:
    import sympy

__all__ = ["ArithmeticModule", "Inputs", "choice", "fraction"]

Inputs = Literal["real", "nonzero", "positive", "at least 1"]
"""For which inputs gold weights compute an operation."""

_COEFFICIENTS: dict[str, tuple[float, ...]] = {
    "add": (1, 1),
    "sub": (1, -1),
    "mul": (1, 1),
    "div": (1, -1),
    "reciprocal": (-1,),
    "squared": (2,),
    "root": (0.5,),
}
"""What each operand is multiplied by (in sums), or its exponent (in products)."""


class ArithmeticModule(nn.Module, ABC):
    """A layer whose weights, once discrete, are an arithmetic expression.

    It is an ordinary ``torch.nn.Module`` from ``(*, in_features)`` to ``(*, out_features)``. Beyond that it knows the
    domain of its weights, how to be projected onto it, the terms that regularize it, and the gold weights with which
    it computes an operation exactly. To write one of your own, define what is abstract here (``coefficients`` helps
    with ``gold``) and, if its weights are discrete, ``domain`` and ``bounds``.

    Under autocast to half precision a module warns: logarithms and products of many factors need more digits.

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
        self.register_forward_pre_hook(_check_inputs)

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draws new initial parameters from torch's default generator."""

    @property
    @abstractmethod
    def operations(self) -> Mapping[str, Inputs]:
        """The operations that gold weights compute, and the inputs for which they do."""

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
            operation: one of ``operations``.
            operands: indices of the inputs it applies to, in order; by default the first ones.

        Raises:
            ValueError: the module cannot compute the operation, or an operand is not an input.
        """

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """First and last of the consecutive integers that are a parameter's discrete values, by parameter name."""
        return {f"{name}.{own}": values for name, part in self._parts() for own, values in part.domain.items()}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Closed intervals in which training keeps parameters, by parameter name; others are free."""
        return {f"{name}.{own}": limits for name, part in self._parts() for own, limits in part.bounds().items()}

    def noise_shape(self, inputs: torch.Size) -> tuple[int, ...] | None:
        """Shape of the numbers from U[0, 1) that a training pass over such inputs takes; None: it takes none.

        A module that takes some accepts them as the second argument of ``forward``, and draws them if it gets none.
        """
        return None

    def effective_weights(self) -> dict[str, Tensor]:
        """The weights as the forward pass uses them, by name."""
        parts = {
            f"{name}.{own}": value for name, part in self._parts() for own, value in part.effective_weights().items()
        }
        return parts or {"weight": self.weight}

    def sparsity_error(self) -> Tensor:
        """Largest distance of an effective weight from a discrete value; gates do not count."""
        return self._sparsity_errors().amax()

    def _sparsity_errors(self) -> Tensor:
        """Those of each effective weight."""
        return torch.stack([sparsity_error(weight) for weight in self.effective_weights().values()])

    @torch.no_grad()
    def project_(self) -> Self:
        """Clamps the parameters to their bounds in place; call it after every optimizer step (see ``constrain``)."""
        for name, (low, high) in self.bounds().items():
            self.get_parameter(name).clamp_(low, high)
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Rounds the weights to their nearest discrete values (halves away from zero), and returns the module."""
        for _, part in self._parts():
            part.discretize()
        for name, (low, high) in self.domain.items():
            if "." not in name:
                parameter = self.get_parameter(name)
                parameter.copy_(nearest(parameter, low, high))
        return self

    def idealize(self) -> Self:
        """Takes away the small constants that only keep logarithms and quotients finite, and returns the module."""
        for _, part in self._parts():
            part.idealize()
        if hasattr(self, "eps"):
            self.eps = 0.0
        return self

    def to_sympy(self, names: Sequence[str | sympy.Symbol]) -> list[sympy.Expr]:
        """What each output computes in evaluation mode, as a formula of the named inputs (real numbers).

        Raises:
            ValueError: there are not as many names as inputs, or the module computes with something that has no
                formula.

        >>> from nalm.modules import NAU
        >>> NAU(2, 1).gold("sub").to_sympy(["a", "b"])
        [a - b]
        """
        from nalm.modules.symbolic import formulas

        return formulas(self, names)

    def extra_repr(self) -> str:
        """Sizes, as torch's own layers print them."""
        return f"in_features={self.in_features}, out_features={self.out_features}"

    def _parts(self) -> Iterator[tuple[str, ArithmeticModule]]:
        return ((name, part) for name, part in self.named_children() if isinstance(part, ArithmeticModule))

    def coefficients(self, operation: str, operands: Sequence[int]) -> Tensor:
        """What each input is multiplied by, or its exponent, in an operation on some operands: ``(in_features,)``.

        ``add`` and ``mul`` take any number of operands.

        Raises:
            ValueError: the module cannot compute the operation, or the operands do not fit.
        """
        name = type(self).__name__
        coefficients = _COEFFICIENTS[choice(self, "operation", operation, list(self.operations))]
        operands = operands or tuple(range(len(coefficients)))
        if operation in ("add", "mul"):
            coefficients = (1,) * len(operands)
        if len(operands) != len(coefficients) or len(set(operands)) != len(operands):
            raise ValueError(
                f"{name}: {operation} takes {len(coefficients)} different operands, found {tuple(operands)}"
            )
        result = torch.zeros(self.in_features)
        for operand, coefficient in zip(operands, coefficients, strict=True):
            if operand not in range(self.in_features):
                raise ValueError(f"{name}: operand {operand} is not an input, expected 0 to {self.in_features - 1}")
            result[operand] = coefficient
        return result

    def _uniform(self, x: Tensor) -> Tensor:
        """The noise of a training pass over ``x`` that was given none."""
        shape = self.noise_shape(x.shape)
        assert shape is not None
        return torch.rand(shape, dtype=x.dtype, device=x.device)


def _check_inputs(module: nn.Module, args: tuple[Any, ...]) -> None:
    """Refuses inputs of another width, which would be broadcast, and warns of half precision."""
    assert isinstance(module, ArithmeticModule)
    if not args or not isinstance(args[0], Tensor):
        return
    width = args[0].shape[-1] if args[0].ndim else None
    if width != module.in_features:
        found = "a single number" if width is None else f"{width} inputs"
        raise ValueError(f"{type(module).__name__}: found {found}, expected {module.in_features}")
    if torch.compiler.is_compiling():
        return
    device = args[0].device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return
    dtype = torch.get_autocast_dtype(device)
    if dtype in (torch.float16, torch.bfloat16):
        warnings.warn(
            f"{type(module).__name__} runs under autocast to {dtype}, which has too few digits for arithmetic; "
            "exclude it with torch.autocast(device_type, enabled=False)",
            stacklevel=5,
        )


def choice(owner: object, option: str, value: str, allowed: Sequence[str]) -> str:
    """Returns ``value`` if it is one of ``allowed``.

    Raises:
        ValueError: it is not; the sentence names the option, the value found and the values allowed.
    """
    if value not in allowed:
        expected = f"one of: {', '.join(allowed)}" if allowed else "nothing: it can compute none"
        raise ValueError(f"{type(owner).__name__}: {option} is {value!r}, expected {expected}")
    return value


def fraction(owner: object, option: str, value: float) -> float:
    """Returns ``value`` if it is in [0, 1).

    Raises:
        ValueError: it is not; the sentence names the option, the value found and the values allowed.
    """
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{type(owner).__name__}: {option} is {value!r}, expected 0 or more and less than 1")
    return value
