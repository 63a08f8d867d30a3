"""Training time of results, from the metadata of shards."""

from pathlib import Path

import pytest

import nalm
from nalm.store.costs import _covered, training_costs
from nalm.store.store import Store


def test_shared_runs_are_counted_with_the_first_experiment_that_has_them(results: Path) -> None:
    store = Store(results)
    tiny = store.experiments.read("tiny")
    store.experiments.save(tiny.narrowed(seeds=[0, 1]).model_copy(update={"name": "part"}))
    costs = training_costs(store, ["part", "tiny"])
    assert costs.experiments[["experiment", "runs", "new"]].values.tolist() == [["part", 8, 8], ["tiny", 12, 4]]
    assert costs.experiments["core_seconds"].sum() == pytest.approx(costs.core_seconds)
    assert costs.experiments["core_seconds"].tolist() == pytest.approx(
        [costs.core_seconds * share / 3 for share in (2, 1)]
    )


def test_the_wall_time_of_shards_trained_one_after_another_is_their_sum(results: Path) -> None:
    costs = training_costs(Store(results))
    assert 0 < costs.wall_seconds <= costs.core_seconds * (1 + 1e-9)
    assert costs.versions["nalm"] == nalm.__version__


@pytest.mark.parametrize(
    ("intervals", "length"),
    [([], 0), ([(0, 2), (1, 3)], 3), ([(5, 6), (0, 2)], 3), ([(0, 10), (2, 3), (9, 11)], 11)],
)
def test_wall_time_counts_overlapping_intervals_once(intervals: list[tuple[float, float]], length: float) -> None:
    assert _covered(intervals) == length
