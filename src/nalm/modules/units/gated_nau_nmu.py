"""A gate that chooses between a neural addition unit and a neural multiplication unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from nalm.modules.base import Inputs
from nalm.modules.functional import Shape
from nalm.modules.gated import GatedModule
from nalm.modules.operations import OPERATIONS
from nalm.modules.units.nau import NAU
from nalm.modules.units.nmu import NMU

__all__ = ["GatedNAUNMU"]


class GatedNAUNMU(GatedModule):
    r"""Adds with a :class:`NAU` or multiplies with an :class:`NMU`. A gate that depends on the inputs decides.

    .. math:: y = g \odot \mathrm{NAU}(x) + (1 - g) \odot \mathrm{NMU}(x), \qquad g = \sigma(G x)

    Operations: ``add``, ``sub``, ``mul``, for positive inputs or, with ``bias``, for all. Regularizers: ``weight``,
    ``out_of_bounds``, and ``gate`` and ``input``, if the batch is given. All results and gradients are finite.

    References:
        ablation in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        two_gates: whether the multiplicative path has its own gate, instead of :math:`1 - g`.
        bias: whether gates have a bias.
        gate: as in :class:`NALU`.
        out_of_bounds: as in :class:`NAU` and :class:`NMU`.
        shape: shape of the units' regularizers, ``linear``, ``squared`` or ``none``.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> GatedNAUNMU(2, 1, bias=True).gold("mul")(torch.tensor([3.0, -4.0])).detach()
    tensor([-12.])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        two_gates: bool = False,
        bias: bool = False,
        gate: Literal["sigmoid", "gumbel", "row_gumbel"] = "sigmoid",
        out_of_bounds: Literal["clip", "penalty"] = "clip",
        shape: Shape = "linear",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(in_features, out_features, two_gates, bias, gate, factory)
        with torch.random.fork_rng(devices=[]):  # units are drawn once, by reset_parameters
            self.additive = NAU(in_features, out_features, out_of_bounds=out_of_bounds, shape=shape, **factory)
            self.multiplicative = NMU(in_features, out_features, out_of_bounds=out_of_bounds, shape=shape, **factory)
        self.reset_parameters()

    def _multiply(self, x: Tensor) -> Tensor:
        result: Tensor = self.multiplicative(x)
        return result

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Sums, differences and products."""
        return dict.fromkeys(("add", "sub", "mul"), "positive" if self.gate_bias is None else "real")

    def _set_gold(self, operation: str, operands: tuple[int, ...]) -> None:
        unit = self.additive if OPERATIONS[operation].kind == "sum" else self.multiplicative
        unit.gold(operation, *operands)
