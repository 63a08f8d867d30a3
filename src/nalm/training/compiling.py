"""Compiling, where the machine can."""

import functools
import types
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

from nalm.training.notices import notices

__all__ = ["Compiled", "compile_once", "compiler_problem"]

P = ParamSpec("P")
R = TypeVar("R")


def compile_once(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function that is only ever called with tensors of the same shapes.

    Dynamo keeps a bounded number of graphs per code object, and past it runs eagerly with no more than a log line.
    A code object of its own for every compiled function keeps a worker that trains many recipes below that bound.
    """
    own_code = function.__code__.replace()
    own = types.FunctionType(
        own_code,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    return torch.compile(own, fullgraph=True, dynamic=False)


class Compiled(Generic[P, R]):
    """A compiled function that goes on eagerly, and says so, if it turns out that it cannot be compiled."""

    def __init__(self, function: Callable[P, R], name: str) -> None:
        self._eager = function
        self._call = compile_once(function)
        self._name = name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls it; the first call compiles."""
        try:
            return self._call(*args, **kwargs)
        except Exception as error:
            from torch._dynamo.exc import TorchDynamoException  # takes a second to import

            if not isinstance(error, TorchDynamoException):
                raise
            problem = str(error).strip().splitlines()[0]
            notices.add(f"{self._name} cannot be compiled ({problem}): it runs eagerly, many times slower")
            self._call = self._eager
            return self._call(*args, **kwargs)

    @property
    def compiled(self) -> bool:
        """Whether it is compiled, as far as is known."""
        return self._call is not self._eager


@functools.cache
def compiler_problem(device_type: str) -> str | None:
    """Why nothing can be compiled here, found by compiling one tiny kernel, or None."""
    try:
        compile_once(_probe)(torch.ones(16, device=device_type))
    except Exception as error:  # whatever the tool chain raises: no compiler, no headers, no writable cache
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return None


def _probe(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1
