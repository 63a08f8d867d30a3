"""Neural arithmetic logic units: a gate that chooses between a sum and a product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from nalm.modules.base import ArithmeticModule, Inputs, choice, fraction
from nalm.modules.functional import LOG_EPS, log_magnitude
from nalm.modules.gated import GatedModule
from nalm.modules.operations import OPERATIONS
from nalm.modules.units.nac import LOG_PHI, NAC
from nalm.modules.units.nmu import SigmaNMU

__all__ = ["GNALU", "NALU"]


class NALU(GatedModule):
    r"""Adds or multiplies. A gate that depends on the inputs decides: the neural arithmetic logic unit.

    .. math:: y = g \odot a + (1 - g) \odot m, \quad a = W x, \quad m = \exp(W \ln(|x| + \varepsilon)), \quad
        g = \sigma(G x)

    with :math:`W = \tanh(\hat W) \, \sigma(\hat M)`. Products lose the sign of the inputs, and without a bias the gate
    depends on it. There are three other multiplications. ``safe`` is :math:`\exp(W \ln(|x - 1| + 1))`, the same for
    inputs of at least 1. ``trig`` is :math:`\sinh(W \ln(x + \sqrt{x^2 + 1} + \varepsilon))`, which only resembles a
    product. ``nmu`` is a separate unit, :class:`SigmaNMU`. An input of 0 counts as :math:`\varepsilon`. Gradients are
    finite for every sign (``trig``: unless :math:`x` is so negative that :math:`x + \sqrt{x^2 + 1}` is rounded to 0).
    With shared weights, a closed path is computed too: a sum of many large numbers is NaN if their product overflows.

    Operations: ``add``, ``sub``, for positive inputs or, with ``bias``, for all; ``mul``, ``div``, ``reciprocal``,
    ``root`` for positive inputs (``log``) or inputs of at least 1 (``safe``); ``mul`` (``nmu``). Regularizers: ``gate``
    and ``input``, if the batch is given.

    References:
        Neural Arithmetic Logic Units (Trask et al., NeurIPS 2018), https://arxiv.org/abs/1808.00508;
        options: Measuring Arithmetic Extrapolation Performance (Madsen & Johansen, 2019),
        https://arxiv.org/abs/1910.01888

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        separate: whether the multiplicative path has its own weights (with ``nmu`` it always has).
        two_gates: whether the multiplicative path has its own gate, instead of :math:`1 - g`.
        bias: whether gates have a bias.
        multiplication: the multiplication, ``log``, ``safe``, ``trig`` or ``nmu``.
        gate: ``sigmoid``, or a random gate, whose logit gets a random number added in training: one per output
            (``gumbel``), or one per row and output (``row_gumbel``).
        eps: :math:`\varepsilon`, added to magnitudes.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NALU(2, 1).gold("mul")(torch.tensor([3.0, 4.0])).round(decimals=4)
    tensor([12.], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        separate: bool = False,
        two_gates: bool = False,
        bias: bool = False,
        multiplication: Literal["log", "safe", "trig", "nmu"] = "log",
        gate: Literal["sigmoid", "gumbel", "row_gumbel"] = "sigmoid",
        eps: float = LOG_EPS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(in_features, out_features, two_gates, bias, gate, factory)
        self.multiplication = choice(self, "multiplication", multiplication, ("log", "safe", "trig", "nmu"))
        self.eps = fraction(self, "eps", eps)
        self.multiplicative: ArithmeticModule | None = None
        base: Literal["e", "golden"] = "e" if self._logarithm_of_base == 1 else "golden"
        with torch.random.fork_rng(devices=[]):  # units are drawn once, by reset_parameters
            self.additive = NAC(in_features, out_features, base=base, **factory)
            if multiplication == "nmu":
                self.multiplicative = SigmaNMU(in_features, out_features, **factory)
            elif separate:
                self.multiplicative = NAC(in_features, out_features, base=base, **factory)
        self.reset_parameters()

    @property
    def _multiplying(self) -> ArithmeticModule:
        """The unit of the multiplicative path, which can be the additive one."""
        return self.additive if self.multiplicative is None else self.multiplicative

    def _multiply(self, x: Tensor) -> Tensor:
        result: Tensor = self._multiplying(self._transformed(x))
        if self.multiplication == "nmu":
            return result
        return torch.sinh(result) if self.multiplication == "trig" else torch.exp(result)

    def _transformed(self, x: Tensor) -> Tensor:
        """Return the numbers that the multiplicative path adds up."""
        if self.multiplication == "log":
            return log_magnitude(x, self.eps)
        if self.multiplication == "safe":
            return torch.log((x - 1).abs() + 1)
        if self.multiplication == "trig":
            return torch.log(x + (x**2 + 1) ** 0.5 + self.eps)
        return x

    def _inputs_of(self, part: str, inputs: Tensor) -> Tensor:
        transformed = self._transformed(inputs)
        if part == "multiplicative":
            return transformed
        return inputs if self.multiplicative is not None else torch.cat([inputs, transformed], 0)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Sums, and the operations that the multiplication computes exactly."""
        sums: Inputs = "positive" if self.gate_bias is None else "real"
        if self.multiplication in ("trig", "nmu"):
            return dict.fromkeys(("add", "sub", *["mul"] * (self.multiplication == "nmu")), sums)
        products: Inputs = "positive" if self.multiplication == "log" else "at least 1"
        return {"add": sums, "sub": sums} | dict.fromkeys(("mul", "div", "reciprocal", "root"), products)

    def _set_gold(self, operation: str, operands: tuple[int, ...]) -> None:
        if OPERATIONS[operation].kind == "sum":
            self.additive.gold(operation, *operands)
        elif isinstance(unit := self._multiplying, NAC):
            unit._saturate(self.coefficients(operation, operands))
        else:
            unit.gold(operation, *operands)


class GNALU(NALU):
    r"""The :class:`NALU` with the golden ratio :math:`\varphi` instead of :math:`e` in tanh and sigmoid.

    .. math:: \sigma_\varphi(x) = 1 / (1 + \varphi^{-x}), \qquad
        \tanh_\varphi(x) = (\varphi^{2x} - 1) / (\varphi^{2x} + 1), \qquad \varphi = (1 + \sqrt 5) / 2

    Operations, regularizers, options and results at 0 are those of the NALU.

    References:
        Exploring Numerical Calculations with CalcNet (Rana, Malhi & Främling, ICTAI 2019),
        https://ieeexplore.ieee.org/document/8995315

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.

    >>> GNALU(2, 1).gold("div")(torch.tensor([3.0, 4.0])).round(decimals=4)
    tensor([0.7500], grad_fn=<RoundBackward1>)
    """

    _logarithm_of_base = LOG_PHI
