"""The benchmark measures what it says."""

import pytest

import nalm
from nalm.sweeps import benchmark


@pytest.mark.compiled
def test_a_benchmark_has_a_row_per_module_and_number_of_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, value in (("REPETITIONS", 1), ("ENSEMBLE_ITERATIONS", 20), ("PLAIN_ITERATIONS", 20), ("SEEDS", 1)):
        monkeypatch.setattr(benchmark, constant, value)
    heard: list[str] = []
    (row,) = nalm.benchmark(["NMRU"], [3], heard.append)
    assert list(row) == ["module", "inputs", "runs", "us_per_run_iteration", "plain_us", "ratio"]
    assert (row["module"], row["inputs"], row["runs"]) == ("NMRU", 3, 9)
    assert row["ratio"] == pytest.approx(row["plain_us"] / row["us_per_run_iteration"])
    assert heard == ["measuring NMRU with 3 inputs"]
