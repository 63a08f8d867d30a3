"""The training loss: a criterion plus weighted regularizers."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nalm.modules.base import ArithmeticModule
from nalm.spec.criteria import CRITERIA
from nalm.spec.recipe import PARAMETER_NORMS, Recipe

__all__ = [
    "Loss",
    "Objective",
    "SquaredError",
    "huber",
    "log_magnitude",
    "mape",
    "mse",
    "parameter_norm",
    "pcc",
    "pcc_then_mse",
    "symlog",
]


def mse(prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    r"""Return the mean squared error :math:`\overline{(y - t)^2}`."""
    return ((prediction - target) ** 2).mean()


def mape(prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    r"""Return the mean absolute percentage error :math:`\overline{|(t - y) / t|}`, as a fraction."""
    return ((target - prediction) / target).abs().mean()


def pcc(prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    r"""Return one minus Pearson's correlation coefficient.

    .. math:: 1 - \frac1n \sum \frac{y - \bar y}{s_y + e} \frac{t - \bar t}{s_t + e}

    with :math:`s = \sqrt{\max(\overline{(\cdot)^2}, e)}` of the centred values and :math:`e` the machine epsilon.
    """
    return 1 - (_standardized(prediction) * _standardized(target)).mean()


def pcc_then_mse(prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    """Return :func:`pcc` while ``pcc_share`` is 1, then :func:`mse`."""
    return torch.where(pcc_share > 0, pcc(prediction, target, pcc_share), mse(prediction, target, pcc_share))


def huber(prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    r"""Return the mean Huber loss, :math:`\frac12 d^2` for errors :math:`|d| \le 1`, else :math:`|d| - \frac12`."""
    error = (prediction - target).abs()
    return torch.where(error <= 1, error**2 / 2, error - 0.5).mean()


def log_magnitude(prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    r"""Return the mean squared difference of logarithms of magnitudes; signs don't count.

    .. math:: \overline{(\mathrm{asinh}(c |y|) - \mathrm{asinh}(c |t|))^2}, \qquad c = 10 / \exp(\overline{\ln |t|})

    The inverse hyperbolic sine is :math:`\ln 2z` for large and :math:`z` for small numbers, so zeros are allowed. The
    factor :math:`c` divides by the geometric mean of the batch's targets, so that their unit doesn't matter. Targets of
    0 are left out of that mean; if all are 0, :math:`c` is 10. Where the logarithm of the prediction is linear in the
    weights, as in a product of powers, this is nearly linear regression, whose loss is convex. It is for modules whose
    sign follows from their magnitude (:class:`~nalm.modules.PowerProduct`, :class:`~nalm.modules.MagnitudeNMRU`).
    """
    scale = _scale(target)
    return ((torch.asinh(scale * prediction.abs()) - torch.asinh(scale * target.abs())) ** 2).mean()


def symlog(prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    r"""Return the mean squared difference of symmetric logarithms, :func:`log_magnitude` with signs.

    .. math:: \overline{(\mathrm{asinh}(c y) - \mathrm{asinh}(c t))^2}

    with the same :math:`c`. Elsewhere, symlog is :math:`\mathrm{sgn}(z) \ln(1 + |z|)`, which is similar, but not free
    of scale.
    """
    scale = _scale(target)
    return ((torch.asinh(scale * prediction) - torch.asinh(scale * target)) ** 2).mean()


def _scale(target: Tensor) -> Tensor:
    """Return 10 divided by the geometric mean of the magnitudes of the targets that are not 0."""
    is_zero = target == 0
    logarithms = torch.log(torch.where(is_zero, 1.0, target.abs()))
    return 10 * torch.exp(-logarithms.sum() / (~is_zero).sum().clamp(min=1))


def _standardized(values: Tensor) -> Tensor:
    eps = torch.finfo(values.dtype).eps
    centred = values - values.mean()
    return centred / (torch.sqrt((centred**2).mean().clamp(min=eps)) + eps)


class Loss:
    """The training loss of a recipe's models.

    Arguments:
        recipe: names the criterion and the regularizers. Their coefficients arrive with each batch.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.criterion = CRITERIA[recipe.criterion]
        self.norms = [name for name in recipe.regularizers if name in PARAMETER_NORMS]
        self.terms = [name for name in recipe.regularizers if name not in PARAMETER_NORMS]
        self.conditional = {name for name, term in recipe.regularizers.items() if term.below is not None}

    def penalty(
        self,
        module: nn.Module,
        terms: Mapping[str, Tensor],
        scalars: Mapping[str, Tensor],
        validation_error: Tensor | None,
        zero: Tensor,
    ) -> Tensor:
        """Return the weighted sum of the regularizers.

        Arguments:
            module: the model, for the norms of its parameters.
            terms: values of the module's regularizers by name.
            scalars: coefficients by name, and as ``name.below`` the validation errors below which they apply.
            validation_error: the latest validation error, if a regularizer depends on it.
            zero: the scalar 0 in the model's precision and on its device.
        """

        def coefficient(name: str) -> Tensor:
            if name not in self.conditional:
                return scalars[name]
            assert validation_error is not None
            return torch.where(validation_error < scalars[f"{name}.below"], scalars[name], 0.0)

        penalty = zero
        for name in self.terms:
            penalty = penalty + coefficient(name) * terms[name]
        for name in self.norms:
            penalty = penalty + coefficient(name) * parameter_norm(name, module)
        return penalty


def parameter_norm(name: str, module: nn.Module) -> Tensor:
    """Return the sum of a norm over a module's parameters; ``name`` is one of ``PARAMETER_NORMS``."""
    return torch.stack([torch.linalg.vector_norm(value, PARAMETER_NORMS[name]) for value in module.parameters()]).sum()


class Objective(nn.Module):
    """The loss of one model on one batch, in training or in evaluation mode.

    Arguments:
        module: the model.
        recipe: decides the loss.
    """

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.module = module
        self.loss = Loss(recipe)

    def forward(
        self, x: Tensor, target: Tensor, scalars: Mapping[str, Tensor], per_run: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss, its criterion and its penalty: ``(rows, I)`` and ``(rows, 1)`` to scalars.

        ``per_run`` has values of this run alone: ``noise``, if the module has some, and ``validation_error``, if a
        regularizer depends on it.
        """
        prediction = self.module(x, per_run["noise"]) if "noise" in per_run else self.module(x)
        criterion = self.loss.criterion(prediction, target, scalars["pcc"])
        last_error = per_run.get("validation_error")
        penalty = self.loss.penalty(self.module, self._terms(x), scalars, last_error, x.new_zeros(()))
        return criterion + penalty, criterion, penalty

    def _terms(self, x: Tensor) -> Mapping[str, Tensor]:
        if not self.loss.terms:
            return {}
        assert isinstance(self.module, ArithmeticModule)
        return self.module.regularizers(x)


class SquaredError(nn.Module):
    """The mean squared error of one module in evaluation mode, for every criterion, without regularizers."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.eval()

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error: ``(rows, I)`` and ``(rows, 1)`` to a scalar."""
        prediction: Tensor = self.module(x)
        return ((prediction - target) ** 2).mean()
