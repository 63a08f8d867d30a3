"""Published numbers: they are consistent, they match the catalog, and invalid files are refused."""

from pathlib import Path

import pytest

import nalm
from nalm.analysis.publications import HERE, PROVENANCE, Published, published_numbers, read_publication
from nalm.analysis.statistics import wilson
from nalm.errors import NalmError

FILE = """\
title: A paper
year: 2020
url: https://example.org/paper
tables:
  - setting: A setting
    provenance: T
    tasks: [one, two]
    runs: 25
    rows:
      - {variant: NMU, solved: [25, 20], iterations_mean: [1e3, null]}
"""


def published_of(name: str, variant: str) -> dict[str | None, Published]:
    return {r.task: r for r in published_numbers() if (r.experiment, r.variant) == (name, variant)}


def headline(variant: str, task: str) -> Published:
    """Return the numbers of the setting with a hundred runs of two layers."""
    (found,) = (
        record
        for record in published_numbers()
        if record.setting.startswith("Two layers, 100 inputs") and record.solved is not None
        if (record.variant, record.task) == (variant, task)
    )
    return found


# The numbers


@pytest.mark.parametrize(
    ("variant", "count", "rate", "low", "high"),
    [
        ("Real NPU (baseline)", "158/225", "70.2%", "63.9%", "75.8%"),
        ("Real NPU (modified)", "192/225", "85.3%", "80.1%", "89.4%"),
        ("NMRU", "206/225", "91.6%", "87.2%", "94.5%"),
    ],
)
def test_counts_of_the_redundancy_figure_round_to_the_rates_of_the_abstract(
    variant: str, count: str, rate: str, low: str, high: str
) -> None:
    (record,) = published_of("redundancy", variant).values()
    assert record.solved is not None
    assert record.runs is not None
    interval = wilson(record.solved, record.runs)
    assert f"{record.solved}/{record.runs}" == count
    assert [f"{value:.1%}" for value in (record.solved / record.runs, record.rate)] == [rate, rate]
    assert [f"{end:.1%}" for end in (interval.low, interval.high)] == [low, high]


@pytest.mark.parametrize(
    ("variant", "task", "solved", "above", "below"),
    [  # as the table of Neural Arithmetic Units prints them, in per cent
        ("NAC•", "mul", 31, 10, 8),
        ("NALU", "mul", 0, 4, 0),
        ("NMU", "mul", 98, 1, 5),
        ("NAC•,NMU", "mul", 93, 4, 7),
        ("NALU", "add", 14, 8, 5),
        ("ReLU", "add", 62, 9, 10),
        ("Linear", "sub", 7, 7, 4),
        ("NALU", "sub", 14, 8, 5),
    ],
)
def test_counts_of_two_layers_have_the_printed_intervals(
    variant: str, task: str, solved: int, above: int, below: int
) -> None:
    record = headline(variant, task)
    assert (record.solved, record.runs) == (solved, 100)
    interval = wilson(solved, 100)
    assert [round(100 * interval.high) - solved, solved - round(100 * interval.low)] == [above, below]


def test_the_nmu_multiplies_as_often_on_nine_ranges_as_on_each_of_them_together() -> None:
    records = published_of("primer-mul", "NMU")
    total = records.pop(None)
    assert total.over == tuple(records)
    assert total.solved == sum(record.solved or 0 for record in records.values()) == 212
    assert total.runs == sum(record.runs or 0 for record in records.values()) == 225


def test_printed_mean_iterations_and_those_of_the_published_runs_are_kept_apart() -> None:
    printed, sample = (
        record
        for record in published_numbers()
        if record.setting.startswith("Two layers, 100 inputs") and (record.variant, record.task) == ("NAU", "sub")
    )
    assert (printed.provenance, printed.iterations_mean, printed.sparsity_error) == ("T", 1.6e5, 6.6e-2)
    assert (sample.provenance, sample.iterations_mean, sample.sparsity_error) == ("D", 5.83e4, 1.9e-1)


def test_no_division_with_two_layers_succeeds() -> None:
    divisions = [
        record
        for record in published_numbers()
        if record.setting.startswith("Two layers, 100 inputs") and record.task == "div"
    ]
    assert len(divisions) == 9
    assert {record.solved for record in divisions} == {0}


def test_errors_of_neural_power_units_come_with_their_deviation_and_no_rate() -> None:
    records = [record for record in published_numbers() if record.title == "Neural Power Units"]
    (error,) = (r for r in records if (r.variant, r.task, r.runs) == ("RealNPU", "reciprocal", 10))
    assert (error.value, error.spread) == (1.4e-6, 4e-7)
    assert {record.success_rate for record in records} == {None}


def test_every_kind_of_provenance_is_used_and_no_number_is_from_memory() -> None:
    assert {record.provenance for record in published_numbers()} == PROVENANCE.keys()


# The catalog


def test_numbers_belong_to_experiments_of_the_catalog() -> None:
    named = {record.experiment for record in published_numbers() if record.experiment is not None}
    assert named <= set(nalm.experiment_names())
    assert {"redundancy", "primer-add", "primer-mul"} <= named


def test_no_variant_of_an_experiment_has_two_rates_on_a_task() -> None:
    rows = [
        (record.experiment, record.variant, record.task)
        for record in published_numbers()
        if record.experiment is not None and record.success_rate is not None
    ]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize(
    "name", [name for name in nalm.experiment_names() if name in {r.experiment for r in published_numbers()}]
)
def test_labels_are_those_of_the_catalog(name: str) -> None:
    experiment = nalm.load_experiment(name)
    records = [record for record in published_numbers() if record.experiment == name]
    assert {record.variant for record in records} <= set(experiment.variants)
    assert {record.task for record in records if record.over is None} <= set(experiment.tasks)
    assert {record.over for record in records if record.over is not None} <= {tuple(experiment.tasks)}


# The files


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "paper.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_has_a_record_for_every_variant_and_task_with_a_number(tmp_path: Path) -> None:
    records = read_publication(write(tmp_path, FILE.replace("20]", "null]")))
    assert [(r.variant, r.task, r.solved, r.runs, r.iterations_mean) for r in records] == [("NMU", "one", 25, 25, 1e3)]
    assert (records[0].source, records[0].provenance) == ("A paper (2020)", "T")


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ("    provenance: T\n", "", 5, "tables[0].provenance: found nothing, expected a value"),
        ("provenance: T", "provenance: M", 6, "found 'M', expected 'T', 'F', 'D', 'A' or 'C'"),
        ("runs: 25", "runs: 24", 10, "found 25 solved of 24 runs, expected at least as many runs"),
        ("    runs: 25\n", "", 9, "found 25 solved of None runs, expected at least as many runs"),
        ("[25, 20]", "[25, 20], rate: [1.0, 0.81]", 10, "found the rate 0.81 beside 20 solved of 25 runs"),
        ("[25, 20]", "[25]", 5, "NMU: found 1 numbers of solved, expected 2"),
        ("[25, 20]", "[25, -20]", 10, "found -20, expected greater than or equal to 0"),
        ("[1e3, null]", "[.nan, null]", 10, "found nan, expected a finite number"),
        ("iterations_mean", "value", 10, "found value 1000.0, spread None and unit None, expected"),
        ("iterations_mean", "iteration_mean", 10, "found unknown field 'iteration_mean', expected one of: variant, "),
        ("    tasks: [one, two]\n", "    experiment: redundancy\n", 5, "found 2 numbers of solved, expected 1"),
        ("url: https", "url: http", 3, "url: found 'http://example.org/paper', expected"),
        ("NMU, ", "NMU, solved: [1, 2], ", 10, "found the key 'solved' twice"),
    ],
)
def test_an_invalid_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, sentence: str) -> None:
    assert old in FILE
    path = write(tmp_path, FILE.replace(old, new))
    with pytest.raises(NalmError) as caught:
        read_publication(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert sentence in str(caught.value)


def test_a_total_without_its_tasks_is_refused(tmp_path: Path) -> None:
    text = FILE.replace("tasks: [one, two]", "experiment: redundancy").replace("[25, 20]", "[25]")
    path = write(tmp_path, text.replace("[1e3, null]", "[1e3]"))
    with pytest.raises(NalmError, match="expected either a task, or the tasks that the number is over"):
        read_publication(path)


def test_two_rates_of_the_same_thing_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, FILE + "      - {variant: NMU, rate: [null, 0.8]}\n")
    with pytest.raises(NalmError, match=r"found 2 rates of NMU on two \(A setting\), expected one"):
        read_publication(path)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_has_numbers(path: Path) -> None:
    assert len(read_publication(path)) > 0
