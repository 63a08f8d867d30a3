"""A Dask cluster on this machine that only its own process can use."""

from typing import Any

from distributed import Nanny, Scheduler, Security, SpecCluster, Worker

__all__ = ["private_cluster"]

HERE = "127.0.0.1"


class _NoPages:
    """A node without an HTTP server. Dask starts one even if no dashboard is asked for."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Start nothing."""


class _Scheduler(_NoPages, Scheduler):
    pass


class _Worker(_NoPages, Worker):
    pass


def private_cluster(workers: int, silence_logs: int) -> SpecCluster:
    """Start a scheduler and workers of one thread each, which listen on this machine only and speak TLS.

    Both sides of every connection must show a certificate that exists only in the memory of these processes. There is
    no HTTP server.

    Arguments:
        workers: number of worker processes.
        silence_logs: level of logging below which Dask says nothing.

    Raises:
        ImportError: cryptography, which makes the certificate, is not installed.
    """
    security = Security.temporary()
    node = {"host": HERE, "protocol": "tls://", "security": security}
    worker = {
        "cls": Nanny,
        "options": node | {"worker_class": _Worker, "nthreads": 1, "memory_limit": None, "silence_logs": silence_logs},
    }
    return SpecCluster(
        scheduler={"cls": _Scheduler, "options": node | {"port": 0, "dashboard": False}},
        workers=dict.fromkeys(range(workers), worker),
        security=security,
        silence_logs=silence_logs,
    )
