"""A Slurm cluster for tests: one node of two cores, with its own key, ports and directories."""

import contextlib
import os
import platform
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["missing", "slurm"]

CONFIGURATION = """\
ClusterName=nalm
SlurmctldHost={host}(127.0.0.1)
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=socket={munge}/socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/state/slurmctld.pid
SlurmdPidFile={home}/spool/slurmd.pid
SlurmctldLogFile={home}/state/slurmctld.log
SlurmdLogFile={home}/spool/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MpiDefault=none
SchedulerParameters=sched_min_interval=100000
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory={memory}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
SECONDS_TO_START = 60
SECONDS_TO_STOP = 20


def missing() -> str | None:
    """Return the reason why Slurm cannot start here, or None if it can."""
    absent = [name for name in ("munged", "slurmctld", "slurmd", "setpriv") if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed: make slurm"
    return None if os.getuid() == 0 else "starting slurmd needs root"


@contextlib.contextmanager
def slurm() -> Iterator[Path]:
    """Start munge, the controller and the node; yield the configuration file when jobs can run; stop them."""
    home = Path(tempfile.mkdtemp(prefix="nalm-slurm-"))
    munge, host = home / "munge", platform.node().partition(".")[0]
    for directory, owner in ((munge, "munge"), (home / "state", "slurm"), (home / "spool", "slurm")):
        directory.mkdir()
        shutil.chown(directory, owner, owner)
        directory.chmod(0o755)  # as munge requires
    home.chmod(0o755)
    key = munge / "key"
    key.touch(mode=0o400)
    key.write_bytes(secrets.token_bytes(1024))
    shutil.chown(key, "munge", "munge")
    configuration = home / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=host,
            home=home,
            munge=munge,
            controller_port=_free_port(),
            node_port=_free_port(),
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 // 2,
        )
    )
    as_munge = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
    files = [f"--{name}={munge}/{name.partition('-')[0]}" for name in ("socket", "key-file", "log-file", "pid-file")]
    commands = [
        [*as_munge, "munged", "--foreground", *files, f"--seed-file={munge}/seed"],
        ["slurmctld", "-D", "-f", str(configuration)],
        ["slurmd", "-D", "-f", str(configuration)],
    ]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            daemons.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            if len(daemons) == 1:
                _wait_until((munge / "socket").exists, home)
        _wait_until(lambda: "idle" in _ask(configuration, "sinfo", "--noheader", "--format=%T"), home)
        yield configuration
    finally:
        _ask(configuration, "scancel", "--user=root", "--signal=KILL", "--full")
        for daemon in reversed(daemons):  # each needs the earlier ones in order to end
            daemon.terminate()
            try:
                daemon.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(home, ignore_errors=True)


def _ask(configuration: Path, *command: str) -> str:
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=10).stdout
    return ""


def _wait_until(condition: Callable[[], bool], home: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while not condition():
        if time.monotonic() > end:
            logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in home.glob("*/*.log"))
            raise RuntimeError(f"Slurm does not start:\n{logs}")
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
        return port
