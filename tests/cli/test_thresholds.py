"""The commands ``nalm thresholds`` and ``nalm gold-error``."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixture_types import Cli, Refused

import nalm
from nalm.tasks.subsets import thresholds


def test_thresholds_of_an_experiment_are_shown_as_a_table(nalm_cli: Cli, tiny: Path) -> None:
    done = nalm_cli("thresholds", tiny)
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows = (line.split() for line in done.stdout.splitlines())
    assert header == ["variant", "task", "kind", "threshold", "comparison"]
    assert rows == [
        [variant, task, "flat", "1e-05", "<"] for variant in ("NMRU", "NRU") for task in ("U[1,2)", "negative")
    ]


@pytest.mark.parametrize("as_what", ["--json", "--csv"])
def test_thresholds_of_an_experiment_are_written_as_data(
    nalm_cli: Cli, write_yaml: Callable[..., Path], as_what: str
) -> None:
    path = write_yaml(task="task: {operation: div, threshold: gold}")
    done = nalm_cli("thresholds", path, as_what)
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = json.loads(done.stdout) if as_what == "--json" else csv.DictReader(done.stdout.splitlines())
    assert (row["variant"], row["task"], row["kind"], row["comparison"]) == ("NMRU", "U[1,2)", "gold", "<=")
    assert float(row["threshold"]) == nalm.thresholds(str(path))["threshold"].item()


def test_without_an_experiment_the_published_thresholds_are_simulated(
    nalm_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thresholds, "SIMULATED_ROWS", 2_000)
    done = nalm_cli("thresholds", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert len(rows) == 40
    assert list(rows[0]) == ["operation", "case", "threshold", "standard_error", "published", "relative_difference"]
    assert [row["operation"] for row in rows if row["case"] == "default"] == [
        *("add", "sub", "mul", "div", "squared", "root")
    ]
    for row in rows:
        assert abs(row["threshold"] - row["published"]) < 5 * row["standard_error"]


def test_gold_errors_are_shown_beside_the_published_ones(nalm_cli: Cli) -> None:
    done = nalm_cli("gold-error")
    assert (done.returncode, done.stderr) == (0, "")
    header, first, *others = done.stdout.splitlines()
    assert header.split() == ["module", "task", "range", "error", "published", "relative", "difference"]
    assert first.split()[:3] == ["RealNPU", "easy", "U[0,1e-8)"]
    assert first.split()[4] == "1.79971e+20"
    assert len(others) == 107


def test_gold_errors_are_drawn_and_written_as_data(nalm_cli: Cli, tmp_path: Path) -> None:
    done = nalm_cli("gold-error", "--csv", "-o", "gold.png")
    assert (done.returncode, done.stderr) == (0, "drew gold.png\n")
    assert (tmp_path / "gold.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [float(row["error"]) for row in rows] == nalm.gold_errors()["error"].tolist()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("gold-error", "--json", "--csv"), "found --json and --csv, expected one of them"),
        (("gold-error", "-o", "gold.jpeg"), "figures are saved as .pdf, .png, .svg: found '.jpeg' in gold.jpeg"),
        (("thresholds", "figure-33"), "found unknown experiment 'figure-33', expected one of: "),
        (("thresholds", "tiny.yaml", "--json", "--csv"), "found --json and --csv, expected one of them"),
    ],
)
def test_wrong_input_is_refused(refused: Refused, tiny: Path, arguments: tuple[str, ...], sentence: str) -> None:
    assert refused(*arguments).startswith(sentence)
