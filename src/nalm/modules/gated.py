"""The base of modules in which a gate chooses between a sum and a product."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, choice
from nalm.modules.functional import SATURATED, contract, glorot_limit
from nalm.modules.operations import OPERATIONS

__all__ = ["GatedModule"]

_STEEP = 1e6
"""Gate weight beyond which a gate that depends on its inputs is a step (for sums above 1e-4 it is 0 or 1)."""


class GatedModule(ArithmeticModule):
    """A module of an additive unit, a multiplicative path, and gates that mix them."""

    additive: ArithmeticModule
    _logarithm_of_base: ClassVar[float] = 1.0
    """Natural logarithm of the base of the exponentials in sigmoid and tanh."""

    def __init__(
        self, in_features: int, out_features: int, two_gates: bool, bias: bool, gate: str, factory: dict[str, Any]
    ) -> None:
        super().__init__(in_features, out_features)
        self.gate = choice(self, "gate", gate, ("sigmoid", "gumbel", "row_gumbel"))

        def parameter(*shape: int, wanted: bool) -> nn.Parameter | None:
            return nn.Parameter(torch.empty(shape, **factory)) if wanted else None

        self.gate_weight = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.gate_bias = parameter(out_features, wanted=bias)
        self.second_gate_weight = parameter(out_features, in_features, wanted=two_gates)
        self.second_gate_bias = parameter(out_features, wanted=bias and two_gates)

    def _gates_parameters(self) -> list[tuple[nn.Parameter, nn.Parameter | None]]:
        """Return weight and bias of the additive path's gate and, if it exists, of the multiplicative path's gate."""
        first = (self.gate_weight, self.gate_bias)
        return [first] if self.second_gate_weight is None else [first, (self.second_gate_weight, self.second_gate_bias)]

    @abstractmethod
    def _multiply(self, x: Tensor) -> Tensor:
        """Compute the multiplicative path, ``(*, I)`` to ``(*, O)``."""

    @abstractmethod
    def _set_gold(self, operation: str, operands: tuple[int, ...]) -> None:
        """Set the weights of the path that computes the operation."""

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Draw the units' parameters, then gates within :math:`\pm\sqrt{6 / (I + O)}`; biases start at 0."""
        for _, part in self._parts():
            part.reset_parameters()
        limit = glorot_limit(self.in_features, self.out_features)
        for weight, bias in self._gates_parameters():
            weight.uniform_(-limit, limit)
            if bias is not None:
                bias.zero_()

    def noise_shape(self, inputs: torch.Size) -> tuple[int, ...] | None:
        """Return one number per gate and output, or per gate, row and output, if the gates are random."""
        if self.gate == "sigmoid":
            return None
        return (len(self._gates_parameters()), *(inputs[:-1] if self.gate == "row_gumbel" else ()), self.out_features)

    def gates(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the shares of both paths, the additive one first, ``(*, O)`` each; with noise they are random."""
        first, second = (None, None) if noise is None else noise[[0, -1]]
        added = self._gate(x, self.gate_weight, self.gate_bias, first)
        if self.second_gate_weight is None:
            return added, 1 - added
        return added, self._gate(x, self.second_gate_weight, self.second_gate_bias, second)

    def _gate(self, x: Tensor, weight: Tensor, bias: Tensor | None, noise: Tensor | None) -> Tensor:
        logit = contract(x, weight)
        if bias is not None:
            logit = logit + bias
        if noise is not None:  # one Gumbel variable, whose mean is not 0: the original does the same
            logit = logit - torch.log(-torch.log(noise + 1e-8) + 1e-8)
        return torch.sigmoid(logit * self._logarithm_of_base)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``; ``noise``, from U[0, 1), has the shape ``noise_shape``."""
        if self.gate == "sigmoid" or not self.training:
            noise = None
        elif noise is None:
            noise = self._uniform(x)
        added, multiplied = self.gates(x, noise)
        result: Tensor = added * self.additive(x) + multiplied * self._multiply(x)
        return result

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return the units' regularizers, added up, and ``gate``: the summed distance of all gates from {0, 1}."""
        terms: dict[str, Tensor] = {}
        for name, part in self._parts():
            for term, value in part.regularizers(None if inputs is None else self._inputs_of(name, inputs)).items():
                terms[term] = terms[term] + value if term in terms else value
        if inputs is not None:
            both = self.gates(inputs)[: len(self._gates_parameters())]
            terms["gate"] = torch.stack([(gate**2 * (1 - gate) ** 2).sum() for gate in both]).sum()
        return terms

    def _inputs_of(self, part: str, inputs: Tensor) -> Tensor:
        """Return the inputs of a unit, given the module's inputs."""
        return inputs

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Set the weights of one path, open its gate and close the other: by the bias, or for positive operands if
        there is none.
        """
        coefficients = self.coefficients(operation, operands)
        self._set_gold(operation, operands)
        towards = 1.0 if OPERATIONS[operation].kind == "sum" else -1.0
        for (weight, bias), sign in zip(self._gates_parameters(), (towards, -towards), strict=False):
            if bias is None:
                weight.copy_((sign * _STEEP * (coefficients != 0)).expand_as(weight))
            else:
                weight.zero_()
                bias.fill_(sign * SATURATED)
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Round the units' weights, and turn each gate into a step where it was 1/2."""
        super().discretize()
        for weight, bias in self._gates_parameters():
            largest = weight.abs().amax(1)
            if bias is not None:
                largest = torch.maximum(largest, bias.abs())
            factor = _STEEP / largest.clamp(min=torch.finfo(largest.dtype).tiny)
            weight.mul_(factor.unsqueeze(1))
            if bias is not None:
                bias.mul_(factor)
        return self
