"""Tests for authors of arithmetic modules: :func:`check_module` checks what every module promises."""

from collections.abc import Callable
from typing import Any

import torch

from nalm.modules import ArithmeticModule
from nalm.testing.gold import check_gold
from nalm.testing.promises import PROMISES
from nalm.testing.subject import Subject, randomize_

__all__ = ["check_module", "randomize_"]


def check_module(
    module_class: Callable[..., ArithmeticModule], in_features: int = 3, out_features: int = 2, **options: Any
) -> None:
    """Check what every arithmetic module promises. It needs torch alone, and any test runner can call it.

    The random numbers of torch are as if nothing had been drawn.

    Arguments:
        module_class: the class, or a function that builds a module from the two sizes and the options.
        in_features: number of inputs of the modules that are checked.
        out_features: number of outputs of the modules that are checked. Gold weights are also checked with one output.
        options: options of the module.

    Raises:
        AssertionError: a promise is broken. The message names the class, what was expected and what was found.

    >>> from nalm.modules import NAU
    >>> check_module(NAU, init="beta")
    """
    name = getattr(module_class, "func", module_class).__name__
    subject = Subject(name, module_class, in_features, out_features, options)
    with torch.random.fork_rng(devices=[]):
        for promise in (*PROMISES, check_gold):
            try:
                promise(subject)
            except AssertionError:
                raise
            except Exception as error:  # calling the module runs its code, which can raise anything
                expected = (promise.__doc__ or "").removeprefix("Check ").removesuffix(".")
                subject.expect(False, expected, f"{type(error).__name__}: {error}", error)
