"""The benchmark measures what it says."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixture_types import Cli

import nalm
from nalm.errors import NalmError
from nalm.workflows import benchmark
from nalm.workflows.benchmark import Procedure

Repetitions = list[tuple[float, float]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SEEDS", 1)
    monkeypatch.setattr(benchmark, "QUICK", Procedure(ensemble=20, plain=20, repetitions=6, seconds=600.0))
    monkeypatch.setattr(benchmark, "THOROUGH", Procedure(ensemble=40, plain=30, repetitions=5, seconds=0.0))


MEDIANS = ("us_per_run_iteration", "plain_us", "ratio")


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was measured, with its iterations. Ensembles take 1, 2, 3 … µs; plain loops 100 times as much, fused 150."""
    measured: list[tuple[str, int]] = []

    def ensemble(recipe: object, runs: object, iterations: int) -> float:
        measured.append(("ensemble", iterations))
        return microseconds()

    def plain(recipe: object, task: object, iterations: int, fused: bool) -> float:
        measured.append(("fused" if fused else "plain", iterations))
        return 100 * microseconds() * (1.5 if fused else 1)

    def microseconds() -> float:
        return 1e-6 * (sum(kind == "ensemble" for kind, _ in measured) - 1)  # the first warms up

    monkeypatch.setattr(benchmark, "_time_ensemble", ensemble)
    monkeypatch.setattr(benchmark, "plain_loop", plain)
    return measured


def test_ensemble_and_plain_loop_alternate_after_a_short_warm_up(times: list[tuple[str, int]]) -> None:
    nalm.benchmark(["NMRU"])
    rounds = [times[start : start + 3] for start in range(0, len(times), 3)]
    assert [[kind for kind, _ in measured] for measured in rounds] == 7 * [["ensemble", "plain", "fused"]]
    assert {iterations for _, iterations in rounds[0]} == {10}
    assert {iterations for measured in rounds[1:] for _, iterations in measured} == {20}


def test_a_row_has_median_lowest_and_highest_of_the_repetitions(times: list[tuple[str, int]]) -> None:
    (row,) = nalm.benchmark(["NMRU"])
    assert row["repetitions"] == 6
    for name, scale in (("us_per_run_iteration", 1), ("plain_us", 100)):
        found = [row[name + end] for end in ("", "_low", "_high")]
        assert found == pytest.approx([3.5 * scale, scale, 6 * scale])
    assert [row["ratio"], row["ratio_low"], row["ratio_high"]] == pytest.approx([100, 100, 100])


def test_a_thorough_benchmark_repeats_longer_trainings_five_times(times: list[tuple[str, int]]) -> None:
    (row,) = nalm.benchmark(["NMRU"], thorough=True)
    assert row["repetitions"] == 5
    assert times[3:6] == [("ensemble", 40), ("plain", 30), ("fused", 30)]


@pytest.mark.usefixtures("times")
def test_modules_share_the_time_and_each_is_measured_five_times_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: list[float] = []

    def repeat(procedure: Procedure, measure: Callable[[], tuple[float, float]], end: float) -> Repetitions:
        seconds.append(end - time.perf_counter())
        return original(procedure, measure, 0.0)

    original = Procedure.repeat
    monkeypatch.setattr(Procedure, "repeat", repeat)
    rows = nalm.benchmark(["NMRU", "NRU"], [2, 3, 10])
    assert [row["repetitions"] for row in rows] == 6 * [5]
    assert all(90 < share < 100 for share in seconds)


@pytest.mark.usefixtures("times")
def test_the_table_shows_the_range_of_the_repetitions_beside_the_median(nalm_cli: Cli) -> None:
    header, row = nalm_cli("bench", "NMRU").stdout.splitlines()
    assert not [name for name in header.split() if name.endswith(("_low", "_high"))]
    assert "3.50 (1.00–6.00)" in row
    assert "350 (100–600)" in row


@pytest.mark.usefixtures("times")
def test_json_has_the_numbers_in_columns_of_their_own(nalm_cli: Cli) -> None:
    (row,) = json.loads(nalm_cli("bench", "NMRU", "--thorough", "--json").stdout)
    assert row["repetitions"] == 5
    assert all(row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] for name in MEDIANS)


@pytest.mark.compiled
def test_a_benchmark_has_a_row_per_module_and_number_of_inputs() -> None:
    heard: list[str] = []
    (row,) = nalm.benchmark(["NMRU"], [3], heard.append)
    medians = [name + end for name in MEDIANS for end in ("", "_low", "_high")]
    assert list(row) == ["module", "inputs", "runs", "repetitions", *medians, "floor_us", "floor_factor"]
    assert (row["module"], row["inputs"], row["runs"]) == ("NMRU", 3, 9)
    assert all(0 < row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] for name in MEDIANS)
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
