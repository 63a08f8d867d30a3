"""The compiled Mersenne Twister draws numpy's numbers, bit by bit."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from nalm.tasks.subsets.mersenne_twister import Twister, twister_problem
from nalm.tasks.subsets.streams import Sampler
from nalm.tasks.subsets.task import SubsetTask

pytestmark = pytest.mark.compiled


def test_it_can_be_compiled_here() -> None:
    assert twister_problem() is None


@pytest.mark.parametrize("columns", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("rows", [1, 16, 17, 128])
def test_it_draws_numpys_numbers(rows: int, columns: int) -> None:
    ours, theirs = Twister(2357136044), np.random.RandomState(2357136044)
    for batches in (1, 3, 2, 7):
        drawn = np.full((batches, columns, rows), np.nan)
        ours.fill(drawn)
        np.testing.assert_array_equal(drawn, theirs.random_sample((batches, rows, columns)).swapaxes(1, 2))


@pytest.mark.parametrize("words", [0, 1, 2, 623, 624, 625])
def test_it_goes_on_where_numpy_is(words: int) -> None:
    theirs = np.random.RandomState(5)
    theirs.randint(0, 2**32, words, dtype=np.uint32)
    ours = Twister(0)
    ours.set_state(theirs.get_state())
    drawn = np.empty((1, 100, 128))
    ours.fill(drawn)
    np.testing.assert_array_equal(drawn[0], theirs.random_sample((128, 100)).T)


def test_numpy_goes_on_where_it_is() -> None:
    ours, theirs = Twister(5), np.random.RandomState(5)
    ours.fill(np.empty((3, 7, 11)))
    theirs.random_sample((3, 11, 7))
    other = np.random.RandomState(0)
    other.set_state(ours.get_state())
    np.testing.assert_array_equal(other.random_sample(1000), theirs.random_sample(1000))


@pytest.mark.parametrize("train", [[1, 2], {"truncated_normal": {"mean": 0, "deviation": 1, "within": [-5, 5]}}])
def test_samplers_draw_the_same_with_it(train: object) -> None:
    task = SubsetTask.model_validate({"operation": "div", "train": train, "test": [2, 6], "input_size": 3})
    runs = [(task, seed) for seed in range(3)]
    usual, fast = (Sampler(runs, 128, torch.float32, torch.device("cpu"), faster) for faster in (None, Twister))
    assert torch.equal(usual.draw(5), fast.draw(5))
    for name, value in usual.state().items():
        assert torch.equal(value, fast.state()[name])
    fast.restore(usual.state())
    assert torch.equal(usual.draw(2), fast.draw(2))


@pytest.mark.parametrize(
    "train", [{"union": [[1, 2], [3, 4]]}, {"halves": [[1, 2], [3, 4]]}, {"exponential": {"scale": 1}}]
)
def test_what_is_not_only_uniform_is_drawn_by_numpy(train: object) -> None:
    task = SubsetTask.model_validate({"operation": "div", "train": train, "test": [2, 6]})
    sampler = Sampler([(task, 0)], 128, torch.float32, torch.device("cpu"), Twister)
    usual = Sampler([(task, 0)], 128, torch.float32, torch.device("cpu"))
    assert torch.equal(usual.draw(5), sampler.draw(5))


def test_without_a_compiler_there_is_a_reason() -> None:
    script = "from nalm.tasks.subsets.mersenne_twister import twister_problem; print(twister_problem())"
    environment = {"PATH": "/nowhere", "CXX": "/nowhere/c++", "TORCHINDUCTOR_CACHE_DIR": "/proc/nowhere"}
    import os

    found = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() != "None"
