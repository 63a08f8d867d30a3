"""Importing TensorBoard folders of the original."""

import errno
import io
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.fixture_types import Cli
from tests.original.originals import RUN, name, write_rows

import nalm
from nalm.original.event_records import DamagedFileError, framed, read_records

Series = Mapping[str, Sequence[float]]
EVENTS = "events.out.tfevents.1.host"


def write_events(folder: Path, series: Series, every: int = 10, first: int = 0) -> Path:
    """Write an event file as the original does: each scalar in an event of its own."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for row in range(max(map(len, series.values()))):
        for index, (tag, values) in enumerate(series.items()):
            if row < len(values):
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=values[row])])
                event = Event(wall_time=100.0 * row + index, step=first + every * row, summary=summary)
                writer.write(event.SerializeToString())
    folder.mkdir(parents=True)
    (folder / EVENTS).write_bytes(buffer.getvalue())
    return folder


def test_folders_of_tensorboard_are_imported(tmp_path: Path) -> None:
    logs = tmp_path / "tensorboard"
    write_events(
        logs / name("figure-3", "NRU", "U[1,2)"),
        {
            "metric/valid/interpolation": [0.5, 0.25],
            "metric/test/extrapolation": [2.0, 2**-20],
            "network/layer_1/nru/W/sparsity_error": [0.5, 0.125],
            "L1/train/beta": [1.0, 1.0],
            "loss/train/critation": [0.75, 0.0625],
            "loss/train/regualizer": [0.0, 1.0],
            "loss/train/total": [0.75, 1.0625],
        },
    )
    imported = nalm.import_results([logs], tmp_path / "new", "figure-3")
    assert imported.runs == 1
    found = nalm.load(tmp_path / "new").run("NRU", "U[1,2)", 0)
    assert found.history().to_dict(orient="list") == {
        "iteration": [0, 10],
        "wall_time": [0.0, 100.0],
        "validation_error": [0.5, 0.25],
        "test_error": [2.0, 2**-20],
        "sparsity_error": [0.5, 0.125],
        "criterion": [0.75, 0.0625],
        "penalty": [0.0, 1.0],
    }
    assert found.outcome()["solved"]


def test_the_imaginary_sparsity_error_is_added_and_that_of_gates_is_not(tmp_path: Path) -> None:
    errors = {"metric/valid/interpolation": [0.5], "metric/test/extrapolation": [2.0]}
    parts = {"W_real": [0.25], "W_im": [0.5], "gate": [0.4]}
    sparsity = {f"network/layer_1/npu/{part}/sparsity_error": values for part, values in parts.items()}
    write_events(tmp_path / "logs" / name("figure-15", "NPU (no constraints)", "U[1,2)"), errors | sparsity)
    nalm.import_results([tmp_path / "logs"], tmp_path / "new", "figure-15")
    (run,) = nalm.load(tmp_path / "new").trained
    assert run.sparsity_errors.tolist() == [0.75]


def test_a_log_that_ends_between_two_scalars_has_the_complete_evaluations(tmp_path: Path) -> None:
    errors = {"metric/valid/interpolation": [0.5, 0.25], "metric/test/extrapolation": [2.0]}
    write_events(tmp_path / RUN, errors)
    nalm.import_results([tmp_path / RUN], tmp_path / "new")
    (run,) = nalm.load(tmp_path / "new").trained
    assert (run.iterations.tolist(), bool(np.isnan(run.sparsity_errors).all())) == ([0], True)


def test_wrong_logs_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    write_events(tmp_path / "other" / RUN, {"accuracy": [1.0]})
    assert "found no scalars 'metric/valid/interpolation'" in refused("import", "other", "--out", "new")
    folder = write_events(tmp_path / "apart" / RUN, {"metric/valid/interpolation": [1.0]})
    write_events(tmp_path / "later", {"metric/test/extrapolation": [1.0]}, first=1)
    with (folder / EVENTS).open("ab") as file:
        file.write((tmp_path / "later" / EVENTS).read_bytes())
    assert "found no step with both 'metric/valid/interpolation' and " in refused("import", "apart", "--out", "new")
    write_events(tmp_path / "two" / RUN, {"metric/valid/interpolation": [1.0]})
    (tmp_path / "two" / RUN / "events.out.tfevents.2.host").touch()
    assert refused("import", "two", "--out", "new").startswith("found 2 event files in ")
    (tmp_path / "broken" / RUN).mkdir(parents=True)
    (tmp_path / "broken" / RUN / "events.out.tfevents.1").write_bytes(struct.pack("<Q", 99) * 9)
    assert f"broken/{RUN}" in refused("import", "broken", "--out", "new")


def test_logs_that_cannot_be_read_are_not_called_wrong(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "events.out.tfevents.1").symlink_to("nowhere")
    with pytest.raises(nalm.NalmError, match=r"^cannot read .+/gone/events.out.tfevents.1: No such file or directory$"):
        nalm.import_results([tmp_path / "gone"], tmp_path / "new")
    (tmp_path / "gone" / "events.out.tfevents.1").unlink()

    def broken_disk(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_events(tmp_path / "broken" / RUN, {"metric/valid/interpolation": [1.0]})
    monkeypatch.setattr("nalm.original.files.read_records", broken_disk)
    assert refused("import", "broken", "--out", "new").endswith(": Input/output error")


ERRORS = {"metric/valid/interpolation": [0.5, 0.25, 0.125], "metric/test/extrapolation": [2.0, 1.0, 0.5]}


@given(data=st.data())
def test_every_flipped_bit_is_damage_that_is_named(data: st.DataObject, event_file: bytes) -> None:
    bit = data.draw(st.integers(0, 8 * len(event_file) - 1))
    damaged = bytearray(event_file)
    damaged[bit // 8] ^= 1 << bit % 8
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, EVENTS)
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError) as refusal:
            list(read_records(path))
    offsets = np.cumsum([0, *(len(record) + 16 for record in records(event_file))])
    named = offsets[np.searchsorted(offsets, bit // 8, "right") - 1]
    assert str(refusal.value).startswith(f"{path}: found ")
    assert f" at byte {named}: " in str(refusal.value)


@pytest.fixture(scope="module")
def event_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An event file of a run with three evaluations."""
    return (write_events(tmp_path_factory.mktemp("logs") / RUN, ERRORS) / EVENTS).read_bytes()


def records(content: bytes) -> list[bytes]:
    """The records of a whole file, apart from the code that is tested."""
    found, start = [], 0
    while start < len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        found.append(content[start + 12 : start + 12 + length])
        start += length + 16
    return found


def test_records_of_any_number_and_length_are_read(tmp_path: Path) -> None:
    for lengths in ([], [0], [0] * 40, [70_000, 3], [*range(300), 5_000_000, 7], [1] * 100_000):
        written = [bytes([index % 251]) * length for index, length in enumerate(lengths)]
        (tmp_path / EVENTS).write_bytes(b"".join(framed(written)))
        assert list(read_records(tmp_path / EVENTS)) == written


@pytest.mark.parametrize("missing", [1, 5, 17, 40])
def test_a_record_without_its_end_is_damage(missing: int, event_file: bytes, tmp_path: Path) -> None:
    (tmp_path / EVENTS).write_bytes(event_file[:-missing])
    with pytest.raises(DamagedFileError, match=r"found \d+ bytes of a longer record at byte \d+: the end is missing"):
        list(read_records(tmp_path / EVENTS))


def test_a_length_beyond_the_file_reserves_no_memory(tmp_path: Path) -> None:
    (tmp_path / EVENTS).write_bytes(framed_length(2**62) + b"x" * 40)
    with pytest.raises(DamagedFileError, match="found 52 bytes of a longer record at byte 0"):
        list(read_records(tmp_path / EVENTS))
    with (tmp_path / EVENTS).open("r+b") as file:
        file.write(framed_length(2**31))
        file.truncate(2**32)  # takes no room on the disk
    with pytest.raises(nalm.NalmError, match="found a record of 2,147,483,648 bytes at byte 0, expected "):
        list(read_records(tmp_path / EVENTS))


def framed_length(length: int) -> bytes:
    head = struct.pack("<Q", length)
    return head + framed([head])[0][-4:]


def test_a_pipe_named_like_an_event_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / EVENTS)
    with pytest.raises(nalm.NalmError, match="found no regular file"):
        list(read_records(tmp_path / EVENTS))


def test_damaged_runs_are_refused_or_left_out_and_counted(
    refused: Callable[..., str], nalm_cli: Cli, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    write_events(logs / name("figure-3", "NRU", "U[1,2)"), ERRORS)
    path = write_events(logs / name("figure-3", "NRU", "U[1,2)", 1), ERRORS) / EVENTS
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    sentence = refused("import", "logs", "--out", "new", "--experiment", "figure-3")
    assert sentence.startswith(f"{path.relative_to(tmp_path)}: found a wrong checksum at byte ")
    assert sentence.endswith("(--skip-damaged leaves such runs out)")
    done = nalm_cli("import", "logs", "--out", "new", "--experiment", "figure-3", "--skip-damaged")
    assert (done.returncode, done.stdout) == (0, "")
    added, left_out = done.stderr.splitlines()
    assert added == "added 1 runs of figure-3 to new"
    assert left_out == f"nalm: 1 runs are left out: their files are damaged, such as {path.relative_to(tmp_path)}"
    shutil.rmtree(logs / name("figure-3", "NRU", "U[1,2)"))
    assert refused("import", "logs", "--out", "other", "--skip-damaged").startswith(
        "found only damaged files, such as "
    )


def test_a_copy_that_tensorboard_has_rounded_is_the_same_run(tmp_path: Path) -> None:
    errors = {"metric/valid/interpolation": [0.1], "metric/test/extrapolation": [1e-60]}
    write_events(tmp_path / "logs" / RUN, errors | {"network/layer_1/nru/W/sparsity_error": [1 / 3]})
    path = write_rows(tmp_path / "x.csv", [(RUN, 0.1, 0, 0, 1e-60, 1 / 3)])
    imported = nalm.import_results([path, tmp_path / "logs"], tmp_path / "new")
    assert (imported.runs, imported.there) == (1, 1)
