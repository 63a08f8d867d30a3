"""Mass-conserving layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule, Inputs, choice, fraction
from nalm.modules.functional import SATURATED, binary_penalty, contract, selected_product

__all__ = ["MCFC", "MulMCFC"]


class MCFC(ArithmeticModule):
    r"""Distributes the mass of its inputs over its outputs. Discrete weights add every input to one output.

    .. math:: y = o \odot S x, \qquad S = \mathrm{softmax}_{\text{outputs}}(R), \qquad o = \sigma(w + b)

    With one output all inputs are added. With ``trash`` there is one more output, which is dropped, so that inputs can
    be ignored. All results and gradients are finite.

    Operations, with one output: ``add``, of all inputs or, with ``trash``, of any. Regularizers: ``weight``, the
    negative squared parameters, which rewards growth and has no lower bound.

    References:
        MC-LSTM: Mass-Conserving LSTM (Hoedt et al., ICML 2021), https://arxiv.org/abs/2101.05186

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        trash: whether there is one more output, which is dropped.

    >>> MCFC(2, 1).gold("add")(torch.tensor([3.0, -4.0])).detach()
    tensor([-1.])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        trash: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.trash = trash
        rows = out_features + trash
        self.junction = nn.Parameter(torch.empty(rows, in_features, **factory))
        self.gate_weight = nn.Parameter(torch.empty(rows, **factory))
        self.gate_bias = nn.Parameter(torch.empty(rows, **factory))
        _skip_drawn_gate(rows, factory)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw an orthogonal junction (the identity if it is square) and a gate weight of norm 1; biases are 0."""
        rows, columns = self.junction.shape
        self.gate_weight.copy_(_orthogonal(self.gate_weight, rows, 1).squeeze(1))
        self.gate_bias.zero_()
        if rows == columns:
            nn.init.eye_(self.junction)
        else:
            self.junction.copy_(_orthogonal(self.junction, columns, rows).T)

    def shares(self) -> Tensor:
        """Return the share of each input that goes to each output, ``(O, I)``."""
        return torch.softmax(self.junction, 0)[: self.out_features]

    def gates(self) -> Tensor:
        """Return the part of each output that its gate keeps, ``(O)``."""
        return torch.sigmoid(self.gate_weight + self.gate_bias)[: self.out_features]

    def effective_weights(self) -> dict[str, Tensor]:
        """Return shares and gates, including those of the trash."""
        return {
            "junction": torch.softmax(self.junction, 0),
            "gate": torch.sigmoid(self.gate_weight + self.gate_bias),
        }

    def sparsity_error(self) -> Tensor:
        """Return the mean of the largest distances from a discrete value, of shares and of gates."""
        return self._sparsity_errors().mean()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        return self.gates() * contract(x, self.shares())

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Sums, if there is one output: no input goes to two outputs."""
        return {"add": "real"} if self.out_features == 1 else {}

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``weight``, minus the mean squares of the parameters."""
        squares = [(parameter**2).mean() for parameter in (self.junction, self.gate_weight, self.gate_bias)]
        return {"weight": -torch.stack(squares).sum()}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Send operands to the output and other inputs to the trash, and open the gate.

        Raises:
            ValueError: as for other modules; or there are inputs to ignore and there is no trash.
        """
        name, chosen = type(self).__name__, self.coefficients(operation, operands) != 0
        if not self.trash and not chosen.all():
            raise ValueError(
                f"{name}: {operation} of {int(chosen.sum())} of {self.in_features} inputs leaves out some, "
                "expected all of them, or a module with trash=True"
            )
        chosen = chosen.to(self.junction.device)
        self.junction.fill_(-SATURATED)
        self.junction[0, chosen] = SATURATED
        if self.trash:
            self.junction[1, ~chosen] = SATURATED
        self.gate_weight.zero_()
        self.gate_bias.fill_(SATURATED)
        return self

    @torch.no_grad()
    def discretize(self) -> Self:
        """Send each input to the output that gets most of it, and open gates that are at least half open."""
        opened = self.gate_weight + self.gate_bias >= 0
        largest = self.junction.argmax(0, keepdim=True)
        self.junction.fill_(-SATURATED).scatter_(0, largest, SATURATED)
        self.gate_weight.zero_()
        self.gate_bias.copy_(torch.where(opened, SATURATED, -SATURATED))
        return self


class MulMCFC(ArithmeticModule):
    r"""Multiplies its inputs: a mass-conserving layer of logarithms.

    .. math:: y = \exp\big(\mathrm{MCFC}(\ln x) + c\big)

    This is NaN for a negative input (``sign="none"``). With a sign it is
    :math:`y = \exp(\mathrm{MCFC}(\ln |x|) + c) \odot s` with :math:`s_o = \prod_i (\mathrm{sgn}(x_i) S_{oi} + 1 -
    S_{oi})` (``inalu``) or :math:`s_o = \cos(\pi \sum_i S_{oi} \hat g_i [x_i < 0])` (``real_npu``). At an input of 0
    the logarithm is infinite and gradients are NaN, unless ``eps`` is given.

    Operations, with one output: ``mul``, of all inputs or, with ``trash``, of any. Regularizers: ``weight``, the
    negative squared parameters of the MCFC, and ``gate`` (``real_npu``).

    References:
        MC-LSTM: Mass-Conserving LSTM (Hoedt et al., ICML 2021), https://arxiv.org/abs/2101.05186, with a trash
        output; signs: the benchmark of A Primer for Neural Arithmetic Logic Modules (Mistry, Farrahi & Hare,
        JMLR 2022), https://arxiv.org/abs/2101.09530, without one

    Arguments:
        in_features: number of inputs :math:`I`.
        out_features: number of outputs :math:`O`.
        sign: how the sign of the result is computed: ``none``, ``inalu`` or ``real_npu``.
        trash: whether there is one more output, which is dropped.
        eps: if it is not 0, the logarithm is :math:`\ln(|x| + \mathrm{eps})`, so that results and gradients are finite.

    Raises:
        ValueError: an option has a value that is not listed here.

    >>> MulMCFC(2, 1, sign="inalu").gold("mul")(torch.tensor([3.0, -4.0])).round(decimals=4)
    tensor([-12.], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        sign: Literal["none", "inalu", "real_npu"] = "none",
        trash: bool = False,
        eps: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.sign = choice(self, "sign", sign, ("none", "inalu", "real_npu"))
        self.eps = fraction(self, "eps", eps)
        with torch.random.fork_rng(devices=[]):  # drawn once, by reset_parameters
            self.sum = MCFC(in_features, out_features, trash=trash, **factory)
        _skip_drawn_gate(out_features + trash, factory)
        self.bias = nn.Parameter(torch.empty(out_features, **factory))
        self.gate = nn.Parameter(torch.empty(in_features, **factory)) if sign == "real_npu" else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the sum's parameters; the bias starts at 0, the gates of the sign at 0.5."""
        self.sum.reset_parameters()
        self.bias.zero_()
        if self.gate is not None:
            self.gate.fill_(0.5)

    def effective_weights(self) -> dict[str, Tensor]:
        """Return shares, gates, bias, and the gates of the sign."""
        weights = self.sum.effective_weights() | {"bias": self.bias}
        return weights if self.gate is None else weights | {"sign_gate": self.gate.clamp(0, 1)}

    def sparsity_error(self) -> Tensor:
        """Return the mean of the largest distances of each effective weight from a discrete value."""
        return self._sparsity_errors().mean()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, ``(*, I)`` to ``(*, O)``."""
        magnitude = x if self.sign == "none" and not self.eps else x.abs()
        result = torch.exp(self.sum(torch.log(magnitude + self.eps if self.eps else magnitude)) + self.bias)
        shares = self.sum.shares()
        if self.sign == "inalu":
            return result * selected_product(torch.sign(x), shares)
        if self.gate is not None:
            return result * torch.cos(contract(torch.where(x < 0, torch.pi * self.gate.clamp(0, 1), 0.0), shares))
        return result

    @property
    def operations(self) -> Mapping[str, Inputs]:
        """Products, if there is one output."""
        valid: Inputs = "positive" if self.sign == "none" else "nonzero"
        return {"mul": valid} if self.out_features == 1 else {}

    @property
    def domain(self) -> dict[str, tuple[int, int]]:
        """Discrete values of the parameters."""
        return super().domain | {"bias": (0, 0)} | ({} if self.gate is None else {"gate": (0, 1)})

    def regularizers(self, inputs: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``weight``, minus the mean squares of the sum's parameters, and ``gate``, the distance from {0, 1}."""
        terms = self.sum.regularizers()
        return terms if self.gate is None else terms | {"gate": binary_penalty(self.gate)}

    @torch.no_grad()
    def gold(self, operation: str, *operands: int) -> Self:
        """Send operands to the output and other inputs to the trash, and open all gates.

        Raises:
            ValueError: as for other modules; or there are inputs to ignore and there is no trash.
        """
        coefficients = self.coefficients(operation, operands)
        self.sum.gold("add", *coefficients.nonzero().flatten().tolist())
        self.bias.zero_()
        if self.gate is not None:
            self.gate.fill_(1)
        return self


def _skip_drawn_gate(rows: int, factory: dict[str, Any]) -> None:
    """Draw and discard a gate, as the original's constructor does, so that a seed gives the same weights."""
    nn.Linear(1, rows, **factory)


def _orthogonal(like: Tensor, rows: int, columns: int) -> Tensor:
    """Draw an orthogonal matrix, in float32 if torch cannot do it in the precision of ``like``."""
    dtype = like.dtype if like.dtype == torch.float64 else torch.float32
    return nn.init.orthogonal_(like.new_empty(rows, columns, dtype=dtype))
