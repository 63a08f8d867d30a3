"""Interruption: stops training, after a checkpoint, on request of a person, the system or a job queue."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["Interrupted", "Interruption", "interruption", "on_stops"]

STOPS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
"""Signals that ask a process to stop: from the system or a job queue, and from a terminal that is closed."""


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
        self.signal = signal.SIGTERM
        """The signal that asked last."""

    def request(self, number: int = signal.SIGTERM, *_: object) -> None:
        """Ask this process to stop; may be used as a signal handler."""
        self.signal = signal.Signals(number)
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
    def on_signals(self) -> Iterator[None]:
        """Request a stop on each of `STOPS` within the context, unless the signal has a handler or is ignored."""
        handled = on_stops(self.request)
        if handled:
            self.clear()
        try:
            yield
        finally:
            for number in handled:
                again = self.requested and number != signal.SIGTERM
                signal.signal(number, _stopping if again else signal.SIG_DFL)


def _stopping(*_: object) -> None:
    """Let a process that was told to stop end by itself. The shell and the system may both tell it about a terminal."""


def on_stops(handler: Callable[..., None]) -> list[signal.Signals]:
    """Handle each of `STOPS` that has no handler and is not ignored, as by ``nohup``; return which they are."""
    if threading.current_thread() is not threading.main_thread():
        return []
    free = [number for number in STOPS if signal.getsignal(number) in (signal.SIG_DFL, _stopping)]
    for number in free:
        signal.signal(number, handler)
    return free


interruption = Interruption()
