"""Being told to stop: by a person, by the system, or by a queue that wants the machine back."""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["Interrupted", "Interruption", "interruption"]


class Interrupted(Exception):  # noqa: N818 – it is what was asked for
    """Training stopped because this process was told to; what it had come to is in a checkpoint."""


class Interruption:
    """Whether this process has been told to stop.

    A shard that is being trained then writes a checkpoint and raises `Interrupted`, within some iterations. Whatever
    runs ``train_shard`` somewhere else makes ``request`` the handler of the signal by which its system says that time
    is up, catches `Interrupted`, and queues the shard again.
    """

    def __init__(self) -> None:
        self.requested = False

    def request(self, *_: object) -> None:
        """Asks for it; a handler of signals."""
        self.requested = True

    def take_back(self) -> None:
        """Goes on, in a process that trains for others later."""
        self.requested = False

    def check(self) -> None:
        """Stops if that was asked for.

        Raises:
            Interrupted: it was.
        """
        if self.requested:
            raise Interrupted("told to stop")

    @contextlib.contextmanager
    def by_sigterm(self) -> Iterator[None]:
        """Has SIGTERM ask for it meanwhile, unless somebody else listens to that signal."""
        mine = threading.current_thread() is threading.main_thread()
        if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return
        self.take_back()
        signal.signal(signal.SIGTERM, self.request)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


interruption = Interruption()
