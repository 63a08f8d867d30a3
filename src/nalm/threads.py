"""Number of threads that torch uses."""

import contextlib
from collections.abc import Iterator

__all__ = ["one_thread"]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread in the ``with`` block.

    Sums then have the same order on every machine. It also avoids nested thread pools and threads that wait for each
    other.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
