"""An executor of one's own."""

from concurrent.futures import ThreadPoolExecutor

from pydantic import Field

from nalm.execution.executors.kind import ExecutorKind, Settings


class ThreadSettings(Settings):
    """Settings of the executor ``thread``."""

    name: str = Field("nalm", description="Name of the thread.")


def _open(settings: ThreadSettings, workers: int | None) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix=settings.name)


EXECUTOR = ExecutorKind(ThreadSettings, _open)
