"""A network of two layers: the first selects and adds inputs, the second computes with the sums."""

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

    It computes the operations of the second layer, if the first can select the operands. It has the sums of both
    layers' regularizers, and each layer's own, such as ``first_weight``. Its sparsity error is the larger one.

    References:
        Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I` of the first layer.
        out_features: number of outputs :math:`O` of the second.
        first: the layer from ``(*, I)`` to ``(*, H)``, for any hidden size :math:`H`.
        second: the layer from ``(*, H)`` to ``(*, O)``.

    Raises:
        ValueError: a size is not a positive integer, or the layers do not fit together.

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
        """Draw the first layer's parameters, then the second's. Layers that cannot reset their parameters keep them."""
        for layer in (self.first, self.second):
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``; ``noise``, from U[0, 1), has the shape ``noise_shape``."""
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
        """Return the number of random numbers that both layers use together."""
        hidden = torch.Size((*inputs[:-1], getattr(self.second, "in_features", 1)))
        shapes = [_noise_shape(self.first, inputs), _noise_shape(self.second, hidden)]
        taken = [prod(shape) for shape in shapes if shape is not None]
        return (sum(taken),) if taken else None

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Operations of the second layer, if the first can add."""
        first, second = self.first, self.second
        if not (isinstance(first, ArithmeticModule) and isinstance(second, ArithmeticModule)):
            return {}
        return second.operations if "add" in first.operations else {}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return the sums of the layers' regularizers, and those of each layer; the second gets the first's outputs."""
        terms: dict[str, Tensor] = {}
        for part, layer in self._parts():
            seen = inputs if inputs is None or part == "first" else self.first(inputs)
            for name, value in layer.regularizers(seen).items():
                terms[name] = terms[name] + value if name in terms else value
                terms[f"{part}_{name}"] = value
        return terms

    def sparsity_error(self) -> Tensor:
        """Return the larger sparsity error of the layers, or NaN if they have none."""
        errors = [part.sparsity_error() for _, part in self._parts()]
        return torch.stack(errors).amax() if errors else next(self.parameters()).new_full((), float("nan"))

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Let each output of the first layer select an operand, and the second layer compute with them."""
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
        """Return an empty string, since the layers print their sizes."""
        return ""


def _noise_shape(layer: nn.Module, inputs: torch.Size) -> tuple[int, ...] | None:
    return layer.noise_shape(inputs) if isinstance(layer, ArithmeticModule) else None
