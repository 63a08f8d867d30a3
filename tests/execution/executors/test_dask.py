"""The executor for Dask, on real workers."""

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.execution.command import FIGURE, Command, trained_locally
from tests.execution.processes import rows, wait_until

from nalm.errors import NalmError
from nalm.execution.executors.dask import DaskSettings
from nalm.execution.executors.settings import ExecutorSettings, open_executor

WORKER = ("--nthreads", "1", "--no-nanny", "--no-dashboard")


@pytest.fixture(scope="module")
def local() -> list[str]:
    return trained_locally()


@contextlib.contextmanager
def dask(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command of Dask in its own process."""
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def scheduling() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start a scheduler; yield its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with dask("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard") as process:
        yield process, f"tcp://127.0.0.1:{port}"


@pytest.mark.slow
def test_another_worker_trains_the_shard_of_a_killed_worker(local: list[str], tmp_path: Path) -> None:
    results = tmp_path / "results"
    directories = [("--local-directory", str(tmp_path / name)) for name in ("first", "second")]
    with (
        scheduling() as (_, address),
        dask("dask_worker", address, *WORKER, *directories[0]) as first,
        dask("dask_worker", address, *WORKER, *directories[1]),
    ):
        with Command("run", *FIGURE, "--executor", "dask", "--dask-scheduler", address, "--out", results) as command:
            wait_until(lambda: len(list(results.glob("running/*.json"))) == 2)
            first.kill()
            command.ended()
        assert first.wait() < 0
    assert rows(results) == local
    assert not list((results / "running").iterdir())


@pytest.mark.slow
def test_a_local_cluster_trains_the_same_runs(local: list[str], tmp_path: Path) -> None:
    with Command("run", *FIGURE, "--executor", "dask", "--workers", 2, "--out", tmp_path / "results") as command:
        _, said = command.ended()
    assert "WARNING" not in said
    assert rows(tmp_path / "results") == local


@pytest.mark.slow
def test_the_workers_of_a_stopped_command_write_checkpoints(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with Command("run", *FIGURE, "--executor", "dask", "--workers", 2, "--out", results) as command:
        wait_until(lambda: len(list(results.glob("running/*.json"))) == 2)
        command.process.send_signal(signal.SIGTERM)
        command.ended(143)
    assert [path.suffix for path in (results / "running").iterdir()] == [".checkpoint"] * 2


@pytest.mark.slow
def test_losing_the_scheduler_ends_the_command(tmp_path: Path) -> None:
    results = tmp_path / "results"
    with (
        scheduling() as (process, address),
        dask("dask_worker", address, *WORKER),
        Command("run", *FIGURE, "--executor", "dask", "--dask-scheduler", address, "--out", results) as command,
    ):
        wait_until(lambda: bool(list(results.glob("running/*.json"))))
        process.kill()
        _, said = command.ended(2)
    assert "BrokenExecutor: the scheduler of Dask is lost" in said.splitlines()[-1]


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_wrong_input(tmp_path: Path) -> None:
    nowhere = ("--dask-scheduler", "tcp://127.0.0.1:1")
    with Command("run", *FIGURE, "--executor", "dask", *nowhere, "--out", tmp_path / "results") as command:
        _, said = command.ended(2)
    assert said.splitlines()[-1].startswith("nalm: found no scheduler of Dask at 'tcp://127.0.0.1:1': ")
    assert not (tmp_path / "results").exists()


def _listening() -> list[tuple[str, int]]:
    """Return the addresses at which this process and its children listen."""
    me = psutil.Process()
    open_ones = [each for process in (me, *me.children(recursive=True)) for each in process.net_connections()]
    return [tuple(each.laddr) for each in open_ones if each.status == psutil.CONN_LISTEN]


def _answer(address: tuple[str, int], tls: bool) -> bytes:
    """Return what a stranger is answered who asks for a page."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),
        socket.create_connection(address, timeout=10) as plain,
        context.wrap_socket(plain) if tls else plain as connection,
    ):
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return connection.recv(100)
    return b""


async def _connected(address: str, **arguments: Any) -> None:
    """Connect to a node of Dask as another process would, and shake hands."""
    from distributed.comm.core import connect

    comm = await connect(address, timeout=5, **arguments)
    await comm.close()


@pytest.mark.processes
def test_only_its_own_process_can_use_a_local_cluster_and_nothing_speaks_http() -> None:
    from distributed import Security
    from distributed.comm.core import CommClosedError

    before = set(_listening())
    with open_executor(ExecutorSettings(executor="dask"), 1) as executor:
        assert executor is not None
        assert executor.submit(abs, -1).result() == 1
        new = set(_listening()) - before
        assert len(new) == 3, "a scheduler, a worker, and the process that watches it"
        for address in new:
            assert address[0] == "127.0.0.1"
            assert _answer(address, tls=False) == _answer(address, tls=True) == b""
        scheduler = executor._client.scheduler.address  # type: ignore[attr-defined]
        assert scheduler.startswith("tls://")
        with pytest.raises(CommClosedError):
            asyncio.run(_connected(scheduler.replace("tls", "tcp")))
        with pytest.raises(CommClosedError):
            asyncio.run(_connected(scheduler, **Security.temporary().get_connection_args("client")))
        mine = executor._client.security.get_connection_args("client")  # type: ignore[attr-defined]
        asyncio.run(_connected(scheduler, **mine))


def test_the_error_says_how_to_install_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with (
        pytest.raises(NalmError, match=r"needs cryptography: pip install 'nalm\[dask\]'"),
        open_executor(ExecutorSettings(executor="dask"), 1),
    ):
        pass


def test_a_number_of_workers_is_refused_for_a_scheduler() -> None:
    settings = ExecutorSettings(executor="dask", dask=DaskSettings(scheduler="tcp://127.0.0.1:1"))
    with pytest.raises(NalmError, match="found 2 workers for a scheduler of Dask"), open_executor(settings, 2):
        pass


def test_the_error_says_how_to_install_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(NalmError, match=r"needs distributed: pip install 'nalm\[dask\]'"),
        open_executor(ExecutorSettings(executor="dask")),
    ):
        pass
