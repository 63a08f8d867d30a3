"""Importing TensorBoard folders of the original."""

import errno
import io
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.original.originals import RUN, name, write_rows

import nalm

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

    class BrokenDisk:
        def __init__(self, path: str) -> None:
            self.path = path

        def Load(self) -> None:  # noqa: N802
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_events(tmp_path / "broken" / RUN, {"metric/valid/interpolation": [1.0]})
    loader = "tensorboard.backend.event_processing.event_file_loader.LegacyEventFileLoader"
    monkeypatch.setattr(loader, BrokenDisk)
    assert refused("import", "broken", "--out", "new").endswith(": Input/output error")


def test_a_copy_that_tensorboard_has_rounded_is_the_same_run(tmp_path: Path) -> None:
    errors = {"metric/valid/interpolation": [0.1], "metric/test/extrapolation": [1e-60]}
    write_events(tmp_path / "logs" / RUN, errors | {"network/layer_1/nru/W/sparsity_error": [1 / 3]})
    path = write_rows(tmp_path / "x.csv", [(RUN, 0.1, 0, 0, 1e-60, 1 / 3)])
    imported = nalm.import_results([path, tmp_path / "logs"], tmp_path / "new")
    assert (imported.runs, imported.there) == (1, 1)
