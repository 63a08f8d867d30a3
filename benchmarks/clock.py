"""Where time goes: how long functions take, apart from others that they call."""

import contextlib
import functools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["clocked"]


@contextlib.contextmanager
def clocked(parts: Mapping[str, tuple[Any, str]]) -> Iterator[tuple[dict[str, float], Counter[str]]]:
    """Seconds and calls of each part meanwhile; a part is a function by its owner and its name there."""
    seconds: dict[str, float] = defaultdict(float)
    calls: Counter[str] = Counter()
    nested = [0.0]

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            nested.append(0.0)
            start = time.perf_counter()
            result = function(*args, **kwargs)
            spent = time.perf_counter() - start
            seconds[part] += spent - nested.pop()
            nested[-1] += spent
            calls[part] += 1
            return result

        return call

    usual = {part: getattr(owner, name) for part, (owner, name) in parts.items()}
    for part, (owner, name) in parts.items():
        setattr(owner, name, timed(part, usual[part]))
    try:
        yield seconds, calls
    finally:
        for part, (owner, name) in parts.items():
            setattr(owner, name, usual[part])
