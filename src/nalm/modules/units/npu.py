"""Neural power units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs, choice, fraction
from nalm.modules.functional import (
    EPS32,
    binary_penalty,
    contract,
    glorot_limit,
    nearest,
    nearest_power,
    ternary_penalty,
)

__all__ = ["NPU", "NaiveNPU", "RealNPU", "RealNaiveNPU"]


class _PowerUnit(ArithmeticModule):
    """The base of the power units: real exponents, and in some of them imaginary exponents and a gate."""

    has_imaginary: ClassVar[bool] = False
    has_gate: ClassVar[bool] = False
    imaginary: nn.Parameter | None
    gate: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        init: Literal["xavier", "constrained"] = "xavier",
        clip: Literal["none", "weight", "gate", "both", "all"] = "none",
        attract: Literal["signs", "ternary"] = "signs",
        eps: float = EPS32,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.init = choice(self, "init", init, ("xavier", "constrained"))
        clips = ["none", "weight", *["gate", "both"] * self.has_gate, *["all"] * (self.has_gate and self.has_imaginary)]
        self.clip = choice(self, "clip", clip, clips)
        self.attract = choice(self, "attract", attract, ("signs", "ternary"))
        self.eps = fraction(self, "eps", eps)
        exponents = (out_features, in_features)
        self.weight = nn.Parameter(torch.empty(exponents, **factory))
        self.imaginary = nn.Parameter(torch.empty(exponents, **factory)) if self.has_imaginary else None
        self.gate = nn.Parameter(torch.empty(in_features, **factory)) if self.has_gate else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw weights in the original's order, input by input; imaginary parts start at 0, gates at 0.5."""
        limit = glorot_limit(self.in_features, self.out_features)
        if self.init == "constrained":
            limit = min(0.5, limit)
        drawn = self.weight.new_empty(self.in_features, self.out_features).uniform_(-limit, limit)
        self.weight.copy_(drawn.T)
        if self.imaginary is not None:
            self.imaginary.zero_()
        if self.gate is not None:
            self.gate.fill_(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        magnitude = x.abs() + self.eps
        if self.gate is None:
            log_magnitude = torch.log(magnitude)
            phase = (x < 0).to(x.dtype) * math.pi
        else:
            gate = self.gate.clamp(0, 1)
            log_magnitude = torch.log(gate * magnitude + (1 - gate))
            phase = torch.where(x < 0, math.pi * gate, 0.0)
        power = contract(log_magnitude, self.weight)
        angle = contract(phase, self.weight)
        if self.imaginary is not None:
            power = power - contract(phase, self.imaginary)
            angle = angle + contract(log_magnitude, self.imaginary)
        return torch.exp(power) * torch.cos(angle)

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products of powers, without squares if weights are clamped to [-1, 1]."""
        powers: dict[str, Inputs] = {"mul": "real", "div": "nonzero", "reciprocal": "nonzero"}
        squares: dict[str, Inputs] = {} if "weight" in self.bounds() else {"squared": "real"}
        return powers | squares | {"root": "positive"}

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """Discrete values of the parameters."""
        domain = {"weight": (-1, 1), "imaginary": (0, 0), "gate": (0, 1)}
        return {name: values for name, values in domain.items() if getattr(self, name) is not None}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Return the bounds of the weights, gates and imaginary parts that ``clip`` names."""
        clipped = {
            "weight": self.clip in ("weight", "both", "all"),
            "gate": self.clip in ("gate", "both", "all"),
            "imaginary": self.clip == "all",
        }
        limits = {"weight": (-1.0, 1.0), "gate": (0.0, 1.0), "imaginary": (-1.0, 1.0)}
        return {name: limits[name] for name, chosen in clipped.items() if chosen}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``weight``, the distance from the values that ``attract`` names, and ``gate``, from {0, 1}."""
        weight = (1 - self.weight.abs()).abs().mean() if self.attract == "signs" else ternary_penalty(self.weight)
        if self.clip == "all":
            assert self.imaginary is not None
            weight = weight + self.imaginary.abs().sum()
        return {"weight": weight} | ({} if self.gate is None else {"gate": binary_penalty(self.gate)})

    def effective_weights(self) -> dict[str, Tensor]:
        """Return the real and imaginary exponents."""
        weights: dict[str, Tensor] = {"weight": self.weight}
        return weights if self.imaginary is None else weights | {"imaginary": self.imaginary}

    def sparsity_error(self) -> Tensor:
        """Return the largest distance of a real exponent from a discrete value plus that of an imaginary one."""
        return self._sparsity_errors().sum()

    @torch.no_grad()
    def discretize(self) -> Self:
        """Round to the domain. An unbounded weight within 0.1 of another multiple of 1/2 becomes that root or power."""
        weight = nearest(self.weight, -1, 1) if "weight" in self.bounds() else nearest_power(self.weight)
        super().discretize()
        self.weight.copy_(weight)
        return self

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Set exponents as weights, and gates of 1 where the exponent is not 0."""
        exponents = self.coefficients(operation, operands)
        self.weight.copy_(exponents.expand_as(self.weight))
        if self.imaginary is not None:
            self.imaginary.zero_()
        if self.gate is not None:
            self.gate.copy_(exponents != 0)
        return self


class RealNPU(_PowerUnit):
    r"""Multiplies powers of the inputs that its gate lets through: products, quotients, roots, powers.

    .. math:: y_o = \exp\Big(\sum_i W_{oi} \ln r_i\Big) \cos\Big(\sum_i W_{oi} k_i\Big)

    with :math:`r_i = \hat g_i (|x_i| + \varepsilon) + 1 - \hat g_i`, :math:`k_i = \pi \hat g_i [x_i < 0]` and
    :math:`\hat g = \min(\max(g, 0), 1)`. A gate of 0 ignores its input. Because of :math:`\varepsilon`, the relative
    error of results is up to :math:`\varepsilon / |x|`. Gates outside :math:`[0, 1]` get no gradient. An input of 0
    counts as :math:`\varepsilon`; all gradients are finite.

    Operations: ``mul``, ``div``, ``reciprocal``, ``squared``, ``root``. Regularizers: ``weight``, ``gate``.

    References:
        Neural Power Units (Heim, Pevný & Šmídl, NeurIPS 2020), https://arxiv.org/abs/2006.01681;
        clipping, discretization and constrained initialization: Learning Division with Neural Arithmetic Logic
        Modules (Mistry, Farrahi & Hare, 2021), https://arxiv.org/abs/2110.05177

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        init: distribution of the initial weights, uniform within :math:`\pm\sqrt{6 / (I + O)}` (``xavier``) or within
            :math:`\pm\min(0.5, \sqrt{6 / (I + O)})` (``constrained``).
        clip: what a projection clamps: ``weight`` to :math:`[-1, 1]`, ``gate`` to :math:`[0, 1]`, ``both`` or ``none``.
        attract: values towards which the ``weight`` regularizer pulls: :math:`\{-1, 1\}` (``signs``) or
            :math:`\{-1, 0, 1\}` (``ternary``).
        eps: :math:`\varepsilon`, added to every magnitude.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> module = RealNPU(2, 1).gold("div")
    >>> module(torch.tensor([3.0, -4.0])).round(decimals=4)
    tensor([-0.7500], grad_fn=<RoundBackward1>)
    """

    has_gate = True
    gate: nn.Parameter


class NPU(_PowerUnit):
    r"""Multiplies complex powers of the inputs that its gate lets through, and keeps the real part.

    .. math:: y_o = \exp\Big(\sum_i W_{oi} \ln r_i - V_{oi} k_i\Big) \cos\Big(\sum_i W_{oi} k_i + V_{oi} \ln r_i\Big)

    with :math:`r`, :math:`k` and the gate of :class:`RealNPU`. The two are equal while the imaginary exponents
    :math:`V` are 0, as they are initially.

    Operations: ``mul``, ``div``, ``reciprocal``, ``squared``, ``root``. Regularizers: ``weight``, ``gate``.

    References:
        Neural Power Units (Heim, Pevný & Šmídl, NeurIPS 2020), https://arxiv.org/abs/2006.01681;
        clipping and discretization: Learning Division with Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare,
        2021), https://arxiv.org/abs/2110.05177

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        init: as in :class:`RealNPU`.
        clip: as in :class:`RealNPU`; ``all`` clamps the imaginary exponents to :math:`[-1, 1]` too, and adds the sum of
            their magnitudes to the ``weight`` regularizer.
        attract: as in :class:`RealNPU`.
        eps: :math:`\varepsilon`, added to every magnitude.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NPU(2, 1).gold("mul")(torch.tensor([3.0, -4.0])).round(decimals=4)
    tensor([-12.], grad_fn=<RoundBackward1>)
    """

    has_imaginary = True
    has_gate = True
    imaginary: nn.Parameter
    gate: nn.Parameter


class RealNaiveNPU(_PowerUnit):
    r"""The :class:`RealNPU` without a gate: an exponent of 0 ignores its input.

    .. math:: y_o = \exp\Big(\sum_i W_{oi} \ln (|x_i| + \varepsilon)\Big) \cos\Big(\pi \sum_i W_{oi} [x_i < 0]\Big)

    Operations: ``mul``, ``div``, ``reciprocal``, ``squared``, ``root``. Regularizers: ``weight``.

    References:
        Neural Power Units (Heim, Pevný & Šmídl, NeurIPS 2020), https://arxiv.org/abs/2006.01681, and their Julia
        package NeuralArithmetic.jl

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        init: as in :class:`RealNPU`.
        clip: whether a projection clamps the weights to :math:`[-1, 1]` (``weight``) or not (``none``).
        attract: as in :class:`RealNPU`.
        eps: :math:`\varepsilon`, added to every magnitude.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> RealNaiveNPU(2, 1).gold("reciprocal")(torch.tensor([4.0, -7.0])).round(decimals=4)
    tensor([0.2500], grad_fn=<RoundBackward1>)
    """


class NaiveNPU(_PowerUnit):
    r"""The :class:`NPU` without a gate.

    .. math:: y_o = \mathrm{Re} \prod_i \big(|x_i| + \varepsilon\big)^{W_{oi} + \mathrm{i} V_{oi}}
        e^{\mathrm{i} \pi [x_i < 0] (W_{oi} + \mathrm{i} V_{oi})}

    Operations: ``mul``, ``div``, ``reciprocal``, ``squared``, ``root``. Regularizers: ``weight``.

    References:
        Neural Power Units (Heim, Pevný & Šmídl, NeurIPS 2020), https://arxiv.org/abs/2006.01681, and their Julia
        package NeuralArithmetic.jl

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        init: as in :class:`RealNPU`.
        clip: whether a projection clamps the real exponents to :math:`[-1, 1]` (``weight``) or not (``none``).
        attract: as in :class:`RealNPU`.
        eps: :math:`\varepsilon`, added to every magnitude.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> NaiveNPU(2, 1).gold("div")(torch.tensor([3.0, -4.0])).round(decimals=4)
    tensor([-0.7500], grad_fn=<RoundBackward1>)
    """

    has_imaginary = True
    imaginary: nn.Parameter
