"""Survival of runs: the table and the curves."""

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.figures.drawing import dots_of, drawn, lines_of, texts
from tests.trained import changed

import nalm
from nalm.analysis.results import Results
from nalm.errors import NalmError


def test_solved_runs_leave_at_their_first_crossing_and_others_stay_to_the_end(results: Path) -> None:
    found = nalm.load(results)
    steps = nalm.survival_steps(found, ["NRU"], ["U[1,2)"])
    solved = found.runs().query("variant == 'NRU' and task == 'U[1,2)'")["iteration_solved"].tolist()
    assert steps["iteration"].tolist() == [0, *sorted(set(solved))]
    assert steps["share"].tolist()[-1] == 0
    never = nalm.survival_steps(found, ["NMRU"])
    assert never["iteration"].tolist() == [0, 20] * 3
    assert set(never["share"]) == {1}
    assert never["task"].fillna("all").tolist() == ["U[1,2)"] * 2 + ["negative"] * 2 + ["all"] * 2


def test_medians_count_every_run_and_are_infinite_where_most_are_not_solved(results: Path) -> None:
    table = nalm.survival_medians(nalm.load(results))
    assert table["runs"].tolist() == [3, 3, 6] * 2
    assert table["solved"].tolist() == [0, 0, 0, 3, 3, 6]
    assert table["median"].tolist()[:3] == [math.inf] * 3
    assert table["median"].between(10, 20).tolist()[3:] == [True] * 3


def test_a_run_that_diverged_stays_unsolved_until_its_training_would_have_ended(results: Path) -> None:
    found = nalm.load(results)
    nru = [run for run in found.trained if (run.variant, run.task) == ("NRU", "U[1,2)")]
    lost = changed(nru[0], 1, diverged_at=1, test_errors=[1.0])
    found.trained[:] = [lost, *nru[1:]]
    steps = nalm.survival_steps(found)
    assert steps["iteration"].tolist()[-1] == 20
    assert steps["share"].tolist()[-1] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("variants", "tasks", "sentence"),
    [
        (["nmru"], [], "found unknown variant 'nmru', expected one of: NMRU, NRU"),
        ([], ["U[3,4)"], r"found unknown task 'U\[3,4\)', expected one of: U\[1,2\), negative"),
    ],
)
def test_an_unknown_label_is_refused_with_the_known_ones(
    results: Path, variants: list[str], tasks: list[str], sentence: str
) -> None:
    with pytest.raises(NalmError, match=f"^{sentence}$"):
        nalm.survival_steps(nalm.load(results), variants, tasks)


def test_variants_without_runs_are_refused_by_name(results: Path) -> None:
    for shard in (results / "shards").iterdir():
        if b'"NMRU"' in b"".join(pq.read_schema(shard).metadata.values()):
            shard.unlink()
    found = nalm.load(results)
    assert set(nalm.survival_steps(found)["variant"]) == {"NRU"}
    with pytest.raises(NalmError, match=r"^found no finished runs of NMRU$"):
        nalm.survival_steps(found, ["NMRU"])


# The curves


def test_survival_has_a_panel_per_task_and_one_for_all_and_a_step_per_variant(found: Results) -> None:
    picture = drawn(nalm.survival_curves(found))
    shown = texts(picture)
    assert [text for text in shown if text in ("U[1,2)", "negative", "all of these")] == [
        "U[1,2)",
        "negative",
        "all of these",
    ]
    assert {"NMRU", "NRU"} <= set(shown)
    for axes in picture.axes:
        ends = {float(line[-1, 1]) for line in lines_of(axes)}
        assert ends == {0.0, 1.0}  # the NRU's runs are all solved, the NMRU's are not
        assert len(dots_of(axes)) == 1  # so only the NRU has a median


def test_survival_of_one_task_has_no_panel_for_all(found: Results) -> None:
    assert "all of these" not in texts(drawn(nalm.survival_curves(found, tasks=["negative"])))
