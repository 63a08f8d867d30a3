"""Calls that jobs of Slurm make, in the process of the job."""

import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nalm.execution.signals import Interrupted, interruption
from nalm.log import hide_warnings

if TYPE_CHECKING:
    import submitit

__all__ = ["Call", "Raised"]


@dataclass(frozen=True)
class Raised:
    """An exception that a function raised in a job. A note holds its traceback."""

    error: Exception


class Call:
    """The function that a job calls. A job that is told to stop writes a checkpoint of its shard first.

    When Slurm warns that the time limit is near, the job goes back into the queue. After SIGTERM (the job was cancelled
    or preempted) it ends, and Slurm decides whether to queue it again.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        """Call the function. Return its result, or a `Raised` that holds its exception."""
        hide_warnings()
        queue_again = signal.getsignal(signal.SIGUSR2)  # submitit's handler; submitit ignores SIGTERM
        received: list[int] = []

        def stop(number: int, _: object) -> None:
            received.append(number)
            interruption.request()

        for number in (signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, stop)
        try:
            return self.function(*arguments)
        except Interrupted:
            if signal.SIGTERM not in received and callable(queue_again):
                queue_again(signal.SIGUSR2, None)
            sys.exit(128 + signal.SIGTERM)
        except Exception as error:
            error.add_note(traceback.format_exc())
            return Raised(error)

    def checkpoint(self, *arguments: Any) -> "submitit.helpers.DelayedSubmission":
        """Return the call that submitit submits when it queues the job again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)
