"""Checkpoints: kept during training, deleted once the shard is stored, and loaded only if they are valid."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import nalm
from nalm.execution import checkpoints
from nalm.execution.checkpoints import Checkpoint, checkpoint_path
from nalm.execution.plan import plan
from nalm.execution.running import ShardProgress
from nalm.execution.signals import Interrupted, interruption
from nalm.execution.worker import train_shard
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Shard
from nalm.paths import content_hash, write_atomically
from nalm.store.store import Store
from nalm.tasks import start_training
from nalm.training.ensemble.loop import Ensemble

Contents = dict[str, bytes | None]
STOP_AT = 20
"""Iteration, of 21, before which a shard is interrupted."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    store = Store(tmp_path / "interrupted")
    store.make_directories()
    return store.path


@pytest.fixture
def shard(tiny_experiment: Experiment) -> Shard:
    (shard,) = plan([tiny_experiment.narrowed(variants=["NMRU"])], set()).shards
    return shard


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> "Interrupt":
    """Train a shard until it is told to stop, and return the path of its checkpoint."""

    def train(directory: Path, shard: Shard, at: int = STOP_AT) -> Path:
        advance = Ensemble._advance

        def stop(ensemble: Ensemble, steps: int) -> None:
            advance(ensemble, steps)
            interruption.requested = ensemble.iteration >= at

        with monkeypatch.context() as patch:
            patch.setattr(Ensemble, "_advance", stop)
            patch.setattr(interruption, "requested", False)
            with pytest.raises(Interrupted):
                train_shard(directory, shard, "cpu", False)
        return checkpoint_path(directory, shard)

    return train


Interrupt = Callable[..., Path]


def trained(directory: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of the only shard of a directory without their times, and its provenance."""
    ((table, about),) = Store(directory).runs()
    return table.drop_columns(["wall_time"]).to_pylist(), about


def test_an_interrupted_shard_resumes_from_its_checkpoint(
    directory: Path, shard: Shard, interrupt: Interrupt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupt(directory, shard)
    assert sorted(item.name for item in (directory / "running").iterdir()) == [path.name]
    begun = []
    advance = Ensemble._advance

    def count(ensemble: Ensemble, steps: int) -> None:
        begun.append(ensemble.iteration)
        advance(ensemble, steps)

    monkeypatch.setattr(Ensemble, "_advance", count)
    assert isinstance(train_shard(directory, shard, "cpu", False), ShardProgress)
    assert begun == [STOP_AT]
    assert list((directory / "running").iterdir()) == []

    Store(tmp_path / "whole").make_directories()
    train_shard(tmp_path / "whole", shard, "cpu", False)
    (rows, about), (expected, about_whole) = trained(directory), trained(tmp_path / "whole")
    assert str(rows) == str(expected)  # as text, in which NaN is NaN
    assert (about["resumed_at"], about_whole["resumed_at"]) == ([STOP_AT], [])
    assert about["hosts"] == about_whole["hosts"] == [about["host"]]
    assert about["started"] <= pq_wall_times(directory)[0]


def pq_wall_times(directory: Path) -> list[float]:
    (path,) = (directory / "shards").iterdir()
    times: list[float] = pq.read_table(path)["wall_time"][0].as_py()
    return times


def test_seconds_include_the_time_before_an_interruption(
    directory: Path, shard: Shard, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupt(directory, shard)
    change(path, lambda saved: saved | {"seconds": 5000.0})
    train_shard(directory, shard, "cpu", False)
    assert 5000 < trained(directory)[1]["seconds"] < 5100


def test_a_shard_resumes_after_any_number_of_interruptions(directory: Path, shard: Shard, interrupt: Interrupt) -> None:
    for iteration in (10, 20):
        interrupt(directory, shard, iteration)
    train_shard(directory, shard, "cpu", False)
    assert trained(directory)[1]["resumed_at"] == [10, 20]


# Invalid checkpoints


def change(path: Path, update: Callable[[dict[str, Any]], Any]) -> None:
    """Change the content of a checkpoint, and update its hash."""
    saved = torch.load(io.BytesIO(path.read_bytes().partition(b"\n")[2]), weights_only=True)
    buffer = io.BytesIO()
    torch.save(update(saved), buffer)
    seal(path, buffer.getvalue())


def seal(path: Path, payload: bytes) -> None:
    path.write_bytes(content_hash(payload).encode() + b"\n" + payload)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


class Bomb:
    """Object that runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path.with_name("exploded"),)


def plant_bomb(path: Path) -> None:
    change(path, lambda saved: saved | {"state": Bomb(path)})


UNUSABLE: list[tuple[Callable[[Path], Any], str]] = [
    (truncate, "is damaged"),
    (flip_a_bit, "is damaged"),
    (lambda path: path.write_bytes(b""), "is damaged"),
    (lambda path: seal(path, b""), "is no checkpoint"),
    (lambda path: seal(path, pickle.dumps([1])), "is no checkpoint"),
    (plant_bomb, "is no checkpoint"),
    (lambda path: change(path, lambda saved: [saved]), "is no checkpoint of nalm"),
    (lambda path: change(path, lambda saved: saved | {"seconds": "1"}), "is no checkpoint of nalm"),
    (lambda path: change(path, lambda saved: saved | {"hosts": [1]}), "is no checkpoint of nalm"),
    (lambda path: change(path, lambda saved: saved | {"shard": "0123"}), "is the checkpoint of another shard"),
    (
        lambda path: change(path, lambda saved: saved | {"made_by": saved["made_by"] | {"torch": "1.0"}}),
        rf"was made with torch 1\.0, not with {torch.__version__}",
    ),
    (
        lambda path: change(path, lambda saved: saved | {"made_by": saved["made_by"] | {"compiled": True}}),
        "was made with compiled True, not with False",
    ),
    (lambda path: change(path, lambda saved: saved | {"state": {}}), "found the state of another ensemble"),
    (
        lambda path: change(path, lambda saved: saved | {"state": saved["state"] | {"iteration": 0}}),
        "found a state that contradicts itself",
    ),
]


@pytest.mark.parametrize(("damage", "reason"), UNUSABLE, ids=map(str, range(len(UNUSABLE))))
def test_an_invalid_checkpoint_is_moved_aside_and_its_shard_starts_anew(
    directory: Path,
    shard: Shard,
    interrupt: Interrupt,
    damage: Callable[[Path], Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = interrupt(directory, shard)
    damage(path)
    content = path.read_bytes()
    train_shard(directory, shard, "cpu", False)
    (warning,) = caplog.messages
    assert warning.startswith(f"{path} ")
    assert reason.replace("\\", "") in warning
    assert warning.endswith(f": it was moved to {directory / 'damaged'}, and its shard starts anew")
    assert (directory / "damaged" / path.name).read_bytes() == content
    assert trained(directory)[1]["resumed_at"] == []
    assert not list(directory.rglob("exploded"))


# When they are written


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the monotonic clock of checkpoints by a list with one entry, in seconds."""
    now = [0.0]
    monkeypatch.setattr("nalm.execution.checkpoints.time.monotonic", lambda: now[0])
    return now


def saved_at(directory: Path, shard: Shard, clock: list[float], cost: float, seconds: int) -> list[float]:
    """Train for some simulated seconds, and return the times of the checkpoints, each of which takes ``cost``."""
    found = []

    def write(path: Path, content: bytes) -> None:
        found.append(clock[0])
        clock[0] += cost

    ensemble = start_training(shard.recipe, [(run.task, run.seed) for run in shard.runs], compiled=False)
    checkpoint = Checkpoint(directory, shard, {}, write)
    clock[0] += 20  # to compile
    while clock[0] < seconds:
        checkpoint.save_if_due(ensemble)
        clock[0] += 0.05
        ensemble.iteration += 10
    return found


@pytest.mark.parametrize("cost", [0.0, 0.02, 0.5])
def test_checkpoints_take_a_fiftieth_of_the_time_at_most(
    directory: Path, shard: Shard, clock: list[float], cost: float
) -> None:
    times = saved_at(directory, shard, clock, cost, 300)
    assert times[0] == pytest.approx(20 + 1, abs=0.1)
    assert cost * (len(times) - 1) <= 300 / 50


def test_a_kill_costs_a_second_or_a_twentieth_of_what_was_trained_or_a_minute(
    directory: Path, shard: Shard, clock: list[float]
) -> None:
    times = np.array([20.0, *saved_at(directory, shard, clock, 0.01, 3000)])
    gaps, trained = np.diff(times), times[1:] - 20
    assert (gaps <= np.clip(trained / 19, 1, 60) + 0.2).all()
    assert (gaps >= np.clip(trained / 21, 1, 60) - 0.2).all()


def test_a_checkpoint_that_cannot_be_written_does_not_end_training(
    directory: Path, shard: Shard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def write(path: Path, content: bytes, beside: Path | None = None, durable: bool = True) -> None:
        if path.suffix == ".checkpoint":
            raise OSError(28, "No space left on device")
        write_atomically(path, content, beside, durable)

    monkeypatch.setattr(checkpoints, "SECONDS_AT_LEAST", 0.0)
    monkeypatch.setattr(checkpoints, "TIMES_ITS_COST", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE_OF_TRAINING", 0.0)
    monkeypatch.setattr("nalm.store.leases.write_atomically", write)
    train_shard(directory, shard, "cpu", False)
    assert len(Store(directory).finished()) == len(shard.runs)
    assert caplog.messages == [f"cannot write checkpoints into {str(directory / 'running')!r}: No space left on device"]


def test_no_checkpoints_are_left_after_an_experiment(
    tiny_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_AT_LEAST", 0.0)
    monkeypatch.setattr(checkpoints, "TIMES_ITS_COST", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE_OF_TRAINING", 0.0)
    store = nalm.run(tiny_experiment, tmp_path / "results", workers=0, compiled=False)
    assert list((store.path / "running").iterdir()) == []
