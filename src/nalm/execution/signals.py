"""Interruption: stops training, after a checkpoint, on request of a person, the system or a job queue."""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["Interrupted", "Interruption", "interruption"]


class Interrupted(Exception):  # noqa: N818 – it is not an error
    """Training stopped because this process was asked to; a checkpoint holds the state of the shard."""


class Interruption:
    """Flag that asks this process to stop.

    A shard that is being trained then writes a checkpoint and raises `Interrupted`, within some iterations. An executor
    that runs ``train_shard`` elsewhere makes ``request`` the handler of the signal that its system sends, catches
    `Interrupted`, and submits the shard again.
    """

    def __init__(self) -> None:
        self.requested = False

    def request(self, *_: object) -> None:
        """Ask this process to stop; may be used as a signal handler."""
        self.requested = True

    def clear(self) -> None:
        """Withdraw the request, so that this process may train again."""
        self.requested = False

    def check(self) -> None:
        """Stop if this process was asked to.

        Raises:
            Interrupted: a stop was requested.
        """
        if self.requested:
            raise Interrupted("told to stop")

    @contextlib.contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Request a stop on SIGTERM within the context, unless the signal has a handler already."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return
        self.clear()
        signal.signal(signal.SIGTERM, self.request)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


interruption = Interruption()
