"""A lease has one owner at a time, even when processes stop, are killed or resume."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nalm.errors import NalmError
from nalm.store import leases
from nalm.store.leases import Holder, Lease, LeaseLost, LeaseWatcher, acquire, holder, locked

HOLD_LEASE = """
import sys, time
from pathlib import Path
from nalm.store.leases import acquire
with acquire(Path(sys.argv[1])):
    print("mine", flush=True)
    time.sleep(600)
"""
PATIENCE = 1.0


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NALM_PATIENCE", str(PATIENCE))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "running").mkdir()
    return tmp_path / "running" / "0123.lease"


def acquired(path: Path) -> Lease:
    lease = acquire(path)
    assert lease is not None
    return lease


def held_by_another_machine(path: Path, owner: str = "other", heartbeat: bytes | None = None) -> None:
    (path / owner).mkdir(parents=True)
    about = {"host": "elsewhere", "pid": 1, "process": "1", "place": "elsewhere", "beats": 1}
    (path / owner / "heartbeat").write_bytes(json.dumps(about).encode() if heartbeat is None else heartbeat)


def wait_until_free(watcher: LeaseWatcher, at_most: float = 20) -> float:
    start = time.monotonic()
    while not watcher.is_free():
        assert time.monotonic() - start < at_most
        time.sleep(0.02)
    return time.monotonic() - start


@pytest.fixture
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process of this machine that holds the lease."""
    command = [sys.executable, "-c", HOLD_LEASE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


# One owner


def test_a_lease_has_one_owner_until_it_is_given_back(path: Path) -> None:
    with acquired(path):
        assert acquire(path) is None
        assert not LeaseWatcher(path).is_free()
        held = holder(path)
        assert held is not None
        assert held.about["pid"] == os.getpid()
    assert holder(path) is None
    assert list(path.parent.iterdir()) == []
    with acquired(path):
        assert acquire(path) is None


def test_one_of_many_processes_that_ask_at_once_gets_the_lease(path: Path) -> None:
    count, rounds = 8, 20
    barrier = threading.Barrier(count)

    def ask(_: int) -> Lease | None:
        barrier.wait()
        return acquire(path)

    with ThreadPoolExecutor(count) as executor:
        for _ in range(rounds):
            (lease,) = (found for found in executor.map(ask, range(count)) if found is not None)
            with lease:
                pass
    assert list(path.parent.iterdir()) == []


def test_one_of_many_watchers_gets_the_lease_of_a_dead_owner(path: Path) -> None:
    held_by_another_machine(path)
    count = 8
    barrier = threading.Barrier(count)

    def ask(_: int) -> Lease | None:
        watcher = LeaseWatcher(path)
        watcher.is_free()
        time.sleep(PATIENCE)
        barrier.wait()
        return acquire(path) if watcher.is_free() else None

    with ThreadPoolExecutor(count) as executor:
        (lease,) = (found for found in executor.map(ask, range(count)) if found is not None)
    held = holder(path)
    assert held is not None
    assert held.owner == lease.owner


def test_a_lease_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        acquire(tmp_path / "nowhere" / "0123.lease")
    assert list(tmp_path.iterdir()) == []


def test_locked_waits_for_the_lock(path: Path) -> None:
    order = []

    def second() -> None:
        with locked(path):
            order.append("second")

    with locked(path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


# Heartbeats


def test_an_owner_with_heartbeats_keeps_its_lease_longer_than_the_patience(path: Path) -> None:
    watcher = LeaseWatcher(path)
    with acquired(path) as lease:
        end = time.monotonic() + 2.5 * PATIENCE
        while time.monotonic() < end:
            assert not watcher.is_free()
            time.sleep(0.05)
        assert not lease.lost


def test_an_owner_without_heartbeats_loses_its_lease_after_the_patience(path: Path) -> None:
    held_by_another_machine(path)
    assert acquire(path) is None
    assert PATIENCE <= wait_until_free(LeaseWatcher(path)) < PATIENCE + 1
    with acquired(path):
        pass


def test_unreadable_heartbeats_are_allowed_the_same_patience(path: Path) -> None:
    start = time.monotonic()
    watchers: dict[bytes, LeaseWatcher] = {}
    for heartbeat in (b"", b"{", b"[]", b'"x"', b"\xff", b"{}", b'{"pid": -1}'):
        held = path.with_name(f"{len(watchers)}.lease")
        held_by_another_machine(held, heartbeat=heartbeat)
        watchers[heartbeat] = LeaseWatcher(held)
        assert not watchers[heartbeat].is_free()
    for heartbeat, watcher in watchers.items():
        wait_until_free(watcher)
        assert time.monotonic() - start >= PATIENCE, heartbeat


def test_each_new_heartbeat_and_each_new_owner_restarts_the_patience(path: Path) -> None:
    held_by_another_machine(path)
    watcher = LeaseWatcher(path)
    for change in ("beat", "owner"):
        assert not watcher.is_free()
        time.sleep(0.7 * PATIENCE)
        assert not watcher.is_free()
        if change == "beat":
            (path / "other" / "heartbeat").write_bytes(b"2")
        else:
            (path / "other").rename(path / "another")
    assert wait_until_free(watcher) >= PATIENCE


def test_changes_of_the_system_clock_have_no_effect(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    held_by_another_machine(path)
    assert PATIENCE <= wait_until_free(LeaseWatcher(path)) < PATIENCE + 1


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan"])
def test_patience_is_a_number_of_seconds(path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NALM_PATIENCE", text)
    held_by_another_machine(path)
    with pytest.raises(NalmError, match=rf"^found NALM_PATIENCE='{text}' in the environment, expected a number"):
        LeaseWatcher(path).is_free()


# Owners that have ended


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="only Linux tells where process ids are unique")
def test_the_lease_of_a_killed_local_process_is_free_at_once(
    path: Path, other_process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NALM_PATIENCE", "600")
    assert acquire(path) is None
    other_process.kill()
    other_process.wait()
    assert LeaseWatcher(path).is_free()
    with acquired(path):
        pass


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="only Linux tells where process ids are unique")
def test_a_new_process_with_a_reused_id_is_not_mistaken_for_the_owner(path: Path) -> None:
    with acquired(path) as lease:
        about = json.loads(lease.heartbeat())
    assert not Holder("me", json.dumps(about).encode()).is_dead
    assert Holder("me", json.dumps(about | {"process": "1"}).encode()).is_dead
    assert not Holder("me", json.dumps(about | {"process": "1", "place": "another container"}).encode()).is_dead


def test_only_heartbeats_count_where_process_ids_are_not_comparable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_pid_scope", lambda: None)
    held_by_another_machine(path, heartbeat=json.dumps({"pid": 2**22 + 1, "place": None}).encode())
    assert acquire(path) is None
    assert wait_until_free(LeaseWatcher(path)) >= PATIENCE


def test_a_stopped_process_loses_its_lease_and_does_not_get_it_back_when_it_resumes(
    path: Path, other_process: subprocess.Popen[str]
) -> None:
    other_process.send_signal(signal.SIGSTOP)
    assert wait_until_free(LeaseWatcher(path)) > PATIENCE / 2
    with acquired(path) as mine:
        other_process.send_signal(signal.SIGCONT)
        time.sleep(PATIENCE)
        held = holder(path)
        assert held is not None
        assert held.owner == mine.owner
        assert held.about["pid"] == os.getpid()
        assert not mine.lost


def test_a_lease_without_an_owner_left_by_a_crash_is_free(path: Path) -> None:
    path.mkdir()
    assert LeaseWatcher(path).is_free()
    with acquired(path):
        pass


# Publishing


def test_an_owner_publishes_files_from_its_lease(path: Path, tmp_path: Path) -> None:
    with acquired(path) as lease:
        lease.write(tmp_path / "result", b"whole")
    assert (tmp_path / "result").read_bytes() == b"whole"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["result", "running"]


@pytest.mark.parametrize("has_new_owner", [False, True])
def test_an_owner_that_lost_its_lease_publishes_nothing_and_learns_of_the_loss(
    path: Path, tmp_path: Path, has_new_owner: bool
) -> None:
    with acquired(path) as lease:
        shutil.rmtree(path / lease.owner)
        if has_new_owner:
            held_by_another_machine(path)
        with pytest.raises(LeaseLost):
            lease.write(tmp_path / "result", b"whole")
        assert lease.lost
    assert not (tmp_path / "result").exists()
    assert (holder(path) is not None) == has_new_owner


def test_an_owner_that_loses_its_lease_between_writing_and_publishing_publishes_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = acquired(path)
    fsync = os.fsync

    def stopped(descriptor: int) -> None:  # for so long that another process owns the lease afterwards
        fsync(descriptor)
        (path / lease.owner).rename(path / "other")

    monkeypatch.setattr(os, "fsync", stopped)
    with lease, pytest.raises(LeaseLost):
        lease.write(tmp_path / "result", b"whole")
    assert not (tmp_path / "result").exists()


def test_a_heartbeat_notices_that_the_lease_is_lost(path: Path) -> None:
    with acquired(path) as lease:
        shutil.rmtree(path / lease.owner)
        end = time.monotonic() + 10
        while not lease.lost:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_heartbeat_that_cannot_be_written_does_not_end_the_lease(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 3
    usual = Lease.heartbeat

    def heartbeat(lease: Lease) -> bytes:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(errno.EIO, "Input/output error")
        return usual(lease)

    with acquired(path) as lease:
        before = holder(path)
        monkeypatch.setattr(Lease, "heartbeat", heartbeat)
        end = time.monotonic() + 10
        while holder(path) == before:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert failures < 0
        assert not lease.lost


def test_a_missing_target_folder_is_not_mistaken_for_a_lost_lease(path: Path, tmp_path: Path) -> None:
    with acquired(path) as lease:
        with pytest.raises(FileNotFoundError):
            lease.write(tmp_path / "nowhere" / "result", b"whole")
        assert not lease.lost
