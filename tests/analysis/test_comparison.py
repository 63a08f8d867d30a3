"""Comparison with published numbers, of two results directories, and of two variants."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.columns import SUMMARY_COLUMNS

import nalm
from nalm.analysis import comparison
from nalm.analysis.proportions import mcnemar, newcombe, newcombe_paired
from nalm.analysis.publications import Published
from nalm.analysis.statistics import wilson
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, Shard
from nalm.spec.recipe import Recipe
from nalm.store.store import Store
from nalm.training.history import History

Outcomes = Mapping[str, Mapping[str, Sequence[bool]]]
Fill = Callable[..., Path]

COLUMNS = [
    "experiment",
    *SUMMARY_COLUMNS[: SUMMARY_COLUMNS.index("success_high") + 1],
    "published_runs",
    "published_solved",
    "published_rate",
    "provenance",
    "source",
    "url",
    "difference",
    "difference_low",
    "difference_high",
    "verdict",
    "changed",
]
PAIR_COLUMNS = [
    "experiment",
    "variant",
    "task",
    "pairs",
    "both",
    "first_only",
    "second_only",
    "neither",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "verdict",
    "changed",
]
RANGES = list(nalm.load_experiment("redundancy").tasks)


@pytest.fixture
def fill(tmp_path: Path, history: Callable[..., History]) -> Fill:
    """Return a function that makes a results directory with known outcomes."""

    def make(experiment: Experiment, outcomes: Outcomes, directory: str = "results") -> Path:
        store = Store(tmp_path / directory)
        store.make_directories()
        store.experiments.save(experiment)
        for variant, tasks in outcomes.items():
            recipe = experiment.variants[variant]
            fates = [
                (Run(recipe, experiment.tasks[task], seed), 1e-9 if solved else 1.0)
                for task, outcomes_by_seed in tasks.items()
                for seed, solved in zip(experiment.seeds, outcomes_by_seed, strict=False)
            ]
            errors = [[error for _, error in fates]]
            shard = Shard(recipe, tuple(run for run, _ in fates))
            store.add(shard, history(errors, errors), {"device": "cpu"})
        return store.path

    return make


def counts(solved: Sequence[int], runs: int = 25) -> dict[str, list[bool]]:
    """Return outcomes of 25 seeds with given numbers of solved runs on the nine ranges."""
    return {task: [seed < count for seed in range(runs)] for task, count in zip(RANGES, solved, strict=True)}


def spread(solved: int) -> dict[str, list[bool]]:
    """Return outcomes of 225 runs with a given number of solved ones."""
    return counts([min(25, max(0, solved - 25 * place)) for place in range(9)])


def row(table: pd.DataFrame, variant: str, task: str | None = None) -> dict[str, Any]:
    on_task = table["task"].isna() if task is None else table["task"] == task
    (found,) = table[(table["variant"] == variant) & on_task].to_dict(orient="records")
    return {str(name): value for name, value in found.items()}


@pytest.fixture
def redundancy() -> Experiment:
    return nalm.load_experiment("redundancy")


@pytest.fixture
def primer() -> Experiment:
    """Return an experiment named as the Primer's multiplication, whose numbers are published per range."""
    recipes = {
        variant: Recipe.model_validate({"module": "NMU", "learning_rate": rate})
        for variant, rate in (("NMU", 1e-3), ("MulMCFC", 1e-2))
    }
    tasks = nalm.load_experiment("figure-3").tasks
    return Experiment(name="primer-mul", title="×", variants=recipes, tasks=tasks, seeds=tuple(range(25)))


# Beside published numbers


def test_equal_counts_agree_with_the_paper(fill: Fill, redundancy: Experiment) -> None:
    table = nalm.compare(fill(redundancy, {"NMRU": spread(206)}))
    assert list(table.columns) == COLUMNS
    found = row(table, "NMRU")
    assert (found["experiment"], found["runs"], found["solved"]) == ("redundancy", 225, 206)
    interval = wilson(206, 225)
    assert (found["success_low"], found["success_high"]) == (interval.low, interval.high)
    assert (found["published_runs"], found["published_solved"], found["published_rate"]) == (225, 206, 206 / 225)
    assert (found["provenance"], found["url"]) == ("A", "https://arxiv.org/abs/2110.05177")
    assert found["source"] == "Learning Division with Neural Arithmetic Logic Modules (2021)"
    expected = newcombe((206, 225), (206, 225))
    assert [found[f"difference{end}"] for end in ("", "_low", "_high")] == [0, expected.low, expected.high]
    assert found["verdict"] == "agrees"
    assert pd.isna(found["changed"])


@pytest.mark.parametrize(("solved", "verdict"), [(192, "differs"), (193, "agrees"), (216, "agrees"), (217, "differs")])
def test_the_verdict_tells_whether_the_interval_of_the_difference_includes_0(
    fill: Fill, redundancy: Experiment, solved: int, verdict: str
) -> None:
    found = row(nalm.compare(fill(redundancy, {"NMRU": spread(solved)})), "NMRU")
    assert found["verdict"] == verdict
    assert (found["difference_low"] <= 0 <= found["difference_high"]) == (verdict == "agrees")


def test_a_published_rate_outside_our_interval_can_agree_because_it_is_uncertain_too(
    fill: Fill, redundancy: Experiment
) -> None:
    found = row(nalm.compare(fill(redundancy, {"NMRU": spread(195)})), "NMRU")
    assert found["success_high"] < found["published_rate"]
    assert found["verdict"] == "agrees"


def test_fewer_seeds_than_published_are_compared_with_a_wider_interval(fill: Fill, redundancy: Experiment) -> None:
    few = row(nalm.compare(fill(redundancy, {"NMRU": counts([2] * 9, runs=3)})), "NMRU")
    assert (few["runs"], few["solved"], few["published_runs"]) == (27, 18, 225)
    expected = newcombe((18, 27), (206, 225))
    assert (few["difference_low"], few["difference_high"]) == (expected.low, expected.high)


def test_variants_and_tasks_without_published_numbers_say_so(fill: Fill, redundancy: Experiment) -> None:
    table = nalm.compare(fill(redundancy, {"NRU": spread(100), "NMRU": spread(206)}))
    assert len(table) == 20
    for found in (row(table, "NRU"), row(table, "NRU", "U[1,2)"), row(table, "NMRU", "U[1,2)")):
        assert found["verdict"] == "nothing published"
        cited = ["published_runs", "published_solved", "published_rate", "provenance", "source", "url"]
        assert all(pd.isna(found[name]) for name in [*cited, "difference", "difference_low", "difference_high"])


@pytest.mark.parametrize("missing", ["a run", "a task"])
def test_a_total_over_another_mix_of_tasks_is_not_compared(fill: Fill, redundancy: Experiment, missing: str) -> None:
    outcomes = spread(206)
    if missing == "a run":
        outcomes["U[1,2)"].pop()
    else:
        del outcomes["U[1,2)"]
    found = row(nalm.compare(fill(redundancy, {"NMRU": outcomes})), "NMRU")
    assert (found["verdict"], found["published_solved"]) == ("other tasks", 206)
    assert pd.isna(found["difference"])


def test_numbers_published_per_range_are_compared_per_range_and_summed(fill: Fill, primer: Experiment) -> None:
    outcomes = {"NMU": counts([25, 20, 17, *[25] * 6]), "MulMCFC": counts([25, *[0] * 8])}
    table = nalm.compare(fill(primer, outcomes))
    assert {row(table, "NMU", task)["verdict"] for task in [*RANGES, None]} == {"agrees"}
    assert [row(table, "NMU", task)["published_solved"] for task in (RANGES[2], None)] == [17, 212]
    assert [row(table, "MulMCFC", task)["verdict"] for task in RANGES] == [
        "differs",
        *["agrees"] * 4,
        *["differs"] * 4,
    ]
    total = row(table, "MulMCFC")
    assert (total["published_solved"], total["published_runs"], total["verdict"]) == (100, 225, "differs")


def test_a_sum_is_over_the_tasks_that_were_trained(fill: Fill, primer: Experiment) -> None:
    some = {task: outcomes for task, outcomes in counts([25] * 9).items() if task in RANGES[1:3]}
    total = row(nalm.compare(fill(primer, {"NMU": some})), "NMU")
    assert (total["runs"], total["published_solved"], total["published_runs"]) == (50, 37, 50)
    assert total["verdict"] == "differs"


@pytest.mark.parametrize("runs", [None, 50])
def test_a_rate_over_an_unknown_number_of_runs_is_shown_without_a_difference(
    fill: Fill, primer: Experiment, monkeypatch: pytest.MonkeyPatch, runs: int | None
) -> None:
    about = {"title": "A paper", "year": 2020, "url": "https://example.org", "setting": "A setting", "provenance": "F"}
    rates = tuple(
        Published.model_validate(about | {"experiment": "primer-mul", "variant": "NMU", "task": task, "rate": 0.5})
        for task in RANGES
    )
    monkeypatch.setattr(comparison, "published_numbers", lambda: rates)
    table = nalm.compare(fill(primer, {"NMU": counts([25] * 9)}))
    found = row(table, "NMU", "U[1,2)")
    assert (found["verdict"], found["published_rate"], found["provenance"]) == ("no count published", 0.5, "F")
    assert pd.isna(found["published_solved"])
    assert pd.isna(found["difference"])
    assert row(table, "NMU")["verdict"] == "nothing published"


def test_fields_that_differ_from_the_catalog_are_named(fill: Fill, redundancy: Experiment) -> None:
    changed = redundancy.changed({"learning_rate": 0.5, "iterations": 7}, only="NMRU")
    table = nalm.compare(fill(changed, {"NMRU": spread(206), "NRU": spread(0)}))
    assert row(table, "NMRU")["changed"] == "learning_rate, iterations"
    assert pd.isna(row(table, "NRU")["changed"])


def test_experiments_outside_the_catalog_are_not_compared_with_it(results: Path) -> None:
    table = nalm.compare(results)
    assert set(table["verdict"]) == {"nothing published"}
    assert table["changed"].isna().all()
    assert table["task"].isna().sum() == 2


def test_every_experiment_of_a_directory_or_the_named_one_is_compared(
    fill: Fill, redundancy: Experiment, primer: Experiment
) -> None:
    path = fill(redundancy, {"NMRU": spread(206)})
    fill(primer, {"NMU": counts([25] * 9)})
    assert list(nalm.compare(path)["experiment"].unique()) == ["primer-mul", "redundancy"]
    assert list(nalm.compare(path, "redundancy")["experiment"].unique()) == ["redundancy"]


def test_an_experiment_without_finished_runs_is_mentioned_if_there_are_others_and_refused_if_not(
    fill: Fill, redundancy: Experiment, primer: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    path = fill(redundancy, {"NMRU": spread(206)})
    fill(primer, {})
    assert list(nalm.compare(path)["experiment"].unique()) == ["redundancy"]
    assert f"found no finished runs of primer-mul in '{path}'" in caplog.messages
    with pytest.raises(NalmError, match=r"^found no finished runs of primer-mul in "):
        nalm.compare(path, "primer-mul")


# Two sets of results


def pairs(both: int, first_only: int, second_only: int, neither: int) -> tuple[list[bool], list[bool]]:
    table = [(True, True)] * both + [(True, False)] * first_only
    table += [(False, True)] * second_only + [(False, False)] * neither
    return [one for one, _ in table], [other for _, other in table]


def test_pairs_are_counted_and_judged_task_by_task_and_together(fill: Fill, primer: Experiment) -> None:
    one, other = pairs(10, 9, 1, 5), pairs(20, 1, 2, 2)
    first = fill(primer, {"NMU": {RANGES[0]: one[0], RANGES[1]: other[0]}}, "first")
    second = fill(primer, {"NMU": {RANGES[0]: one[1], RANGES[1]: other[1]}}, "second")
    table = nalm.compare_results(first, second)
    assert list(table.columns) == PAIR_COLUMNS
    assert len(table) == 3
    for task, expected in ((RANGES[0], (10, 9, 1, 5)), (RANGES[1], (20, 1, 2, 2)), (None, (30, 10, 3, 7))):
        found = row(table, "NMU", task)
        assert tuple(found[name] for name in ("both", "first_only", "second_only", "neither")) == expected
        interval = newcombe_paired(*expected)
        assert found["pairs"] == sum(expected)
        assert [found[f"difference{end}"] for end in ("", "_low", "_high")] == [
            interval.value,
            interval.low,
            interval.high,
        ]
        assert found["p_value"] == mcnemar(*expected[1:3])
    assert [row(table, "NMU", task)["verdict"] for task in RANGES[:2]] == ["differs", "same"]
    assert table["changed"].isna().all()


def test_only_seeds_variants_and_tasks_that_both_have_are_compared(fill: Fill, primer: Experiment) -> None:
    first = fill(
        primer, {"NMU": {RANGES[0]: [True] * 25, RANGES[1]: [True] * 3}, "MulMCFC": {RANGES[0]: [True]}}, "first"
    )
    later = primer.narrowed(seeds=[24, 25, 23])
    second = fill(later, {"NMU": {RANGES[0]: [False, True, True], RANGES[2]: [True] * 3}}, "second")
    table = nalm.compare_results(first, second)
    assert list(zip(table["variant"], table["task"].isna(), table["pairs"], strict=True)) == [
        ("NMU", False, 2),
        ("NMU", True, 2),
    ]
    found = row(table, "NMU", RANGES[0])
    assert (found["both"], found["first_only"]) == (1, 1)


def test_results_are_the_same_as_themselves(results: Path) -> None:
    table = nalm.compare_results(results, results)
    assert set(table["verdict"]) == {"same"}
    assert table["first_only"].sum() == table["second_only"].sum() == 0
    assert (table["both"] + table["neither"]).tolist() == [3, 3, 6, 3, 3, 6]


def test_different_recipes_and_thresholds_under_the_same_labels_are_named(fill: Fill, primer: Experiment) -> None:
    harder = {label: task.model_copy(update={"threshold": 1e-8}) for label, task in primer.tasks.items()}
    other = primer.changed({"learning_rate": 0.5}, only="NMU").model_copy(update={"tasks": harder})
    outcomes = {variant: {RANGES[0]: [True, False]} for variant in primer.variants}
    table = nalm.compare_results(fill(primer, outcomes, "first"), fill(other, outcomes, "second"))
    assert row(table, "NMU")["changed"] == "learning_rate, threshold"
    assert row(table, "MulMCFC", RANGES[0])["changed"] == "threshold"


def test_results_without_common_runs_are_refused(fill: Fill, redundancy: Experiment, results: Path) -> None:
    path = fill(redundancy, {"NMRU": spread(206)}, "other")
    with pytest.raises(NalmError, match=r"^found no variant, task and seed of the same experiment in '.*' and '"):
        nalm.compare_results(results, path)


def test_an_experiment_without_finished_runs_has_no_pairs(fill: Fill, redundancy: Experiment) -> None:
    first, second = fill(redundancy, {"NMRU": spread(206)}, "first"), fill(redundancy, {}, "second")
    for pair in ((first, second), (second, first)):
        with pytest.raises(NalmError, match=r"^found no variant, task and seed of the same experiment in "):
            nalm.compare_results(*pair, experiment="redundancy")


def test_an_experiment_that_only_one_of_them_has_is_refused(
    fill: Fill, redundancy: Experiment, primer: Experiment
) -> None:
    first, second = fill(redundancy, {"NMRU": spread(206)}, "first"), fill(primer, {"NMU": spread(206)}, "second")
    with pytest.raises(NalmError, match=r"^found unknown experiment 'redundancy' in '.*second', expected one of: "):
        nalm.compare_results(first, second, "redundancy")


def test_two_variants_are_compared_on_the_seeds_that_both_have(fill: Fill, redundancy: Experiment) -> None:
    first, second = "NMRU", "NRU"
    outcomes = {
        first: {RANGES[0]: [True] * 6 + [False] * 4, RANGES[1]: [True] * 3},
        second: {RANGES[0]: [True] + [False] * 7 + [True], RANGES[1]: [False] * 5, RANGES[2]: [True]},
    }
    table = nalm.compare_variants(nalm.load(fill(redundancy, outcomes)), first, second)
    counts = ["pairs", "both", "first_only", "second_only", "neither"]
    assert table["task"].fillna("all").tolist() == [RANGES[0], RANGES[1], "all"]
    assert table[counts].to_numpy().tolist() == [[9, 1, 5, 1, 2], [3, 0, 3, 0, 0], [12, 1, 8, 1, 2]]
    assert table["p_value"].tolist() == [mcnemar(5, 1), mcnemar(3, 0), mcnemar(8, 1)]
    assert table["difference"].tolist() == pytest.approx([4 / 9, 1, 7 / 12])
    assert list(table) == ["task", *PAIR_COLUMNS[3:-1]]


def test_swapped_variants_have_the_opposite_difference(fill: Fill, redundancy: Experiment) -> None:
    outcomes = {"NMRU": {RANGES[0]: [True, True, False, True]}, "NRU": {RANGES[0]: [False, True, False, False]}}
    found = nalm.load(fill(redundancy, outcomes))
    (one,) = nalm.compare_variants(found, "NMRU", "NRU").to_dict(orient="records")
    (other,) = nalm.compare_variants(found, "NRU", "NMRU").to_dict(orient="records")
    assert (one["first_only"], one["second_only"]) == (other["second_only"], other["first_only"]) == (2, 0)
    assert one["difference_low"] == pytest.approx(-other["difference_high"])


@pytest.mark.parametrize(
    ("variants", "sentence"),
    [
        (("NMRU", "nru"), r"found unknown variant 'nru', expected one of: Real NPU \(baseline\), "),
        (("NMRU", "NMRU"), r"found 'NMRU' twice, expected two of: "),
        (("NMRU", "NRU"), r"found no finished runs of NRU$"),
        (("NRU", "NMRU"), r"found no finished runs of NRU$"),
        (("NMRU", "Real NPU (baseline)"), r"found no task and seed that both 'NMRU' and 'Real NPU \(baseline\)' have$"),
    ],
)
def test_variants_without_common_runs_are_refused(
    fill: Fill, redundancy: Experiment, variants: tuple[str, str], sentence: str
) -> None:
    outcomes = {"NMRU": {RANGES[0]: [True]}, "Real NPU (baseline)": {RANGES[1]: [True]}}
    with pytest.raises(NalmError, match=f"^{sentence}"):
        nalm.compare_variants(nalm.load(fill(redundancy, outcomes)), *variants)
