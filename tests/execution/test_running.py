"""Training an experiment: what is missing is trained, what is there stays as it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

import nalm
from nalm.errors import NalmError
from nalm.execution.plan import plan
from nalm.execution.running import progress_path
from nalm.experiments.experiment import Experiment
from nalm.store import leases
from nalm.store.costs import ShardCost, cost_kind
from nalm.store.store import Store

Contents = dict[str, bytes | None]
Train = Callable[..., list[nalm.Progress]]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Train eagerly and in this process into ``results``, and return every progress."""

    def call(experiment: Experiment | str, replace: bool = False) -> list[nalm.Progress]:
        told: list[nalm.Progress] = []
        nalm.run(experiment, tmp_path / "results", workers=0, compiled=False, replace=replace, on_progress=told.append)
        return told

    return call


@pytest.fixture
def shards(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    return lambda: {path.name: path.read_bytes() for path in (tmp_path / "results" / "shards").iterdir()}


Shards = Callable[[], dict[str, bytes]]


def test_a_run_writes_a_shard_per_recipe_and_the_experiment(
    train: Train, tiny_experiment: Experiment, tmp_path: Path
) -> None:
    train(tiny_experiment)
    store = Store(tmp_path / "results")
    assert store.experiments.read("tiny") == tiny_experiment
    assert len(store.finished()) == 12
    assert sorted(path.parent.name for path in store.path.rglob("*") if path.is_file()) == [
        "experiments",
        "shards",
        "shards",
    ]


def test_running_a_finished_experiment_again_changes_nothing(
    results: Path, tiny_experiment: Experiment, train: Train, contents: Callable[[Path], Contents]
) -> None:
    before = contents(results)
    assert train(tiny_experiment) == []
    assert contents(results) == before


def test_more_seeds_train_only_the_missing_runs(
    results: Path, tiny_experiment: Experiment, train: Train, shards: Shards
) -> None:
    before = shards()
    train(tiny_experiment.narrowed(range(5)))
    new = [results / "shards" / name for name in shards().keys() - before.keys()]
    assert {name: shards()[name] for name in before} == before
    assert sorted(seed for path in new for seed in pq.read_table(path)["seed"].to_pylist()) == [3] * 4 + [4] * 4
    assert nalm.load(results).experiment.seeds == tuple(range(5))


def test_fewer_seeds_keep_the_other_runs(results: Path, tiny_experiment: Experiment, train: Train) -> None:
    train(tiny_experiment.narrowed([1]))
    assert nalm.load(results).experiment == tiny_experiment


def test_more_variants_train_only_the_missing_runs(
    tiny_experiment: Experiment, train: Train, shards: Shards, tmp_path: Path
) -> None:
    train(tiny_experiment.narrowed(variants=["NMRU"]))
    before = shards()
    train(tiny_experiment)
    assert {name: shards()[name] for name in before} == before
    assert len(shards()) == 2
    assert nalm.load(tmp_path / "results").missing == 0


def test_a_run_that_two_experiments_share_is_trained_once(
    results: Path, write_yaml: Callable[..., Path], train: Train, shards: Shards
) -> None:
    before = shards()
    assert train(str(write_yaml())) == []
    assert shards() == before
    mine = nalm.load(results, "mine")
    assert mine.missing == 0
    assert mine.runs()["test_error"].tolist() == nalm.load(results, "tiny").runs()["test_error"].tolist()[:2]


def test_a_shard_that_is_trained_again_is_bit_equal(results: Path, tiny_experiment: Experiment, train: Train) -> None:
    columns = ["key", "validation_error", "test_error", "final_test_error", "parameter.weight"]

    def rows() -> list[object]:
        paths = (results / "shards").iterdir()
        return sorted((row for path in paths for row in pq.read_table(path, columns=columns).to_pylist()), key=str)

    before = rows()
    for path in (results / "shards").iterdir():
        path.unlink()
    train(tiny_experiment)
    assert rows() == before


def test_a_changed_recipe_is_refused_and_nothing_is_written(
    results: Path, tiny_experiment: Experiment, train: Train, contents: Callable[[Path], Contents]
) -> None:
    before = contents(results)
    with pytest.raises(NalmError, match="use --replace"):
        train(tiny_experiment.with_setting("NMRU.learning_rate=1"))
    assert contents(results) == before


def test_replacing_a_recipe_keeps_the_old_runs_and_trains_the_new(
    results: Path, tiny_experiment: Experiment, train: Train, shards: Shards
) -> None:
    before = shards()
    train(tiny_experiment.with_setting("NMRU.learning_rate=1.0"), replace=True)
    assert {name: shards()[name] for name in before} == before
    assert len(Store(results).finished()) == 18
    replaced = nalm.load(results)
    assert replaced.missing == 0
    assert replaced.experiment.variants["NMRU"].learning_rate == 1

    train(tiny_experiment, replace=True)
    assert len(Store(results).finished()) == 18


def test_another_threshold_applies_to_old_runs_without_training(
    results: Path, write_yaml: Callable[..., Path], train: Train, shards: Shards
) -> None:
    before = shards()
    train(str(write_yaml(task="task: {operation: div, threshold: 1e9}")))
    assert shards() == before
    assert nalm.load(results, "mine").runs()["solved"].all()
    assert not nalm.load(results, "tiny").runs()["solved"][:2].any()


def test_progress_ends_with_everything_done(tiny_experiment: Experiment, train: Train) -> None:
    *_, last = train(tiny_experiment)
    assert (last.runs, last.finished, last.share, last.seconds_left) == (12, 12, 1.0, 0.0)
    assert last.solved == 6  # every NRU, and no NMRU, within 20 iterations


def test_progress_counts_earlier_runs_as_finished(results: Path, tiny_experiment: Experiment, train: Train) -> None:
    told = train(tiny_experiment.narrowed(range(4)))
    assert (told[-1].runs, told[-1].finished) == (16, 16)


def test_progress_files_are_removed_in_the_end_also_those_of_a_killed_run(
    tiny_experiment: Experiment, train: Train, tmp_path: Path
) -> None:
    store = Store(tmp_path / "results")
    store.make_directories()
    for shard in plan([tiny_experiment], set()).shards:
        report = {"iteration": 10**6, "runs": 6, "solved": 99, "warnings": []}
        progress_path(store.path, shard).write_text(json.dumps(report))
    assert max(progress.solved for progress in train(tiny_experiment)) == 6
    assert list((store.path / "running").iterdir()) == []


def test_files_left_by_a_kill_after_storing_are_removed_and_checkpoints_of_other_shards_stay(
    results: Path, tiny_experiment: Experiment, train: Train, tmp_path: Path
) -> None:
    running = results / "running"
    names = [path.stem.partition("-")[0] for path in (results / "shards").iterdir()]
    about = {"place": leases._pid_scope(), "pid": 2**22 + 1}  # numbers of processes are smaller
    for name in (*names, "0123"):
        for suffix in ("json", "checkpoint"):
            (running / f"{name}.{suffix}").write_text("{}")
        (running / f"{name}.lease" / "owner").mkdir(parents=True)
        (running / f"{name}.lease" / "owner" / "heartbeat").write_text(json.dumps(about))
    train(tiny_experiment)
    assert [path.name for path in running.iterdir()] == ["0123.checkpoint"]


def test_a_forecast_counts_runs_and_shards_and_writes_nothing(tiny_experiment: Experiment, tmp_path: Path) -> None:
    forecast = nalm.forecast(tiny_experiment, tmp_path / "results")
    assert (forecast.runs, forecast.missing, forecast.shards) == (12, 12, 2)
    assert forecast.seconds > 0
    assert forecast.bytes > 0
    assert not (tmp_path / "results").exists()


def test_a_forecast_skips_finished_runs(results: Path, tiny_experiment: Experiment) -> None:
    forecast = nalm.forecast(tiny_experiment.narrowed(range(4)), results)
    assert (forecast.runs, forecast.missing, forecast.shards) == (16, 4, 2)
    assert nalm.forecast(tiny_experiment, results).seconds == 0


def test_a_forecast_is_made_from_long_compiled_shards(
    tiny_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shard, _) = plan([tiny_experiment], ()).shards
    kind = cost_kind(shard.recipe, shard.runs[0].task.identity)
    measured = [
        ShardCost(["0"], kind, 100, 5.0 + 20.0, True, False),
        ShardCost(["1"], kind, 300, 5.0 + 100.0, True, False),
        ShardCost(["eager"], kind, 100, 10**6, False, False),
        ShardCost(["early"], kind, 100, 10**6, True, True),
        ShardCost(["short"], kind, 1, 10.0, True, False),
        ShardCost(["imported"], kind, 100, None, True, False),
    ]
    monkeypatch.setattr("nalm.store.costs.shard_costs", lambda _: measured)
    one = tiny_experiment.narrowed(variants=[shard.recipe.architecture])
    forecast = nalm.forecast(one, tmp_path / "results", workers=1)
    assert forecast.seconds == pytest.approx(5.0 + 6 * 21 * 120.0 / 400)


def test_diverged_runs_are_stored_with_their_evaluations_so_far(
    write_yaml: Callable[..., Path], train: Train, tmp_path: Path
) -> None:
    variants = "variants: [{label: A, recipe: {module: 'torch.nn:Linear', optimizer: sgd, learning_rate: 1e30}}]"
    train(str(write_yaml(variants=variants)))
    (shard,) = (tmp_path / "results" / "shards").iterdir()
    for row in pq.read_table(shard).to_pylist():
        assert 0 < row["diverged_at"] <= 10
        assert row["iteration"] == [0]
    runs = nalm.load(tmp_path / "results").runs()
    assert not runs["solved"].any()
    assert runs["diverged_at"].notna().all()


def test_a_shard_is_trained_by_one_thread_and_torch_keeps_its_own_number(
    tiny_experiment: Experiment, train: Train, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train(tiny_experiment)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert nalm.load(tmp_path / "results").run("NRU", "negative", 0).provenance["threads"] == 1
