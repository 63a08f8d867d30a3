"""Training time of results, from the metadata of shards."""

from pathlib import Path

import pytest

import nalm
from nalm.execution.plan import plan
from nalm.experiments.experiment import Experiment
from nalm.store.costs import ShardCost, _covered, expected_cost, mean_costs, shard_costs, training_costs
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


def test_finished_shards_tell_their_runs_and_iterations(results: Path) -> None:
    shards = list(shard_costs(Store(results)))
    assert sorted(key for shard in shards for key in shard.keys) == sorted(Store(results).finished())
    assert [(shard.iterations, shard.compiled, shard.stops_early) for shard in shards] == 2 * [(6 * 21, False, False)]
    assert {shard.kind[0] for shard in shards} == {"NMRU", "NRU"}


def test_the_mean_cost_of_a_kind_weights_iterations_and_skips_imported_shards() -> None:
    def shard(kind: str, iterations: int, seconds: float | None) -> ShardCost:
        return ShardCost(["0123"], (kind,), iterations, seconds, True, False)

    shards = [shard("NMU", 10, 2.0), shard("NAU", 10, 1.0), shard("NMU", 30, 4.0), shard("NMU", 10**6, None)]
    assert mean_costs(shards) == {("NMU",): 6.0 / 40, ("NAU",): 0.1}


def test_a_shard_is_expected_to_cost_what_its_kind_did_or_else_what_is_typical(
    results: Path, tiny_experiment: Experiment
) -> None:
    measured = mean_costs(shard_costs(Store(results)))
    for shard in plan([tiny_experiment], ()).shards:
        (cost,) = [cost for kind, cost in measured.items() if kind[0] == shard.recipe.architecture]
        assert expected_cost(shard, measured) == cost
        assert expected_cost(shard, {}) == shard.runs[0].task.typical_seconds(shard.recipe, 6)
