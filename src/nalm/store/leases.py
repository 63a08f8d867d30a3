"""Leases: which process trains a shard, as everybody sees from the results directory.

A lease is a directory ``running/<shard>.lease`` that holds one directory, named after its owner. All of it rests on
renaming directories, which succeeds or fails as a whole, on network file systems too:

* A lease is taken by renaming one that was prepared into its place, which fails where somebody has it.
* Its owner counts heartbeats in it. Another process looks at the count and at its own monotonic clock, and believes the
  owner dead once the count has stood still for as long as its patience lasts; clocks are never compared.
* It is taken away by renaming the owner's directory, so that one process succeeds, and never with another owner.
* What an owner has to publish is written into its own directory first and renamed out of it: an owner that lost the
  lease, and does not know it yet, fails.
"""

import contextlib
import errno
import functools
import json
import os
import platform
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from nalm.errors import NalmError
from nalm.paths import write_atomically

__all__ = ["Holder", "Lease", "LeaseLost", "LeaseWatcher", "acquire", "find_holder", "locked"]

PATIENCE = 60.0
"""Seconds without a heartbeat after which an owner is believed dead; the environment's ``NALM_PATIENCE`` overrides it.

File systems of clusters may show a change half a minute late.
"""
BEATS = 12
"""Heartbeats within that time."""
LONGEST_BEAT = 5.0
"""Seconds from one heartbeat to the next, however patient this process is: others may be less so."""
HEARTBEAT = "heartbeat"
UNKNOWN = "unknown"
"""Stands for an owner that cannot be read at the moment; no owner is called so."""


class LeaseLost(Exception):  # noqa: N818 – it is not an error, and nobody but the owner hears of it
    """Another process believed the owner of a lease dead and took it away."""


class Holder(NamedTuple):
    """Who holds a lease, and its latest heartbeat."""

    owner: str
    heartbeat: bytes

    @property
    def about(self) -> dict[str, Any]:
        """``host`` and ``pid`` of the owner, and more; empty if that cannot be read at the moment."""
        with contextlib.suppress(ValueError):
            about = json.loads(self.heartbeat)
            if isinstance(about, dict):
                return about
        return {}

    @property
    def is_dead(self) -> bool:
        """Whether it was a process of this machine that is no more; of others only their heartbeat tells."""
        about = self.about
        pid = about.get("pid")
        if _place() is None or about.get("place") != _place() or not isinstance(pid, int) or pid <= 0:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it is somebody else's
            return False
        return _process(pid) not in (None, about.get("process"))


class Lease:
    """A lease that this process owns, for as long as it is entered: a thread counts heartbeats.

    Arguments:
        path: of the lease.
        owner: name of its owner.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self.owner = owner
        self.lost = False
        self._own = path / owner
        self._beats = 0
        self._pause = min(LONGEST_BEAT, _patience() / BEATS)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name=f"lease {path.stem}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        _take_away(self.path, self.owner)

    def write(self, path: Path, content: bytes, durable: bool = True) -> None:
        """Writes a file atomically, if the lease is still there.

        Raises:
            LeaseLost: it is not.
            OSError: the file cannot be written.
        """
        try:
            write_atomically(path, content, self._own, durable)
        except FileNotFoundError as error:
            if self._own.is_dir():
                raise
            self.lost = True
            raise LeaseLost(self.path.name) from error

    def heartbeat(self) -> bytes:
        """The next heartbeat."""
        self._beats += 1
        pid = os.getpid()
        about = {"host": platform.node(), "pid": pid, "process": _process(pid), "place": _place(), "beats": self._beats}
        return json.dumps(about).encode()

    def _keep_beating(self) -> None:
        while not self._ended.wait(self._pause):
            try:
                with (self._own / HEARTBEAT).open("r+b") as file:  # in place: takes no room, and never creates it
                    file.write(self.heartbeat())
            except FileNotFoundError:
                self.lost = True
                return
            except OSError:  # whatever a disk may say: should it last, others will believe this process dead
                continue


def find_holder(path: Path) -> Holder | None:
    """Who holds the lease, if anybody does."""
    try:
        owners = os.listdir(path)
    except FileNotFoundError:
        return None
    except OSError:  # what a network file system may say at times
        return Holder(UNKNOWN, b"")
    for owner in owners:
        try:
            return Holder(owner, (path / owner / HEARTBEAT).read_bytes())
        except OSError:
            return Holder(owner, b"")
    return None


def acquire(path: Path) -> Lease | None:
    """Takes the lease, also from an owner that is dead for certain; None if somebody has it.

    Raises:
        OSError: nothing can be written there.
    """
    if (found := find_holder(path)) is not None:
        if not found.is_dead:
            return None
        _take_away(path, found.owner)
    lease = Lease(path, uuid.uuid4().hex)
    prepared = path.with_name(f".{lease.owner}")
    try:
        prepared.mkdir()
        (prepared / lease.owner).mkdir()
        (prepared / lease.owner / HEARTBEAT).write_bytes(lease.heartbeat())
        prepared.rename(path)
    except OSError as error:
        shutil.rmtree(prepared, ignore_errors=True)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return None
        raise
    return lease


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for the lease, and holds it."""
    watch = LeaseWatcher(path)
    while (lease := acquire(path)) is None:
        if not watch.is_free():
            time.sleep(0.05)
    with lease:
        yield


class LeaseWatcher:
    """Looks at a lease again and again, until its owner gives it back or must be dead.

    Arguments:
        path: of the lease.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Holder | None = None
        self._since = time.monotonic()

    def is_free(self) -> bool:
        """Whether nobody has the lease; from an owner that must be dead it is taken away."""
        found = find_holder(self.path)
        if found is None:
            return True
        if found != self._seen:
            self._seen, self._since = found, time.monotonic()
        if not found.is_dead and time.monotonic() - self._since < _patience():
            return False
        _take_away(self.path, found.owner)
        return True


def _take_away(path: Path, owner: str) -> None:
    gone = path.with_name(f".{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # somebody else has done it, or has it now
        (path / owner).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        path.rmdir()


def _patience() -> float:
    text = os.environ.get("NALM_PATIENCE", str(PATIENCE))
    with contextlib.suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise NalmError(f"found NALM_PATIENCE={text!r} in the environment, expected a number of seconds above 0")


@functools.cache
def _place() -> str | None:
    """Where numbers of processes mean the same: this boot of this machine, and this container; None if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _process(pid: int) -> str | None:
    """When a process started, which tells it from a later one of the same number, or ``ended``; None if unknown."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return "ended" if state in "ZX" else fields[18]
