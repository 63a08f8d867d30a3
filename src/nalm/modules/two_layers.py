"""A network of two layers: what is selected and summed first, and what is computed with the sums."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import zip_longest
from math import prod
from typing import Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs

__all__ = ["TwoLayers"]


class TwoLayers(ArithmeticModule):
    r"""Applies one module to the outputs of another: :math:`y = f_2(f_1(x))`.

    Operations are those of the second layer, if the first can select its operands. Regularizers are those of both
    layers, added where both have one, and each layer's own, as ``first_weight``. The sparsity error is the larger one.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I` of the first layer.
        out_features: number of outputs :math:`O` of the second.
        first: from ``(*, I)`` to ``(*, H)``, of any hidden size :math:`H`.
        second: from ``(*, H)`` to ``(*, O)``.

    Raises:
        ValueError: a size is not a positive integer, or the second layer does not take what the first gives.

    >>> from nalm.modules import NAU, NMU
    >>> network = TwoLayers(4, 1, NAU(4, 2), NMU(2, 1)).gold("mul", 1, 3)
    >>> network(torch.tensor([5.0, 2.0, 7.0, -3.0])).detach()
    tensor([-6.])
    """

    def __init__(self, in_features: int, out_features: int, first: nn.Module, second: nn.Module) -> None:
        super().__init__(in_features, out_features)
        self.first = first
        self.second = second
        hidden, taken = getattr(first, "out_features", None), getattr(second, "in_features", None)
        if None not in (hidden, taken) and hidden != taken:
            raise ValueError(f"TwoLayers: found {hidden} outputs and then {taken} inputs, expected as many")

    def reset_parameters(self) -> None:
        """Draws the first layer's parameters, then the second's, of those that can be drawn."""
        for layer in (self.first, self.second):
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Shape: ``(*, I)`` to ``(*, O)``; ``noise``, from U[0, 1), as ``noise_shape`` says."""
        if noise is None:
            result: Tensor = self.second(self.first(x))
            return result
        for layer in (self.first, self.second):
            shape = _noise_shape(layer, x.shape)
            if shape is None:
                x = layer(x)
            else:
                own, noise = noise[: prod(shape)], noise[prod(shape) :]
                x = layer(x, own.reshape(shape))
        return x

    def noise_shape(self, inputs: torch.Size) -> tuple[int, ...] | None:
        """As many numbers as both layers take together."""
        hidden = torch.Size((*inputs[:-1], getattr(self.second, "in_features", 1)))
        shapes = [_noise_shape(self.first, inputs), _noise_shape(self.second, hidden)]
        taken = [prod(shape) for shape in shapes if shape is not None]
        return (sum(taken),) if taken else None

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """The second layer's, if the first can add."""
        first, second = self.first, self.second
        if not (isinstance(first, ArithmeticModule) and isinstance(second, ArithmeticModule)):
            return {}
        return second.operations if "add" in first.operations else {}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """The layers' terms, added where both have one, and by layer; the second's inputs are the first's outputs."""
        terms: dict[str, Tensor] = {}
        for part, layer in self._parts():
            seen = inputs if inputs is None or part == "first" else self.first(inputs)
            for name, value in layer.regularizers(seen).items():
                terms[name] = terms[name] + value if name in terms else value
                terms[f"{part}_{name}"] = value
        return terms

    def sparsity_error(self) -> Tensor:
        """The larger one of the layers'; NaN if they know none."""
        errors = [part.sparsity_error() for _, part in self._parts()]
        return torch.stack(errors).amax() if errors else next(self.parameters()).new_full((), float("nan"))

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Has the first layer select an operand in each of its outputs, and the second compute with them."""
        coefficients = self.coefficients(operation, operands)
        operands = operands or tuple(torch.nonzero(coefficients).flatten().tolist())
        assert isinstance(self.first, ArithmeticModule)
        assert isinstance(self.second, ArithmeticModule)
        if len(operands) > self.second.in_features:
            raise ValueError(
                f"TwoLayers: {operation} of {len(operands)} operands needs as many hidden units, "
                f"found {self.second.in_features}"
            )
        self.second.gold(operation, *range(len(operands)))
        for unit, operand in zip_longest(range(self.second.in_features), operands, fillvalue=operands[0]):
            selecting = copy.deepcopy(self.first).gold("add", operand)
            for name, parameter in self.first.named_parameters():
                if len(parameter) != self.second.in_features:
                    raise ValueError(f"TwoLayers: found parameter {name} of the first layer, expected rows for outputs")
                parameter[unit] = selecting.get_parameter(name)[unit]
        return self

    def extra_repr(self) -> str:
        """Nothing: the layers say their sizes."""
        return ""


def _noise_shape(layer: nn.Module, inputs: torch.Size) -> tuple[int, ...] | None:
    return layer.noise_shape(inputs) if isinstance(layer, ArithmeticModule) else None
