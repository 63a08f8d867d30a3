"""Whatever a file holds, its reader gives a result or one sentence, within limits of time and memory.

Each reader gets random bytes, and valid files that were truncated, that have flipped bits or bytes of others, and that
are well-formed nonsense with the right checksums. ``NALM_FUZZ`` sets the number of files per reader.
"""

import contextlib
import io
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
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
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

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FILES = int(os.environ.get("NALM_FUZZ", "20"))
SECONDS = 60
CPU_SECONDS = 10
MEMORY = 2 << 30
LONGEST_SENTENCE = 2000
MOST_SENTENCES = 30

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 10**400]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["x", "\0", "\x1b]0;x\a", "../../x", "=1", "1e400", "nan", "-inf", "$\\foo{$", "𝟙", "<<", "!!x"]),
)
NONSENSE = st.recursive(
    SCALARS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=8), values, max_size=4),
    max_leaves=8,
)


class Reader(NamedTuple):
    """A reader of a file.

    Arguments:
        path: the file, within a directory with valid files.
        read: reads it.
        seal: returns the file's content with the right checksum, and writes it to the path that it then must have.
        nonsense: draws well-formed nonsense, from the valid content.
    """

    path: Callable[[Path], Path]
    read: Callable[[Path], object]
    nonsense: Callable[[st.DataObject, bytes], bytes]
    seal: Callable[[bytes], bytes] = lambda content: content
    named_by_hash: bool = False


# Damage of every kind


def damaged(data: st.DataObject, reader: Reader, content: bytes) -> bytes:
    kind = data.draw(st.sampled_from(["nonsense", "bits", "bytes", "truncated", "random", "spliced"]), "kind")
    if kind == "nonsense":
        return reader.seal(reader.nonsense(data, content))
    if kind == "random":
        return data.draw(st.binary(max_size=200))
    place = data.draw(st.integers(0, max(0, len(content) - 1)), "place")
    changed = bytearray(content)
    if kind == "bits":
        changed[place] ^= 1 << data.draw(st.integers(0, 7), "bit")
    elif kind == "bytes":
        other = data.draw(st.binary(min_size=1, max_size=8), "bytes")
        changed[place : place + len(other)] = other
    elif kind == "truncated":
        del changed[place:]
    else:
        start = data.draw(st.integers(0, len(content)), "start")
        changed[place:place] = content[start : start + 100]
    sealed = data.draw(st.booleans(), "sealed")
    return reader.seal(bytes(changed)) if sealed else bytes(changed)


def nonsense_in(data: st.DataObject, value: Any) -> Any:
    """Replace one part of a value, or all of it, by nonsense."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(value)))
        return {**value, name: nonsense_in(data, value[name])}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], nonsense_in(data, value[index]), *value[index + 1 :]]
    return data.draw(NONSENSE, "nonsense")


def nonsense_json(data: st.DataObject, content: bytes) -> bytes:
    return json.dumps(nonsense_in(data, json.loads(content))).encode()


def nonsense_yaml(data: st.DataObject, content: bytes) -> bytes:
    return yaml.safe_dump(nonsense_in(data, yaml.safe_load(content)), allow_unicode=True).encode()


def nonsense_cells(data: st.DataObject, content: bytes) -> bytes:
    lines = [line.split(",") for line in content.decode().splitlines()]
    row = data.draw(st.integers(0, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[row]) - 1))
    lines[row][column] = str(data.draw(SCALARS)).encode("utf-8", "replace").decode()
    return "\n".join(map(",".join, lines)).encode()


def nonsense_parquet(data: st.DataObject, content: bytes) -> bytes:
    table = pq.read_table(pa.BufferReader(content))
    metadata = dict(table.schema.metadata or {})
    kind = data.draw(
        st.sampled_from(["metadata", "no metadata", "missing", "type", "rows", "values", "column"]), "kind"
    )
    index = data.draw(st.integers(0, table.num_columns - 1), "column")
    name = table.column_names[index]
    if kind == "metadata":
        metadata[b"nalm"] = json.dumps(nonsense_in(data, json.loads(metadata[b"nalm"]))).encode()
    elif kind == "no metadata":
        metadata = {}
    elif kind == "missing":
        table = table.drop_columns([name])
    elif kind == "rows":
        table = table.slice(0, data.draw(st.sampled_from([0, 1])))
    elif kind == "type":
        table = table.set_column(index, name, pa.array(["x"] * table.num_rows))
    elif kind == "values":
        nothing = pa.nulls(table.num_rows, table.schema.field(name).type)
        table = table.set_column(index, name, nothing)
    else:
        table = table.append_column("more", pa.array([1] * table.num_rows))
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def nonsense_checkpoint(data: st.DataObject, content: bytes) -> bytes:
    saved = torch.load(io.BytesIO(content.partition(b"\n")[2]), weights_only=True)
    buffer = io.BytesIO()
    torch.save(_nonsense_state(data, saved), buffer)
    return b"\n" + buffer.getvalue()


def _nonsense_state(data: st.DataObject, value: Any) -> Any:
    if isinstance(value, dict) and value and data.draw(st.integers(0, 3)):
        name = data.draw(st.sampled_from(sorted(value, key=str)))
        return {**value, name: _nonsense_state(data, value[name])}
    if isinstance(value, torch.Tensor) and data.draw(st.booleans()):
        return data.draw(
            st.sampled_from([value.to(torch.float64), value[..., :0], torch.full_like(value, 2**30), value[None]])
        )
    return data.draw(NONSENSE, "nonsense")


def nonsense_idx(data: st.DataObject, content: bytes) -> bytes:
    sizes = st.sampled_from([-1, 0, 1, 2, 28, 2**16, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)
    head = bytearray(content)
    struct.pack_into(">i", head, 4 * data.draw(st.integers(0, 3)), data.draw(sizes))
    return bytes(head)


def nonsense_events(data: st.DataObject, content: bytes) -> bytes:
    records = [bytearray(record) for record in _records(content)]
    if data.draw(st.booleans()):
        return b"".join(framed(data.draw(st.lists(st.binary(max_size=60), max_size=20))))
    record = records[data.draw(st.integers(0, len(records) - 1))]
    if record:
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    return b"".join(framed([bytes(record) for record in records]))


def _records(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        yield content[start + 12 : start + 12 + length]
        start += length + 16


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
