"""Leases: which process trains a shard, visible to every process that sees the results directory.

A lease is a directory ``running/<shard>.lease``. It contains one directory, named after the owner. Everything relies on
renaming directories, which is atomic, on network file systems too:

* Acquire: prepare a lease elsewhere, then rename it into place. This fails if another process owns the lease.
* Heartbeat: the owner counts heartbeats in its directory. A waiting process considers the owner dead when the count has
  not changed for its patience, measured by the waiting process's own monotonic clock. Clocks are never compared.
* Remove: rename the owner's directory. One process succeeds, and the lease of a new owner is never removed by mistake.
* Publish: the owner writes a file into its own directory, then renames it to its target. An owner that lost the lease
  without knowing fails here.
"""

import contextlib
import errno
import functools
import json
import os
import platform
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from nalm.errors import NalmError
from nalm.log import warn_once
from nalm.paths import write_atomically
from nalm.store.inside import regular_content

__all__ = ["Holder", "Lease", "LeaseLost", "LeaseWatcher", "acquire", "holder", "locked"]

PATIENCE = 60.0
"""Seconds without a heartbeat after which an owner counts as dead.

The environment variable ``NALM_PATIENCE`` overrides it. Network file systems may show a change half a minute late.
"""
BEATS = 12
"""Heartbeats within the patience."""
LONGEST_BEAT = 5.0
"""Upper limit of the seconds between heartbeats: other processes may have less patience than this one."""
HEARTBEAT = "heartbeat"
UNKNOWN = "unknown"
"""Owner's name when the lease cannot be read at the moment. No real owner has this name."""


class LeaseLost(Exception):  # noqa: N818 – not an error: only the owner handles it
    """Another process considered the owner dead and removed its lease."""


class Holder(NamedTuple):
    """Owner of a lease, with its latest heartbeat."""

    owner: str
    heartbeat: bytes

    @property
    def about(self) -> dict[str, Any]:
        """Content of the heartbeat: ``host``, ``pid`` and more. Empty if it cannot be read at the moment."""
        with contextlib.suppress(ValueError, RecursionError):
            about = json.loads(self.heartbeat)
            if isinstance(about, dict):
                return about
        return {}

    @property
    def is_dead(self) -> bool:
        """Whether the owner was a process of this machine that has ended. False for owners on other machines."""
        about = self.about
        pid = about.get("pid")
        if _pid_scope() is None or about.get("place") != _pid_scope() or not isinstance(pid, int) or pid <= 0:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):  # it runs as another user, or no system has such a number
            return False
        return _start_time(pid) not in (None, about.get("process"))


class Lease:
    """Lease that this process owns.

    Inside its ``with`` block, a thread counts heartbeats. Leaving the block gives the lease back.

    Arguments:
        path: directory of the lease.
        owner: name of the owner.
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
        _remove(self.path, self.owner)

    def write(self, path: Path, content: bytes, durable: bool = True) -> None:
        """Write a file atomically, unless the lease was lost.

        Raises:
            LeaseLost: another process removed the lease.
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
        """Return the next heartbeat."""
        self._beats += 1
        pid = os.getpid()
        about = {
            "host": platform.node(),
            "pid": pid,
            "process": _start_time(pid),
            "place": _pid_scope(),
            "beats": self._beats,
        }
        return json.dumps(about).encode()

    def _keep_beating(self) -> None:
        while not self._ended.wait(self._pause):
            try:
                with (self._own / HEARTBEAT).open(
                    "r+b"
                ) as file:  # in place: needs no disk space, and never creates the file
                    file.write(self.heartbeat())
            except FileNotFoundError:
                self.lost = True
                return
            except OSError:  # if it lasts, others will consider this process dead
                continue


def holder(path: Path) -> Holder | None:
    """Return who holds the lease; None if it is free. Only directories with the name of an owner hold one."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return None
        owners = [name for name in os.listdir(path) if _is_owner(path / name)]
    except FileNotFoundError:
        return None
    except OSError:  # network file systems fail at times
        return Holder(UNKNOWN, b"")
    for owner in owners:
        try:
            return Holder(owner, regular_content(path / owner / HEARTBEAT))
        except OSError:
            return Holder(owner, b"")
    return None


def _is_owner(path: Path) -> bool:
    return not path.name.startswith(".") and stat.S_ISDIR(path.lstat().st_mode)


def _clear(path: Path) -> None:
    """Remove what is at the place of a lease and is none: files, links, and a directory's files without an owner.

    Raises:
        NalmError: something cannot be removed.
    """
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            warn_once(f"{path} was no lease and was removed")
            return
        for name in os.listdir(path):
            if not _is_owner(path / name):
                _discard(path / name)
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        raise NalmError(f"cannot remove {path}, which is no lease of nalm: {error.strerror}") from None


def _discard(path: Path) -> None:
    """Remove a file, a link or a directory."""
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()


def acquire(path: Path) -> Lease | None:
    """Acquire the lease, or return None if a living process owns it. The lease of an ended process is taken over.

    Raises:
        OSError: the lease cannot be written.
    """
    if (found := holder(path)) is not None:
        if not found.is_dead:
            return None
        _remove(path, found.owner)
    else:
        _clear(path)
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
def locked(path: Path) -> Iterator[Lease]:
    """Wait for the lease, then hold it during the ``with`` block.

    Raises:
        NalmError: this process was suspended for so long that another one has taken the lease over.
    """
    watcher = LeaseWatcher(path)
    while (lease := acquire(path)) is None:
        if not watcher.is_free():
            time.sleep(0.05)
    try:
        with lease:
            yield lease
    except LeaseLost:
        raise NalmError(f"another process has taken {path} over from this one, which did not run for long") from None


class LeaseWatcher:
    """Observer of a lease that remembers when it last saw a new heartbeat or a new owner.

    Arguments:
        path: directory of the lease.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Holder | None = None
        self._since = time.monotonic()

    def is_free(self) -> bool:
        """Return whether the lease is free. Call it repeatedly; it removes the lease of a dead owner.

        Raises:
            NalmError: the lease of a dead owner cannot be removed.
        """
        found = holder(self.path)
        if found is None:
            return True
        if found != self._seen:
            self._seen, self._since = found, time.monotonic()
        if not found.is_dead and time.monotonic() - self._since < _patience():
            return False
        _remove(self.path, found.owner)
        if holder(self.path) == found:
            raise NalmError(f"cannot remove {self.path}, whose owner shows no life: remove it, then repeat the command")
        return True


def _remove(path: Path, owner: str) -> None:
    """Remove the lease if it still belongs to the owner."""
    gone = path.with_name(f".{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # another process removed it, or owns it now
        (path / owner).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        path.rmdir()


def _patience() -> float:
    """Return the seconds without a heartbeat after which an owner counts as dead.

    Raises:
        NalmError: ``NALM_PATIENCE`` is not a positive number.
    """
    text = os.environ.get("NALM_PATIENCE", str(PATIENCE))
    with contextlib.suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise NalmError(f"found NALM_PATIENCE={text!r} in the environment, expected a number of seconds above 0")


@functools.cache
def _pid_scope() -> str | None:
    """Return the scope in which process ids are unique: boot of the machine and container. None if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _start_time(pid: int) -> str | None:
    """Return when a process started, or ``ended``; None if unknown. It tells processes with the same id apart."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return "ended" if state in "ZX" else fields[18]
