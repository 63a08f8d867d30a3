"""The base class of arithmetic modules."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.functional import nearest, sparsity_error
from nalm.modules.operations import OPERATIONS

if TYPE_CHECKING:
    import sympy

__all__ = ["ArithmeticModule", "Inputs", "check_names", "choice", "fraction"]

Inputs = Literal["real", "nonzero", "positive", "at least 1"]
"""The inputs for which gold weights compute an operation."""


class ArithmeticModule(nn.Module, ABC):
    """A layer whose weights, once discrete, are an arithmetic expression.

    It is an ordinary ``torch.nn.Module`` from ``(*, in_features)`` to ``(*, out_features)``. It also knows the domain
    of its weights, how to project them onto it, its regularizers, and the gold weights with which it computes an
    operation exactly. To write your own module, define the abstract methods (``coefficients`` helps with ``gold``) and,
    if its weights are discrete, ``domain`` and ``bounds``. ``nalm.testing.check_module`` checks the result.

    Inputs are floating-point numbers; others, such as integers, are refused. Under autocast to half precision a module
    warns: logarithms and products of many factors need more digits. Use ``torch.compile`` or ``torch.export`` instead
    of ``torch.jit.script``, which is refused.

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.

    Raises:
        ValueError: a size is not a positive integer.
    """

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
        """Draw new initial parameters from torch's default generator."""

    @property
    @abstractmethod
    def operations(self) -> Mapping[str, Inputs]:
        """Operations that gold weights compute, and the inputs for which they do."""

    @abstractmethod
    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return the unweighted regularizers (scalars) by name.

        Arguments:
            inputs: the training batch, ``(*, in_features)``. With it, regularizers that depend on the inputs are
                included.
        """

    @abstractmethod
    def gold(self, operation: str, *operands: int) -> Self:
        """Set the weights with which every output computes ``operation``, and return the module.

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
        """Return the closed intervals in which training keeps parameters, by parameter name. Others are free."""
        return {f"{name}.{own}": limits for name, part in self._parts() for own, limits in part.bounds().items()}

    def noise_shape(self, inputs: torch.Size) -> tuple[int, ...] | None:
        """Return the shape of the noise from U[0, 1) that a training pass over inputs of this shape uses, if any.

        A module with noise accepts it as the second argument of ``forward``, and draws it if it is not given.
        """
        return None

    def effective_weights(self) -> dict[str, Tensor]:
        """Return the weights as the forward pass uses them, by name."""
        parts = {
            f"{name}.{own}": value for name, part in self._parts() for own, value in part.effective_weights().items()
        }
        own = dict(self.named_parameters(recurse=False))  # get_parameter refuses the tensors of functional_call
        return parts or {"weight": own["weight"]}

    def sparsity_error(self) -> Tensor:
        """Return the largest distance of an effective weight from a discrete value. Gates do not count."""
        return self._sparsity_errors().amax()

    def _sparsity_errors(self) -> Tensor:
        """Return the sparsity error of each effective weight."""
        return torch.stack([sparsity_error(weight) for weight in self.effective_weights().values()])

    @torch.no_grad()
    def project_(self) -> Self:
        """Clamp the parameters to their bounds in place. Call it after every optimizer step (see ``constrain``)."""
        for name, (low, high) in self.bounds().items():
            self.get_parameter(name).clamp_(low, high)
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Round the weights to their nearest discrete values (halves away from zero), and return the module."""
        for _, part in self._parts():
            part.discretize()
        for name, (low, high) in self.domain.items():
            if "." not in name:
                parameter = self.get_parameter(name)
                parameter.copy_(nearest(parameter, low, high))
        return self

    def idealize(self) -> Self:
        """Remove the small constants that only keep logarithms and quotients finite, and return the module."""
        for _, part in self._parts():
            part.idealize()
        if hasattr(self, "eps"):
            self.eps = 0.0
        return self

    def to_sympy(self, names: Sequence[str | sympy.Symbol]) -> list[sympy.Expr]:
        """Return the formula of each output in evaluation mode, in the named inputs (real numbers).

        Discrete weights give the short form: ``a/b`` for a quotient, with its sign. It holds for inputs other than 0.

        Raises:
            ValueError: there is not one name for each input, a name is empty or repeated, or the forward pass has no
                formula.

        >>> from nalm.modules import NAU
        >>> NAU(2, 1).gold("sub").to_sympy(["a", "b"])
        [a - b]
        """
        from nalm.modules.symbolic import formulas

        check_names(type(self).__name__, names, self.in_features)
        return formulas(self, names)

    def extra_repr(self) -> str:
        """Return the sizes, as torch's own layers print them."""
        return f"in_features={self.in_features}, out_features={self.out_features}"

    def __prepare_scriptable__(self) -> Self:
        """Refuse ``torch.jit.script``, which calls this: it knows neither generators nor most annotations."""
        raise ValueError(
            f"{type(self).__name__}: found a call of torch.jit.script, expected torch.compile or torch.export, "
            "which replace it"
        )

    def _parts(self) -> Iterator[tuple[str, ArithmeticModule]]:
        return ((name, part) for name, part in self.named_children() if isinstance(part, ArithmeticModule))

    def coefficients(self, operation: str, operands: Sequence[int]) -> Tensor:
        """Return each input's coefficient (in sums) or exponent (in products) in an operation: ``(in_features,)``.

        ``add`` and ``mul`` take any number of operands.

        Raises:
            ValueError: the module cannot compute the operation, or the operands do not fit.
        """
        name = type(self).__name__
        known = OPERATIONS[choice(self, "operation", operation, list(self.operations))]
        constants, operands = known.coefficients, operands or tuple(range(len(known.coefficients)))
        if known.any_number:
            constants = (1,) * len(operands)
        if len(operands) != len(constants) or len(set(operands)) != len(operands):
            raise ValueError(f"{name}: {operation} takes {len(constants)} different operands, found {tuple(operands)}")
        result = torch.zeros(self.in_features)
        for operand, constant in zip(operands, constants, strict=True):
            if operand not in range(self.in_features):
                raise ValueError(f"{name}: operand {operand} is not an input, expected 0 to {self.in_features - 1}")
            result[operand] = constant
        return result

    def _uniform(self, x: Tensor) -> Tensor:
        """Draw the noise of a training pass over ``x``."""
        shape = self.noise_shape(x.shape)
        assert shape is not None
        return torch.rand(shape, dtype=x.dtype, device=x.device)


def _check_inputs(module: nn.Module, args: tuple[Any, ...]) -> None:
    """Refuse inputs of another width, which would be broadcast, or type, and warn of half precision."""
    assert isinstance(module, ArithmeticModule)
    if not args or not isinstance(args[0], Tensor):
        return
    width = args[0].shape[-1] if args[0].ndim else None
    if width != module.in_features:
        found = "a single number" if width is None else f"{width} inputs"
        raise ValueError(f"{type(module).__name__}: found {found}, expected {module.in_features}")
    if not args[0].is_floating_point():
        raise ValueError(
            f"{type(module).__name__}: found inputs of {args[0].dtype}, expected floating-point numbers (x.float())"
        )
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


def check_names(owner: str, names: Sequence[object], inputs: int) -> None:
    """Check that there is a different name for each input.

    Raises:
        ValueError: there is not, or a name is empty.
    """
    texts = [str(name) for name in names]
    if len(texts) != inputs:
        raise ValueError(f"{owner}: found {len(texts)} names, expected {inputs}")
    if len(set(texts)) < len(texts):
        raise ValueError(f"found the names {', '.join(texts)}, expected a different one for each input")
    if not all(text.strip() for text in texts):
        raise ValueError(f"found the names {texts}, expected none to be empty")


def choice(owner: object, option: str, value: str, allowed: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``allowed``.

    Raises:
        ValueError: it is not; the message names the option, the value found and the values allowed.
    """
    if value not in allowed:
        expected = f"one of: {', '.join(allowed)}" if allowed else "nothing: it can compute none"
        raise ValueError(f"{type(owner).__name__}: {option} is {value!r}, expected {expected}")
    return value


def fraction(owner: object, option: str, value: float) -> float:
    """Return ``value`` if it is in [0, 1).

    Raises:
        ValueError: it is not; the message names the option, the value found and the values allowed.
    """
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{type(owner).__name__}: {option} is {value!r}, expected 0 or more and less than 1")
    return value
