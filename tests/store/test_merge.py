"""Merging results directories."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import nalm
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import shard_name
from nalm.store.leases import Lease
from nalm.store.store import Store

Cli = Callable[..., CompletedProcess[str]]
Contents = dict[str, bytes | None]


@pytest.fixture
def train(tiny_experiment: Experiment, tmp_path: Path) -> Callable[..., Path]:
    """Trains seeds, or another experiment, into a directory of that name."""

    def call(name: str, seeds: list[int], experiment: Experiment | None = None) -> Path:
        chosen = (experiment or tiny_experiment).narrowed(seeds)
        return nalm.run(chosen, tmp_path / name, workers=0, compiled=False).path

    return call


def stored(directory: Path) -> list[str]:
    """Keys of all rows, also of those that are there twice."""
    return sorted(key for path in directory.glob("shards/*") for key in pq.read_table(path)["key"].to_pylist())


def test_runs_of_several_directories_are_merged(results: Path, train: Callable[..., Path], tmp_path: Path) -> None:
    merged = nalm.merge([train("a", [0]), train("b", [1, 2])], tmp_path / "all")
    assert merged == nalm.Merged(shards=4, runs=12, duplicates=0, different=0, damaged=[])
    assert nalm.load(tmp_path / "all").experiment == nalm.load(results).experiment
    assert nalm.load(tmp_path / "all").runs().equals(nalm.load(results).runs())


def test_merged_runs_keep_their_provenance_and_the_sources_stay_unchanged(
    results: Path, tmp_path: Path, contents: Callable[[Path], Contents]
) -> None:
    before = contents(results)
    nalm.merge([results], tmp_path / "all")
    assert contents(results) == before
    taken_over = zip(Store(tmp_path / "all").runs(), Store(results).runs(), strict=True)
    assert all(mine == theirs for mine, theirs in taken_over)


def test_the_first_result_of_a_run_in_several_directories_is_kept(train: Callable[..., Path], tmp_path: Path) -> None:
    sources = [train("a", [0, 1]), train("b", [1, 2])]
    merged = nalm.merge(sources, tmp_path / "all")
    assert (merged.runs, merged.duplicates, merged.different) == (12, 4, 0)
    assert stored(tmp_path / "all") == sorted(Store(tmp_path / "all").finished())
    assert nalm.load(tmp_path / "all").missing == 0
    provenance = nalm.load(tmp_path / "all").run("NMRU", "negative", 2).provenance
    assert provenance == nalm.load(sources[1]).run("NMRU", "negative", 2).provenance


def test_duplicates_with_different_results_are_counted(
    results: Path, train: Callable[..., Path], tmp_path: Path
) -> None:
    other = train("other", [0, 1])
    (rows, about), *_ = Store(other).runs()
    (path,) = other.glob(f"shards/{shard_name(rows['key'].to_pylist())}-*")
    path.unlink()
    errors = pa.array([1.0, *rows["final_test_error"].to_pylist()[1:]])
    Store(other).add_rows(
        rows.set_column(rows.column_names.index("final_test_error"), "final_test_error", errors), about
    )
    merged = nalm.merge([results, other], tmp_path / "all")
    assert (merged.runs, merged.duplicates, merged.different) == (12, 8, 1)
    assert nalm.load(tmp_path / "all").runs().equals(nalm.load(results).runs())


def test_a_diverged_run_equals_itself(write_yaml: Callable[..., Path], tmp_path: Path) -> None:
    variants = "variants: [{label: A, recipe: {module: 'torch.nn:Linear', optimizer: sgd, learning_rate: 1e30}}]"
    path = str(write_yaml(variants=variants))
    for name in ("a", "b"):
        nalm.run(path, tmp_path / name, workers=0, compiled=False)
    (shard,) = (tmp_path / "a" / "shards").iterdir()
    assert pc.any(pc.is_nan(pq.read_table(shard)["final_test_error"])).as_py()
    assert nalm.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all").different == 0


def test_a_merge_can_be_repeated(results: Path, tmp_path: Path, contents: Callable[[Path], Contents]) -> None:
    nalm.merge([results], tmp_path / "all")
    before = contents(tmp_path / "all")
    merged = nalm.merge([results], tmp_path / "all")
    assert (merged.shards, merged.runs, merged.duplicates, merged.different) == (0, 0, 12, 0)
    assert contents(tmp_path / "all") == before


def test_an_interrupted_merge_can_be_repeated(
    results: Path, train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = train("more", [3])
    written: list[Path] = []

    def interrupt(lease: Lease, path: Path, content: bytes) -> None:
        if written:
            raise KeyboardInterrupt
        path.write_bytes(content)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            nalm.merge([results, more], tmp_path / "all")
    assert Store(tmp_path / "all").experiments.names() == []  # whose runs are there when they are
    merged = nalm.merge([results, more], tmp_path / "all")
    assert (merged.runs, merged.duplicates) == (10, 6)
    assert nalm.load(tmp_path / "all").missing == 0


KILLED = """
import os, pathlib, sys
import nalm
def replace(first, path):
    os.kill(os.getpid(), 9) if path.suffix == ".parquet" else os.rename(first, path)

pathlib.Path.replace = replace
nalm.merge(sys.argv[1:2], sys.argv[2])
"""


def test_what_a_killed_merge_has_left_is_removed_by_the_next(results: Path, tmp_path: Path) -> None:
    (tmp_path / "all" / "shards").mkdir(parents=True)
    older = tmp_path / "all" / "shards" / ".x-y.parquet.0123"  # of a version that wrote beside the files
    older.touch()
    command = [sys.executable, "-c", KILLED, str(results), str(tmp_path / "all")]
    assert subprocess.run(command, check=False).returncode == -9
    left = [path for path in (tmp_path / "all").rglob("*") if ".parquet" in path.name]
    assert len(left) == 1
    merged = nalm.merge([results], tmp_path / "all")
    assert merged.runs == 12
    hidden = [path for path in (tmp_path / "all").rglob("*") if path.name.startswith(".")]
    assert (hidden, list((tmp_path / "all" / "running").iterdir())) == ([], [])


def test_damaged_files_are_skipped_and_named(results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = min((results / "shards").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    merged = nalm.merge([results], tmp_path / "all")
    assert (merged.runs, merged.damaged) == (6, [path])
    assert f"{path} is damaged and is left out" in caplog.messages[0]


def test_an_undamaged_file_replaces_a_damaged_one(results: Path, tmp_path: Path) -> None:
    nalm.merge([results], tmp_path / "all")
    damaged = min((tmp_path / "all" / "shards").iterdir())
    damaged.write_bytes(b"")
    assert nalm.merge([results], tmp_path / "all").runs == 6
    assert len(Store(tmp_path / "all").finished()) == 12


def test_a_changed_recipe_is_refused_and_nothing_is_written(
    results: Path, train: Callable[..., Path], tiny_experiment: Experiment, tmp_path: Path
) -> None:
    other = train("other", [5], tiny_experiment.with_setting("NMRU.learning_rate=1.0"))
    sentence = f"the recipe of 'NMRU' of tiny differs between '{results}' and '{other}': use --replace"
    with pytest.raises(NalmError, match=sentence):
        nalm.merge([results, other], tmp_path / "all")
    assert not (tmp_path / "all").exists()

    nalm.merge([results, other], tmp_path / "all", replace=True)
    assert nalm.load(tmp_path / "all").experiment.variants["NMRU"].learning_rate == 1
    assert len(Store(tmp_path / "all").finished()) == 16


# The command


def test_the_command_says_what_it_did(nalm_cli: Cli, results: Path, train: Callable[..., Path]) -> None:
    done = nalm_cli("merge", results, train("more", [2, 3]), "--into", "all")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "added 16 runs in 4 shards to all",
        "4 runs were there already, 0 of them with other numbers, as other machines give: the first of each is kept",
    ]


@pytest.mark.parametrize("where", ["results", "results/../results"])
def test_a_directory_is_not_merged_into_itself(refused: Callable[..., str], results: Path, where: str) -> None:
    assert refused("merge", results, "--into", where).startswith(f"found '{results}' among the directories to merge")


def test_a_directory_without_results_is_refused(refused: Callable[..., str], results: Path, tmp_path: Path) -> None:
    assert refused("merge", results, tmp_path / "empty", "--into", "all").startswith("found no results in ")


def test_a_target_that_cannot_be_written_to(refused: Callable[..., str], results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert refused("merge", results, "--into", "file/all").startswith("cannot write results to 'file/all': ")
