"""Whatever a file holds, its reader gives a result or one sentence, within limits of time and memory.

Each reader gets random bytes, and valid files that were truncated, that have flipped bits or bytes of others, and that
are well-formed nonsense with the right checksums. ``NALM_FUZZ`` sets the number of files per reader.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

import nalm
from nalm.errors import NalmError
from nalm.execution.checkpoints import Checkpoint, checkpoint_path
from nalm.execution.executors.settings import load_settings
from nalm.execution.plan import plan
from nalm.execution.running import clear_running, lease_path, progress_path, read_progress
from nalm.experiments.runs import Shard
from nalm.log import LOGGER
from nalm.original.event_records import framed
from nalm.paths import content_hash, write_atomically
from nalm.store.leases import acquire
from nalm.store.store import Store
from nalm.tasks import start_training
from nalm.tasks.digits.images import _from_directory
from tests.conftest import TINY
from tests.damage import (
    Reader,
    damaged,
    nonsense_cells,
    nonsense_checkpoint,
    nonsense_events,
    nonsense_idx,
    nonsense_json,
    nonsense_parquet,
    nonsense_yaml,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FILES = int(os.environ.get("NALM_FUZZ", "20"))
SECONDS = 60
CPU_SECONDS = 10
MEMORY = 2 << 30
LONGEST_SENTENCE = 2000
MOST_SENTENCES = 30


# Readers


def the_shard() -> Shard:
    shards = plan([_tiny()], set()).shards
    return next(shard for shard in shards if len(shard.runs) > 1)


def _tiny() -> "nalm.Experiment":
    return nalm.load_experiment(str(_directory.get("tiny")))


_directory: dict[str, Path] = {}


def read_results(directory: Path) -> None:
    store = Store(directory / "results")
    store.finished()
    list(store.runs())
    results = nalm.load(directory / "results")
    results.summary()
    results.runs()
    for run in results.trained[:2]:
        run.description()


def read_running(directory: Path) -> None:
    read_progress(directory / "results", [the_shard()])
    nalm.status(directory / "results", 0)
    clear_running(directory / "results")


def read_lease(directory: Path) -> None:
    acquire(lease_path(directory / "results", the_shard()))
    nalm.status(directory / "results", 0)


def resume(directory: Path) -> None:
    shard = the_shard()
    checkpoint = Checkpoint(
        directory / "results", shard, {"device": "cpu", "compiled": False}, lambda path, content: None
    )
    runs = [(run.task, run.seed) for run in shard.runs]
    ensemble = checkpoint.resume(lambda: start_training(shard.recipe, runs, "cpu", False))
    ensemble.train(lambda _: None, lambda _: None)


def import_file(name: str) -> Callable[[Path], None]:
    def read(directory: Path) -> None:
        nalm.import_results([directory / name], directory / "new", name="old")
        nalm.load(directory / "new").summary()

    return read


def read_digits(directory: Path) -> None:
    _from_directory.cache_clear()
    _from_directory("mnist", str(directory / "mnist"))


def read_settings(directory: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(directory))
        load_settings()


def sealed_checkpoint(content: bytes) -> bytes:
    payload = content.partition(b"\n")[2]
    return content_hash(payload).encode() + b"\n" + payload


READERS = {
    "experiment file": Reader(
        lambda directory: directory / "tiny.yaml",
        lambda directory: nalm.load_experiment(str(directory / "tiny.yaml")),
        nonsense_yaml,
    ),
    "stored experiment": Reader(
        lambda directory: directory / "results" / "experiments" / "tiny.json", read_results, nonsense_json
    ),
    "shard": Reader(
        lambda directory: min((directory / "results" / "shards").iterdir()),
        read_results,
        nonsense_parquet,
        named_by_hash=True,
    ),
    "checkpoint": Reader(
        lambda directory: checkpoint_path(directory / "results", the_shard()),
        resume,
        nonsense_checkpoint,
        sealed_checkpoint,
    ),
    "progress": Reader(
        lambda directory: progress_path(directory / "results", the_shard()), read_running, nonsense_json
    ),
    "lease": Reader(
        lambda directory: lease_path(directory / "results", the_shard()) / "owner" / "heartbeat",
        read_lease,
        nonsense_json,
    ),
    "CSV": Reader(lambda directory: directory / "old.csv", import_file("old.csv"), nonsense_cells),
    "event file": Reader(
        lambda directory: next((directory / "logs").rglob("*tfevents*")), import_file("logs"), nonsense_events
    ),
    "IDX": Reader(lambda directory: directory / "mnist" / "train-images-idx3-ubyte", read_digits, nonsense_idx),
    "settings": Reader(lambda directory: directory / "nalm" / "config.yaml", read_settings, nonsense_yaml),
}


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a valid file for each reader."""

    directory = tmp_path_factory.mktemp("valid")
    _directory["tiny"] = directory / "known" / "tiny.yaml"
    _directory["tiny"].parent.mkdir()
    for path in (_directory["tiny"], directory / "tiny.yaml"):
        path.write_text(TINY)
    nalm.run(str(directory / "tiny.yaml"), directory / "results", workers=0, compiled=False)
    with (directory / "old.csv").open("w") as file:
        nalm.export_csv(directory / "results", file, schema="original", variants=["NRU"])
    _write_events(directory)
    _write_checkpoint(directory / "results")
    _write_digits(directory / "mnist")
    (directory / "nalm").mkdir()
    (directory / "nalm" / "config.yaml").write_text("executor: slurm\nslurm: {partition: short, cpus: 2}\n")
    return directory


def _write_events(directory: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    name = (directory / "old.csv").read_text().splitlines()[1].split(",")[0]
    records = [
        Event(wall_time=float(step), step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=0.5)]))
        for step in (0, 10, 20)
        for tag in ("metric/valid/interpolation", "metric/test/extrapolation")
    ]
    (directory / "logs" / name).mkdir(parents=True)
    (directory / "logs" / name / "events.out.tfevents.1").write_bytes(
        b"".join(framed([record.SerializeToString() for record in records]))
    )


def _write_checkpoint(results: Path) -> None:
    shard = the_shard()
    made_by = {"device": "cpu", "compiled": False}
    runs = [(run.task, run.seed) for run in shard.runs]
    checkpoint = Checkpoint(results, shard, made_by, write_atomically)
    ensemble = start_training(shard.recipe, runs, "cpu", False)

    class Enough(Exception):  # noqa: N818 – it is not an error
        pass

    def pause(trainer: Any) -> None:
        if trainer.iteration >= 10:
            checkpoint.save(trainer)
            raise Enough

    with contextlib.suppress(Enough):
        ensemble.train(lambda _: None, pause)
    progress = {"iteration": 10, "runs": len(runs), "solved": 0, "warnings": []}
    progress_path(results, shard).write_text(json.dumps(progress))
    heartbeat = lease_path(results, shard) / "owner" / "heartbeat"
    heartbeat.parent.mkdir(parents=True)
    beat = {"host": "x", "pid": 1, "process": "1", "place": "x", "beats": 1}
    heartbeat.write_text(json.dumps(beat))


def _write_digits(directory: Path) -> None:
    directory.mkdir()
    for name, count in (("train", 24), ("t10k", 4)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = np.zeros((count, 28, 28), dtype=np.uint8)
        head = struct.pack(">4i", 0x0803, count, 28, 28)
        (directory / f"{name}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        (directory / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x0801, count) + labels.tobytes())


# The test


@pytest.mark.parametrize("name", READERS)
def test_a_reader_gives_a_result_or_one_sentence(name: str, valid: Path, tmp_path: Path) -> None:
    reader = READERS[name]
    LOGGER.disabled = True
    with limits():
        reader.read(Path(shutil.copytree(valid, tmp_path / "valid")))  # a valid file can be read

    @settings(
        max_examples=FILES,
        deadline=None,
        derandomize="NALM_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # looking for smaller examples takes minutes
        report_multiple_bugs=False,
    )
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        directory = Path(shutil.copytree(valid, tmp_path / "copy"))
        path = reader.path(directory)
        content = damaged(data, reader, path.read_bytes())
        if reader.named_by_hash and data.draw(st.integers(0, 3), "named"):
            path.unlink()
            path = path.with_name(f"{path.name.partition('-')[0]}-{content_hash(content)}.parquet")
        path.write_bytes(content)
        with limits():
            try:
                reader.read(directory)
            except NalmError as error:
                sentences = str(error).splitlines()  # an experiment file may have one for each mistake
                assert 0 < len(sentences) < MOST_SENTENCES
                assert all(0 < len(sentence) < LONGEST_SENTENCE for sentence in sentences)

    check()


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Limit time and memory within the context."""

    def too_long(*_: object) -> None:
        raise AssertionError(f"it took over {SECONDS} s")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, too_long)
    started = time.process_time()
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, handler)
    assert time.process_time() - started < CPU_SECONDS
