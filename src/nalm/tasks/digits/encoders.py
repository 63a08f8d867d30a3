"""Encoders: networks that turn images of digits into numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["DigitEncoder", "residual_encoder"]


class DigitEncoder(nn.Module):
    """Two convolutions and two linear layers that turn a grey image of 28 × 28 pixels into numbers.

    References:
        sequential tasks of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016

    Arguments:
        outputs: how many numbers an image becomes; one can be the digit itself.
    """

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(1, 20, 5)
        self.convolution2 = nn.Conv2d(20, 50, 5)
        self.linear1 = nn.Linear(800, 500)
        self.linear2 = nn.Linear(500, outputs)

    def reset_parameters(self) -> None:
        """Draw new initial parameters, layer by layer, as torch's layers do."""
        for layer in (self.convolution1, self.convolution2, self.linear1, self.linear2):
            layer.reset_parameters()

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(n, 1, 28, 28)`` to numbers ``(n, outputs)``."""
        features = nn.functional.max_pool2d(torch.relu(self.convolution1(images)), 2)
        features = nn.functional.max_pool2d(torch.relu(self.convolution2(features)), 2)
        result: Tensor = self.linear2(torch.relu(self.linear1(features.flatten(1))))
        return result


def residual_encoder(name: str, outputs: int = 1) -> nn.Module:
    """Build a residual network of torchvision, such as ``resnet18``, with random weights, for images in colour.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        from torchvision import models
    except ImportError:
        raise ImportError(f"{name} needs torchvision: pip install 'nalm[torchvision]'") from None
    make: Any = getattr(models, name)
    encoder: nn.Module = make(weights=None, num_classes=outputs)
    return encoder
