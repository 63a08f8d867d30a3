"""Leases: one owner at a time, whoever stops, is killed, or comes back."""

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
from nalm.store.leases import Holder, Lease, LeaseLost, LeaseWatcher, acquire, find_holder, locked

HOLDS = """
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


def taken(path: Path) -> Lease:
    lease = acquire(path)
    assert lease is not None
    return lease


def held_by_another_machine(path: Path, owner: str = "other", heartbeat: bytes | None = None) -> None:
    (path / owner).mkdir(parents=True)
    about = {"host": "elsewhere", "pid": 1, "process": "1", "place": "elsewhere", "beats": 1}
    (path / owner / "heartbeat").write_bytes(json.dumps(about).encode() if heartbeat is None else heartbeat)


def wait_until_free(watch: LeaseWatcher, at_most: float = 20) -> float:
    start = time.monotonic()
    while not watch.is_free():
        assert time.monotonic() - start < at_most
        time.sleep(0.02)
    return time.monotonic() - start


@pytest.fixture
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of this machine that holds the lease."""
    command = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


# One owner


def test_a_lease_has_one_owner_until_it_is_given_back(path: Path) -> None:
    with taken(path):
        assert acquire(path) is None
        assert not LeaseWatcher(path).is_free()
        held = find_holder(path)
        assert held is not None
        assert held.about["pid"] == os.getpid()
    assert find_holder(path) is None
    assert list(path.parent.iterdir()) == []
    with taken(path):
        assert acquire(path) is None


def test_of_many_that_want_a_lease_at_once_one_gets_it(path: Path) -> None:
    count, rounds = 8, 20
    barrier = threading.Barrier(count)

    def want(_: int) -> Lease | None:
        barrier.wait()
        return acquire(path)

    with ThreadPoolExecutor(count) as executor:
        for _ in range(rounds):
            (lease,) = (found for found in executor.map(want, range(count)) if found is not None)
            with lease:
                pass
    assert list(path.parent.iterdir()) == []


def test_of_many_that_give_up_on_a_dead_owner_one_gets_the_lease(path: Path) -> None:
    held_by_another_machine(path)
    count = 8
    barrier = threading.Barrier(count)

    def want(_: int) -> Lease | None:
        watch = LeaseWatcher(path)
        watch.is_free()
        time.sleep(PATIENCE)
        barrier.wait()
        return acquire(path) if watch.is_free() else None

    with ThreadPoolExecutor(count) as executor:
        (lease,) = (found for found in executor.map(want, range(count)) if found is not None)
    held = find_holder(path)
    assert held is not None
    assert held.owner == lease.owner


def test_a_lease_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        acquire(tmp_path / "nowhere" / "0123.lease")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_waited_for(path: Path) -> None:
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


def test_an_owner_that_beats_keeps_its_lease_for_longer_than_anybodys_patience(path: Path) -> None:
    watch = LeaseWatcher(path)
    with taken(path) as lease:
        end = time.monotonic() + 2.5 * PATIENCE
        while time.monotonic() < end:
            assert not watch.is_free()
            time.sleep(0.05)
        assert not lease.lost


def test_an_owner_whose_heartbeat_stands_still_is_given_up_after_a_while(path: Path) -> None:
    held_by_another_machine(path)
    assert acquire(path) is None
    assert PATIENCE <= wait_until_free(LeaseWatcher(path)) < PATIENCE + 1
    with taken(path):
        pass


@pytest.mark.parametrize("heartbeat", [b"", b"{", b"[]", b'"x"', b"\xff", b"{}", b'{"pid": -1}'])
def test_a_heartbeat_that_cannot_be_read_is_given_the_same_time(path: Path, heartbeat: bytes) -> None:
    held_by_another_machine(path, heartbeat=heartbeat)
    assert wait_until_free(LeaseWatcher(path)) >= PATIENCE


def test_each_new_heartbeat_and_each_new_owner_starts_the_time_anew(path: Path) -> None:
    held_by_another_machine(path)
    watch = LeaseWatcher(path)
    for change in ("beat", "owner"):
        assert not watch.is_free()
        time.sleep(0.7 * PATIENCE)
        assert not watch.is_free()
        if change == "beat":
            (path / "other" / "heartbeat").write_bytes(b"2")
        else:
            (path / "other").rename(path / "another")
    assert wait_until_free(watch) >= PATIENCE


def test_clocks_that_are_set_change_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


# Owners that are no more


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="only Linux tells where a process number means what")
def test_the_lease_of_a_process_that_was_killed_here_is_taken_at_once(
    path: Path, other_process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NALM_PATIENCE", "600")
    assert acquire(path) is None
    other_process.kill()
    other_process.wait()
    assert LeaseWatcher(path).is_free()
    with taken(path):
        pass


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="only Linux tells where a process number means what")
def test_a_process_that_has_the_number_of_a_dead_one_is_not_taken_for_it(path: Path) -> None:
    with taken(path) as lease:
        about = json.loads(lease.heartbeat())
    assert not Holder("me", json.dumps(about).encode()).is_dead
    assert Holder("me", json.dumps(about | {"process": "1"}).encode()).is_dead
    assert not Holder("me", json.dumps(about | {"process": "1", "place": "another container"}).encode()).is_dead


def test_where_processes_cannot_be_told_apart_only_heartbeats_count(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_place", lambda: None)
    held_by_another_machine(path, heartbeat=json.dumps({"pid": 2**22 + 1, "place": None}).encode())
    assert acquire(path) is None
    assert wait_until_free(LeaseWatcher(path)) >= PATIENCE


def test_the_lease_of_a_process_that_was_stopped_is_taken_and_it_publishes_nothing_when_it_goes_on(
    path: Path, other_process: subprocess.Popen[str]
) -> None:
    other_process.send_signal(signal.SIGSTOP)
    assert wait_until_free(LeaseWatcher(path)) > PATIENCE / 2
    with taken(path) as mine:
        other_process.send_signal(signal.SIGCONT)
        time.sleep(PATIENCE)
        held = find_holder(path)
        assert held is not None
        assert held.owner == mine.owner
        assert held.about["pid"] == os.getpid()
        assert not mine.lost


def test_what_a_crash_leaves_of_a_lease_is_free(path: Path) -> None:
    path.mkdir()
    assert LeaseWatcher(path).is_free()
    with taken(path):
        pass


# Publishing


def test_an_owner_publishes_files_from_its_lease(path: Path, tmp_path: Path) -> None:
    with taken(path) as lease:
        lease.write(tmp_path / "result", b"whole")
    assert (tmp_path / "result").read_bytes() == b"whole"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["result", "running"]


@pytest.mark.parametrize("again", [False, True])
def test_an_owner_that_lost_its_lease_publishes_nothing_and_knows_it(path: Path, tmp_path: Path, again: bool) -> None:
    with taken(path) as lease:
        shutil.rmtree(path / lease.owner)
        if again:
            held_by_another_machine(path)
        with pytest.raises(LeaseLost):
            lease.write(tmp_path / "result", b"whole")
        assert lease.lost
    assert not (tmp_path / "result").exists()
    assert (find_holder(path) is not None) == again


def test_an_owner_loses_its_lease_also_between_writing_and_publishing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = taken(path)
    fsync = os.fsync

    def stopped(descriptor: int) -> None:  # for so long that somebody else has the lease afterwards
        fsync(descriptor)
        (path / lease.owner).rename(path / "other")

    monkeypatch.setattr(os, "fsync", stopped)
    with lease, pytest.raises(LeaseLost):
        lease.write(tmp_path / "result", b"whole")
    assert not (tmp_path / "result").exists()


def test_a_heartbeat_notices_that_the_lease_is_lost(path: Path) -> None:
    with taken(path) as lease:
        shutil.rmtree(path / lease.owner)
        end = time.monotonic() + 10
        while not lease.lost:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_disk_that_takes_no_heartbeat_does_not_end_the_lease(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 3
    usual = Lease.heartbeat

    def heartbeat(lease: Lease) -> bytes:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(errno.EIO, "Input/output error")
        return usual(lease)

    with taken(path) as lease:
        before = find_holder(path)
        monkeypatch.setattr(Lease, "heartbeat", heartbeat)
        end = time.monotonic() + 10
        while find_holder(path) == before:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert failures < 0
        assert not lease.lost


def test_a_target_that_is_not_there_is_not_taken_for_a_lost_lease(path: Path, tmp_path: Path) -> None:
    with taken(path) as lease:
        with pytest.raises(FileNotFoundError):
            lease.write(tmp_path / "nowhere" / "result", b"whole")
        assert not lease.lost
