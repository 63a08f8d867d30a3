"""A results directory that was made before the package was redesigned is read, resumed and summarized as it was then.

It has finished shards (of single modules, of two layers on sequences, with restarts and early stopping), an import, and
checkpoints of shards that were interrupted; ``results.json`` has what the same runs came to then, on an eager CPU.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

import nalm

FROZEN = Path(__file__).parent / "frozen"
GOLDEN: dict[str, Any] = json.loads((FROZEN / "results.json").read_text(encoding="utf-8"))
INTERRUPTED = ("interrupted", "interrupted-vectors")

RELATIVE, ABSOLUTE = 1e-8, 1e-24
"""Processors add the terms of a sum in other orders; on one processor the numbers are the same to the last bit."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the directory."""
    return Path(shutil.copytree(FROZEN / "results", tmp_path / "results"))


@pytest.fixture
def resumed(old: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy whose interrupted experiments have been finished, by the versions that the checkpoints were made with."""
    for library, module in (("nalm", nalm), ("numpy", np), ("torch", torch)):
        monkeypatch.setattr(module, "__version__", GOLDEN["versions"][library])
    for name in INTERRUPTED:
        nalm.run(nalm.load(old, name).experiment, old, workers=0, compiled=False)
    return old


def frames(directory: Path, name: str) -> dict[str, pd.DataFrame]:
    results = nalm.load(directory, name)
    return {"runs": results.runs(), "summary": results.summary()}


def assert_as_before(found: dict[str, pd.DataFrame], golden: dict[str, Any]) -> None:
    for kind, frame in found.items():
        expected = pd.DataFrame(golden[kind])
        assert list(frame) == list(expected)
        for column in frame:
            now, then = (
                list(values.astype(object).where(values.notna(), None)) for values in (frame[column], expected[column])
            )
            if any(isinstance(value, float) for value in now):
                np.testing.assert_allclose(
                    np.array(now, float), np.array(then, float), err_msg=str(column), rtol=RELATIVE, atol=ABSOLUTE
                )
            else:
                assert now == then, column


@pytest.mark.parametrize("name", GOLDEN["frames"])
def test_old_results_are_summarized_as_they_were(old: Path, name: str) -> None:
    assert_as_before(frames(old, name), GOLDEN["frames"][name])


def test_interrupted_shards_resume_to_what_they_came_to_then(resumed: Path) -> None:
    for name in INTERRUPTED:
        assert_as_before(frames(resumed, name), GOLDEN["frames_resumed"][name])


def test_resumed_shards_have_the_rows_that_they_had_then(resumed: Path) -> None:
    found = {
        row["key"]: row for path in (resumed / "shards").glob("*.parquet") for row in pq.read_table(path).to_pylist()
    }
    for key, golden in GOLDEN["resumed"].items():
        assert set(found[key]) == {*golden, "key", "wall_time"}
        for column, then in golden.items():
            now = found[key][column]
            if isinstance(then, str) or then is None or not np.size(then):
                assert now == then, column
            else:
                np.testing.assert_allclose(
                    np.array(now, float), np.array(then, float), err_msg=column, rtol=RELATIVE, atol=ABSOLUTE
                )


def test_shards_go_on_at_the_iteration_of_their_checkpoint(resumed: Path) -> None:
    said = (json.loads(pq.read_metadata(path).metadata[b"nalm"]) for path in (resumed / "shards").glob("*.parquet"))
    assert sorted(about["resumed_at"] for about in said) == GOLDEN["resumed_at"]
    assert not list((resumed / "running").glob("*.checkpoint"))


def test_old_results_lack_no_run_that_was_finished(old: Path) -> None:
    for name in ("finished", "vectors"):
        assert nalm.forecast(nalm.load(old, name).experiment, old).missing == 0
