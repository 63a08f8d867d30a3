"""Parts of a plan, which jobs train at the same time."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import given, settings, strategies as st

import nalm
from nalm.errors import NalmError
from nalm.execution.plan import Part, plan
from nalm.experiments.catalog import load_experiment
from nalm.experiments.experiment import Experiment
from nalm.store.store import Store

Cli = Callable[..., CompletedProcess[str]]

FIGURES = [load_experiment(name).narrowed(range(40)) for name in ("figure-1a", "figure-3")]


def keys(experiments: list[Experiment], finished: set[str], part: Part) -> list[str]:
    return [run.key for shard in plan(experiments, finished, part).shards for run in shard.runs]


@pytest.mark.parametrize("of", [1, 2, 7, 50])
def test_every_run_is_in_exactly_one_part(of: int) -> None:
    parts = [plan(FIGURES, set(), Part(index, of)) for index in range(of)]
    trained = [run.key for part in parts for shard in part.shards for run in shard.runs]
    assert sorted(trained) == sorted(keys(FIGURES, set(), Part(0, 1)))
    assert len(set(trained)) == len(trained)
    assert sum(part.runs for part in parts) == len(trained)


@settings(max_examples=20)
@given(data=st.data(), index=st.integers(0, 2))
def test_a_part_does_not_depend_on_what_is_finished(data: st.DataObject, index: int) -> None:
    everything = keys(FIGURES[1:], set(), Part(0, 1))
    finished = set(data.draw(st.lists(st.sampled_from(everything), max_size=500)))
    own = keys(FIGURES[1:], set(), Part(index, 3))
    assert sorted(keys(FIGURES[1:], finished, Part(index, 3))) == sorted(set(own) - finished)


def test_parts_have_about_the_same_amount_of_work() -> None:
    many = [figure.narrowed(range(110)) for figure in FIGURES]
    work = [sum(shard.work for shard in plan(many, set(), Part(index, 4)).shards) for index in range(4)]
    assert max(work) < 1.5 * min(work)


@pytest.mark.parametrize(("index", "of"), [(4, 4), (-1, 4), (0, 0), (1, 1)])
def test_a_part_that_does_not_exist_is_refused(
    refused: Callable[..., str], tiny: Path, tiny_experiment: Experiment, index: int, of: int
) -> None:
    sentence = f"found part {index} of {of}, expected "
    with pytest.raises(NalmError, match=sentence):
        plan([tiny_experiment], set(), Part(index, of))
    assert refused("shard", tiny, f"--index={index}", "--of", of, "--no-compile").startswith(sentence)


def test_the_parts_together_are_the_whole(nalm_cli: Cli, tiny: Path, results: Path, tmp_path: Path) -> None:
    def train(index: int) -> str:
        done = nalm_cli("shard", tiny, "--index", index, "--of", 2, "--out", "parts", "--no-compile", "--workers", 0)
        assert (done.returncode, done.stdout) == (0, "")
        return done.stderr

    assert "all 6 runs are in parts" in train(1)
    assert len(Store(tmp_path / "parts").finished()) == 6
    assert "nothing was left to train" in train(1)
    assert "all 6 runs are in parts" in train(0)
    assert nalm.load(tmp_path / "parts").runs().equals(nalm.load(results).runs())
