"""The benchmark measures what it says."""

from pathlib import Path

import pytest

import nalm
from nalm.errors import NalmError
from nalm.workflows import benchmark


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, value in (("REPETITIONS", 1), ("ENSEMBLE_ITERATIONS", 20), ("PLAIN_ITERATIONS", 20), ("SEEDS", 1)):
        monkeypatch.setattr(benchmark, constant, value)


@pytest.mark.compiled
def test_a_benchmark_has_a_row_per_module_and_number_of_inputs() -> None:
    heard: list[str] = []
    (row,) = nalm.benchmark(["NMRU"], [3], heard.append)
    fields = ["module", "inputs", "runs", "us_per_run_iteration", "plain_us", "ratio", "floor_us", "floor_factor"]
    assert list(row) == fields
    assert (row["module"], row["inputs"], row["runs"]) == ("NMRU", 3, 9)
    assert row["ratio"] == pytest.approx(row["plain_us"] / row["us_per_run_iteration"])
    assert heard == ["measuring NMRU with 3 inputs"]
    assert row["floor_us"] is None
    assert row["floor_factor"] is None


@pytest.mark.compiled
@pytest.mark.slow
def test_a_floor_is_measured_by_the_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "floor.py"
    file.write_text("def floor(module, inputs):\n    return 2.0 if module == 'NMRU' else None\n")
    known, unknown = nalm.benchmark(["NMRU", "NAU"], [2], floor=file)
    assert known["floor_us"] == 2.0
    assert known["floor_factor"] == pytest.approx(known["us_per_run_iteration"] / 2)
    assert unknown["floor_factor"] is None


def test_a_file_without_a_floor_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "floor.py"
    file.write_text("")
    with pytest.raises(NalmError, match="found no function floor"):
        nalm.benchmark(["NMRU"], [2], floor=file)


def test_a_floor_that_cannot_be_measured_says_why(tmp_path: Path) -> None:
    file = tmp_path / "floor.py"
    file.write_text("def floor(module, inputs):\n    raise RuntimeError('no compiler')\n")
    with pytest.raises(NalmError, match="cannot measure the floor: no compiler"):
        nalm.benchmark(["NMRU"], [2], floor=file)


def test_a_floor_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NalmError, match="found no file"):
        nalm.benchmark(["NMRU"], [2], floor=tmp_path / "floor.py")


@pytest.mark.slow
@pytest.mark.compiled
def test_the_floor_of_the_repository_computes_what_the_ensemble_computes() -> None:
    file = Path(benchmark.__file__).parents[3] / "benchmarks" / "floor.py"
    (row,) = nalm.benchmark(["NMRU"], [2], floor=file)
    assert row["floor_us"] > 0
