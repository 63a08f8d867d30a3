"""What a single model minimizes on one batch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule
from nalm.spec.recipe import PARAMETER_NORMS, Recipe

__all__ = ["Objective", "SquaredError", "criterion", "parameter_norm"]


def criterion(name: str, prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    r"""Training criterion over all elements of a batch.

    ``mse``: :math:`\overline{(y - t)^2}`; ``mape``: :math:`\overline{|(t - y) / t|}`, a fraction;
    ``pcc``: :math:`1 - \frac1n \sum \frac{y - \bar y}{s_y + e} \frac{t - \bar t}{s_t + e}` with
    :math:`s = \sqrt{\max(\overline{(\cdot)^2}, e)}` and :math:`e` the machine epsilon;
    ``pcc_then_mse``: ``pcc`` while ``pcc_share`` is 1, then ``mse``.
    """
    if name == "mse":
        return ((prediction - target) ** 2).mean()
    if name == "mape":
        return ((target - prediction) / target).abs().mean()
    pcc = 1 - _correlation(prediction, target)
    if name == "pcc":
        return pcc
    return torch.where(pcc_share > 0, pcc, ((prediction - target) ** 2).mean())


def _correlation(prediction: Tensor, target: Tensor) -> Tensor:
    eps = torch.finfo(prediction.dtype).eps

    def standardize(values: Tensor) -> Tensor:
        centred = values - values.mean()
        return centred / (torch.sqrt((centred**2).mean().clamp(min=eps)) + eps)

    return (standardize(prediction) * standardize(target)).mean()


class Objective(nn.Module):
    """Criterion plus weighted regularizers of one module, in training or in evaluation mode.

    Arguments:
        module: the model.
        recipe: its criterion and which regularizers it has; their coefficients arrive with each batch.
    """

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.module = module
        self.criterion = recipe.criterion
        self.norms = [name for name in recipe.regularizers if name in PARAMETER_NORMS]
        self.terms = [name for name in recipe.regularizers if name not in PARAMETER_NORMS]
        self.conditional = {name for name, term in recipe.regularizers.items() if term.below is not None}

    def forward(
        self, x: Tensor, target: Tensor, scalars: Mapping[str, Tensor], own: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Total loss, criterion, and weighted sum of the regularizers: ``(rows, I)``, ``(rows, 1)`` to scalars.

        ``own`` is what this model alone has: ``noise``, if it takes some, and ``validation_error``, if a term asks.
        """
        prediction = self.module(x, own["noise"]) if "noise" in own else self.module(x)
        loss = criterion(self.criterion, prediction, target, scalars["pcc"])
        penalty = self.penalty(x, scalars, own)
        return loss + penalty, loss, penalty

    def penalty(self, x: Tensor, scalars: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum of the regularizers."""

        def coefficient(name: str) -> Tensor:
            if name not in self.conditional:
                return scalars[name]
            return torch.where(own["validation_error"] < scalars[f"{name}.below"], scalars[name], 0.0)

        penalty = x.new_zeros(())
        if self.terms:
            assert isinstance(self.module, ArithmeticModule)
            values = self.module.regularizers(x)
            for name in self.terms:
                penalty = penalty + coefficient(name) * values[name]
        for name in self.norms:
            penalty = penalty + coefficient(name) * parameter_norm(name, self.module)
        return penalty


def parameter_norm(name: str, module: nn.Module) -> Tensor:
    """Sum of a norm over a module's parameters; ``name`` is one of ``PARAMETER_NORMS``."""
    return torch.stack([torch.linalg.vector_norm(value, PARAMETER_NORMS[name]) for value in module.parameters()]).sum()


class SquaredError(nn.Module):
    """Error of one module in evaluation mode, which has no regularizers whatever the criterion is."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.eval()

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Mean squared error: ``(rows, I)``, ``(rows, 1)`` to a scalar."""
        prediction: Tensor = self.module(x)
        return ((prediction - target) ** 2).mean()
