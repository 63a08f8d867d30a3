"""A criterion of one's own."""

from torch import Tensor


def mae(prediction: Tensor, target: Tensor, pcc_share: Tensor) -> Tensor:
    """Return the mean absolute error."""
    return (prediction - target).abs().mean()
