"""Improved neural arithmetic logic unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs, fraction
from nalm.modules.functional import LOG_EPS, SATURATED, contract, nearest, saturate_, selected_product
from nalm.modules.operations import OPERATIONS

__all__ = ["INALU"]


class INALU(ArithmeticModule):
    r"""Adds, or multiplies with the right sign. A gate that does not depend on the inputs decides.

    .. math:: y = \sigma(g) \odot A x + (1 - \sigma(g)) \odot
        \exp\big(\min(M \ln \max(|x|, \varepsilon), \ln c)\big) \odot s, \qquad
        s_o = \prod_i \big(\mathrm{sgn}(x_i) |M_{oi}| + 1 - |M_{oi}|\big)

    with :math:`A = \tanh(\hat W_a) \, \sigma(\hat M_a)` and :math:`M = \tanh(\hat W_m) \, \sigma(\hat M_m)`. The
    product is capped at :math:`c = e^{20} \approx 4.85 \cdot 10^8`. An input of 0 counts as :math:`\varepsilon`,
    with sign 0; results and gradients are finite.

    Operations: ``add``, ``sub``, ``mul``, ``div``, ``reciprocal``, and ``root`` for positive inputs (with a weight of
    1/2, which is not discrete). Regularizers: ``saturation``, which pulls every parameter's magnitude towards 20.

    The paper clips gradient values at 0.1, restarts training that is stuck, and regularizes late: see ``reinitialize``
    and ``below`` in ``docs/experiments.md``.

    References:
        iNALU: Improved Neural Arithmetic Logic Unit (Schlör, Ring & Hotho, 2020), https://arxiv.org/abs/2003.07629

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        eps: :math:`\varepsilon`, the least magnitude whose logarithm is taken.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> INALU(2, 1).gold("div")(torch.tensor([3.0, -4.0])).round(decimals=4)
    tensor([-0.7500], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        eps: float = LOG_EPS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.eps = fraction(self, "eps", eps)
        self.log_cap = 20.0
        self.weight_hat = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.mask_hat = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.power_hat = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.power_mask_hat = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.gate = nn.Parameter(torch.empty(out_features, **factory))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Draw :math:`\hat W` from N(0.88, 0.2), :math:`\hat M` from N(0.5, 0.2), gates from N(0, 0.2)."""
        for weight, mask in ((self.weight_hat, self.mask_hat), (self.power_hat, self.power_mask_hat)):
            for parameter, mean in ((weight, 0.88), (mask, 0.5)):
                parameter.copy_(parameter.new_empty(self.in_features, self.out_features).normal_(mean, 0.2).T)
        self.gate.normal_(0, 0.2)

    def effective_weights(self) -> dict[str, Tensor]:
        """Return the coefficients of the sum and the exponents of the product."""
        return {
            "weight": torch.tanh(self.weight_hat) * torch.sigmoid(self.mask_hat),
            "power": torch.tanh(self.power_hat) * torch.sigmoid(self.power_mask_hat),
        }

    def sparsity_error(self) -> Tensor:
        """Return the largest distance of an effective weight from a discrete value, averaged over both paths."""
        return self._sparsity_errors().mean()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        weight, power = self.effective_weights().values()
        logarithm = contract(torch.log(x.abs().clamp(min=self.eps)), power)
        sign = selected_product(torch.sign(x), power.abs())
        gate = torch.sigmoid(self.gate)
        return gate * contract(x, weight) + (1 - gate) * torch.exp(logarithm.clamp(max=self.log_cap)) * sign

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """The four operations, and roots."""
        return {
            "add": "real",
            "sub": "real",
            "mul": "real",
            "div": "nonzero",
            "reciprocal": "nonzero",
            "root": "positive",
        }

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``saturation``: by how much magnitudes are below 20, averaged over each parameter, then summed."""
        means = [torch.relu(20 - parameter.abs()).mean() for parameter in self.parameters()]
        return {"saturation": torch.stack(means).sum()}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Saturate the weights of one path at the coefficients, those of the other at 0, and the gate."""
        coefficients = self.coefficients(operation, operands)
        adds = OPERATIONS[operation].kind == "sum"
        nothing = torch.zeros_like(coefficients)
        self._saturate(coefficients if adds else nothing, nothing if adds else coefficients)
        self.gate.fill_(SATURATED if adds else -SATURATED)
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Saturate weights at the nearest of -1, 0 and 1, and gates at the nearest of 0 and 1."""
        self._saturate(*(nearest(weight, -1, 1) for weight in self.effective_weights().values()))
        self.gate.copy_(torch.where(self.gate >= 0, SATURATED, -SATURATED))
        return self

    def idealize(self) -> Self:
        """Remove the constants that keep logarithms and products finite."""
        self.log_cap = math.inf
        return super().idealize()

    def _saturate(self, weight: Tensor, power: Tensor) -> None:
        saturate_(weight, self.weight_hat, self.mask_hat)
        saturate_(power, self.power_hat, self.power_mask_hat)
