"""Neural arithmetic logic units: a gate that chooses between a sum and a product."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs, choice, fraction
from nalm.modules.functional import SATURATED, Shape, contract, glorot_limit
from nalm.modules.units.nac import LOG_EPS, LOG_PHI, NAC, log_magnitude
from nalm.modules.units.nau import NAU
from nalm.modules.units.nmu import NMU, SigmaNMU

__all__ = ["GNALU", "NALU", "GatedNAUNMU"]

_ADDITIONS = ("add", "sub")
_STEEP = 1e6
"""Gate weight beyond which a gate that depends on its inputs is a step (for sums above 1e-4 it is 0 or 1)."""


class _GatedUnit(ArithmeticModule):
    """An additive unit, a multiplicative computation, and the gates that mix them."""

    additive: ArithmeticModule
    _logarithm_of_base: ClassVar[float] = 1.0
    """Natural logarithm of the base of the powers in sigmoid and tanh."""

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
        """Weight and bias of the additive path's gate and, if there is one, of the multiplicative path's."""
        first = (self.gate_weight, self.gate_bias)
        return [first] if self.second_gate_weight is None else [first, (self.second_gate_weight, self.second_gate_bias)]

    @abstractmethod
    def _multiply(self, x: Tensor) -> Tensor:
        """The multiplicative path, ``(*, I)`` to ``(*, O)``."""

    @abstractmethod
    def _set_gold(self, operation: str, operands: tuple[int, ...]) -> None:
        """Sets the weights of the path that computes the operation."""

    @torch.no_grad()
    def reset_parameters(self) -> None:
        r"""Draws the units' parameters, then gates within :math:`\pm\sqrt{6 / (I + O)}`; biases start at 0."""
        for _, part in self._parts():
            part.reset_parameters()
        limit = glorot_limit(self.in_features, self.out_features)
        for weight, bias in self._gates_parameters():
            weight.uniform_(-limit, limit)
            if bias is not None:
                bias.zero_()

    def noise_shape(self, inputs: torch.Size) -> tuple[int, ...] | None:
        """For each gate a number per output, or per row and output, if the gates are random."""
        if self.gate == "sigmoid":
            return None
        return (len(self._gates_parameters()), *(inputs[:-1] if self.gate == "row_gumbel" else ()), self.out_features)

    def gates(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Shares of the additive and of the multiplicative path, ``(*, O)`` each, random only if noise is given."""
        first, second = (None, None) if noise is None else noise[[0, -1]]
        added = self._gate(x, self.gate_weight, self.gate_bias, first)
        if self.second_gate_weight is None:
            return added, 1 - added
        return added, self._gate(x, self.second_gate_weight, self.second_gate_bias, second)

    def _gate(self, x: Tensor, weight: Tensor, bias: Tensor | None, noise: Tensor | None) -> Tensor:
        logit = contract(x, weight)
        if bias is not None:
            logit = logit + bias
        if noise is not None:  # one Gumbel variable, whose mean is not 0, as in the original
            logit = logit - torch.log(-torch.log(noise + 1e-8) + 1e-8)
        return torch.sigmoid(logit * self._logarithm_of_base)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Shape: ``(*, I)`` to ``(*, O)``; ``noise``, from U[0, 1), as ``noise_shape`` says."""
        if self.gate == "sigmoid" or not self.training:
            noise = None
        elif noise is None:
            noise = self._uniform(x)
        added, multiplied = self.gates(x, noise)
        result: Tensor = added * self.additive(x) + multiplied * self._multiply(x)
        return result

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """The units' terms, added; ``gate``: distance of the gates, without noise, of all rows from {0, 1}, summed."""
        terms: dict[str, Tensor] = {}
        for name, part in self._parts():
            for term, value in part.regularizers(None if inputs is None else self._inputs_of(name, inputs)).items():
                terms[term] = terms[term] + value if term in terms else value
        if inputs is not None:
            both = self.gates(inputs)[: len(self._gates_parameters())]
            terms["gate"] = torch.stack([(gate**2 * (1 - gate) ** 2).sum() for gate in both]).sum()
        return terms

    def _inputs_of(self, part: str, inputs: Tensor) -> Tensor:
        """What a unit is applied to, when the module is applied to the inputs."""
        return inputs

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Sets the weights of one path, and opens its gate and shuts the other's: by the bias if there is one, else for
        positive operands.
        """
        coefficients = self.coefficients(operation, operands)
        self._set_gold(operation, operands)
        towards = 1.0 if operation in _ADDITIONS else -1.0
        for (weight, bias), sign in zip(self._gates_parameters(), (towards, -towards), strict=False):
            if bias is None:
                weight.copy_((sign * _STEEP * (coefficients != 0)).expand_as(weight))
            else:
                weight.zero_()
                bias.fill_(sign * SATURATED)
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Rounds the units' weights, and makes each gate a step where it was 1/2."""
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


class NALU(_GatedUnit):
    r"""Adds or multiplies, as a gate on its inputs decides: the neural arithmetic logic unit.

    .. math:: y = g \odot a + (1 - g) \odot m, \quad a = W x, \quad m = \exp(W \ln(|x| + \varepsilon)), \quad
        g = \sigma(G x)

    with :math:`W = \tanh(\hat W) \, \sigma(\hat M)`. Products lose the sign of the inputs, and without a bias the gate
    depends on it. Multiplication may be another: ``safe``, :math:`\exp(W \ln(|x - 1| + 1))`, the same for inputs from 1
    on; ``trig``, :math:`\sinh(W \ln(x + \sqrt{x^2 + 1} + \varepsilon))`, which only resembles a product; ``nmu``, a
    unit of its own, :class:`SigmaNMU`. An input of 0 counts as :math:`\varepsilon`; gradients are finite for every sign
    (``trig``: unless :math:`x` is so negative that :math:`x + \sqrt{x^2 + 1}` is rounded to 0). With shared weights, a
    path that is shut is computed all the same: a sum of many large numbers gives NaN where their product overflows.

    Operations: ``add``, ``sub``, for positive inputs or, with ``bias``, for all; ``mul``, ``div``, ``reciprocal``,
    ``root`` of positive inputs (``log``), of inputs from 1 on (``safe``); ``mul`` (``nmu``). Regularizers: ``gate`` and
    ``input``, where the batch is given.

    References:
        Neural Arithmetic Logic Units (Trask et al., NeurIPS 2018), https://arxiv.org/abs/1808.00508;
        options: Measuring Arithmetic Extrapolation Performance (Madsen & Johansen, 2019),
        https://arxiv.org/abs/1910.01888

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        separate: whether the multiplicative path has weights of its own (``nmu`` always has).
        two_gates: whether the multiplicative path has a gate of its own, instead of :math:`1 - g`.
        bias: whether gates have a bias.
        multiplication: how it multiplies, ``log``, ``safe``, ``trig`` or ``nmu``.
        gate: ``sigmoid``, or with a random number added to its logit in training: ``gumbel``, one for each output;
            ``row_gumbel``, one for each row and output.
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
        """The unit of the multiplicative path, which may be the additive one."""
        return self.additive if self.multiplicative is None else self.multiplicative

    def _multiply(self, x: Tensor) -> Tensor:
        result: Tensor = self._multiplying(self._transformed(x))
        if self.multiplication == "nmu":
            return result
        return torch.sinh(result) if self.multiplication == "trig" else torch.exp(result)

    def _transformed(self, x: Tensor) -> Tensor:
        """What the multiplicative path adds up."""
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
        """Sums, and what the multiplication does exactly."""
        sums: Inputs = "positive" if self.gate_bias is None else "real"
        if self.multiplication in ("trig", "nmu"):
            return dict.fromkeys(("add", "sub", *["mul"] * (self.multiplication == "nmu")), sums)
        products: Inputs = "positive" if self.multiplication == "log" else "at least 1"
        return {"add": sums, "sub": sums} | dict.fromkeys(("mul", "div", "reciprocal", "root"), products)

    def _set_gold(self, operation: str, operands: tuple[int, ...]) -> None:
        if operation in _ADDITIONS:
            self.additive.gold(operation, *operands)
        elif isinstance(unit := self._multiplying, NAC):
            unit._saturate(self.coefficients(operation, operands))
        else:
            unit.gold(operation, *operands)


class GNALU(NALU):
    r"""The golden ratio's :class:`NALU`: tanh and sigmoid are made of powers of :math:`\varphi` instead of :math:`e`.

    .. math:: \sigma_\varphi(x) = 1 / (1 + \varphi^{-x}), \qquad
        \tanh_\varphi(x) = (\varphi^{2x} - 1) / (\varphi^{2x} + 1), \qquad \varphi = (1 + \sqrt 5) / 2

    Operations, regularizers, options and behaviour at 0 are the NALU's.

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


class GatedNAUNMU(_GatedUnit):
    r"""A gate chooses between the :class:`NAU`'s sum and the :class:`NMU`'s product.

    .. math:: y = g \odot \mathrm{NAU}(x) + (1 - g) \odot \mathrm{NMU}(x), \qquad g = \sigma(G x)

    Operations: ``add``, ``sub``, ``mul``, for positive inputs or, with ``bias``, for all. Regularizers: ``weight``,
    ``out_of_bounds``, and ``gate`` and ``input``, where the batch is given. All results and gradients are finite.

    References:
        as an ablation in Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        two_gates: whether the multiplicative path has a gate of its own, instead of :math:`1 - g`.
        bias: whether gates have a bias.
        gate: as in :class:`NALU`.
        out_of_bounds: as in :class:`NAU` and :class:`NMU`.
        shape: of the units' regularizers, ``linear``, ``squared`` or ``none``.

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
        unit = self.additive if operation in _ADDITIONS else self.multiplicative
        unit.gold(operation, *operands)
