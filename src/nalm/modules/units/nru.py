"""Neural reciprocal unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import Inputs, choice, fraction
from nalm.modules.bounded import BoundedModule
from nalm.modules.functional import Shape, product, unit_power

__all__ = ["NRU"]


class NRU(BoundedModule):
    r"""Multiplies by inputs or their reciprocals, or ignores them: a weight is an exponent of 1, -1 or 0.

    .. math:: y_o = \prod_i \big( \mathrm{sgn}(x_i) |x_i|^{W_{oi}} T_{oi} + (1 - T_{oi}) \big)

    with :math:`T = \tanh(1000 W)^2` in training and :math:`T = |W|` in evaluation mode, which differ unless the weights
    are discrete. With ``sign="separate"``, magnitude and sign are two products:
    :math:`\prod_i (|x_i|^{W_{oi}} T_{oi} + 1 - T_{oi}) \prod_i \mathrm{sgn}(x_i)^{\mathrm{round}(W_{oi})}`, and the
    sign has no gradient.

    Operations: ``mul``, ``div``, ``reciprocal``. Regularizers: ``weight``, ``out_of_bounds``, ``input``, and ``trash``
    if there is one. Division by exactly 0 is NaN (``joint``) or infinite (``separate``), with a gradient of NaN, unless
    ``eps`` is given; other derivatives to an input of 0 count as 0. :math:`W = 0` is a stationary point.

    References:
        Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare, 2021),
        https://arxiv.org/abs/2110.05177

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        sign: whether magnitude and sign are one product (``joint``) or two (``separate``).
        out_of_bounds: how weights outside :math:`[-1, 1]` are treated: a projection clamps them after each step
            (``clip``), or the forward pass clamps them and a regularizer pulls them back (``penalty``).
        shape: shape of the regularizers, ``linear``, ``squared`` or ``none``.
        init: distribution of the initial weights: ``uniform`` within :math:`\pm\min(0.5, \sqrt{6 / (I + O)})`, or
            ``beta``, :math:`2\,\mathrm{Beta}(7, 7) - 1`.
        identity_epsilon: added to the lower bound of the weights, -1.
        trash: whether to add a trained scalar to the results in training, which a regularizer should reduce to 0.
        eps: added to every magnitude, so that results and gradients are finite; an input of 0 counts as ``eps``. The
            paper adds nothing.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NRU(2, 1).gold("div").eval()(torch.tensor([3.0, -4.0])).detach()
    tensor([-0.7500])
    """

    lowest = -1

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        sign: Literal["joint", "separate"] = "joint",
        out_of_bounds: Literal["clip", "penalty"] = "clip",
        shape: Shape = "linear",
        init: Literal["uniform", "beta"] = "uniform",
        identity_epsilon: float = 0.0,
        trash: bool = False,
        eps: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, out_of_bounds, shape, identity_epsilon)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.sign = choice(self, "sign", sign, ("joint", "separate"))
        self.init = choice(self, "init", init, ("uniform", "beta"))
        self.eps = fraction(self, "eps", eps)
        self.weight = nn.Parameter(torch.empty(out_features, in_features, **factory))
        self.trash = nn.Parameter(torch.empty(1, **factory)) if trash else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights from the distribution ``init``; the trash starts at 0."""
        self._draw(self.init)
        if self.trash is not None:
            nn.init.zeros_(self.trash)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        weight = self._effective_weight()
        selected = torch.tanh(1000 * weight) ** 2 if self.training else weight.abs()
        ignored = 1 - selected  # computed before it is added, so that a weight of 1 keeps all digits of a large input
        x = x.unsqueeze(-2)
        magnitude, sign = (x.abs() + self.eps, 1 - 2 * (x < 0).to(x.dtype)) if self.eps else (x.abs(), torch.sign(x))
        powers = unit_power(magnitude, weight)
        if self.sign == "joint":
            result = product(sign * powers * selected + ignored)
        else:
            result = product(powers * selected + ignored) * product(sign.detach() ** torch.round(weight.detach()))
        return result + self.trash if self.trash is not None and self.training else result

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products and quotients."""
        return {"mul": "real", "div": "nonzero", "reciprocal": "nonzero"}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``weight``, the distance from {-1, 0, 1}; ``out_of_bounds``, from [-1, 1]; ``input``, which penalizes
        unused large inputs; and ``trash``, its magnitude.
        """
        terms = super().regularizers(inputs)
        return terms if self.trash is None else terms | {"trash": self.trash.abs().sum()}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Set the exponents as weights, and a trash of 0."""
        super().gold(operation, *operands)
        if self.trash is not None:
            self.trash.zero_()
        return self
