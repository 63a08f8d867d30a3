"""Early stopping: what is recorded of stopped runs, and that the other runs are unaffected."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from nalm.spec.recipe import Recipe
from nalm.spec.thresholds import Threshold
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.trainer import make_ensemble
from nalm.training.ensemble.early_stopping import EarlyStopping
from nalm.training.ensemble.loop import Ensemble
from nalm.training.history import History

Array = npt.NDArray[np.float64]

TASK: dict[str, Any] = {"operation": "add", "train": [1, 2], "test": [2, 6], "input_size": 20, "overlap_ratio": 0.5}
SEEDS = range(6)
RUNS = [(SubsetTask.model_validate(TASK | {"operation": name}), seed) for name in ("add", "sub") for seed in SEEDS]
EVERY = 20


def recipe(stop: bool = True, iterations: int = 700, **fields: Any) -> Recipe:
    usual = {"module": "NAU", "second": "NAU", "learning_rate": 1e-2, "evaluate_every": EVERY}
    return Recipe.model_validate(usual | fields | {"iterations": iterations, "stop_when_solved": stop})


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    """Make eager ensembles without padding, which shrink with every run that stops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nalm.training.ensemble.stack.VECTOR", 1)
        yield


Sizes = list[tuple[int, int, int]]
"""Numbers of runs present, of models, and of streams of random numbers, at each evaluation."""


@pytest.fixture(scope="module")
def stopping() -> tuple[Ensemble, History, Sizes]:
    """Train with early stopping."""
    sizes: Sizes = []

    def look(ensemble: Ensemble) -> None:
        drawn = ensemble.stack.sampler.draw(0).shape[1]
        sizes.append((len(ensemble.stack.present), len(ensemble.stack.state.diverged_at), drawn))

    ensemble = make_ensemble(recipe(), RUNS, compiled=False)
    return ensemble, ensemble.train(on_evaluation=look), sizes


@pytest.fixture(scope="module")
def both(stopping: tuple[Ensemble, History, Sizes]) -> tuple[Ensemble, History, History]:
    """Train the same runs with and without early stopping."""
    ensemble, history, _ = stopping
    return ensemble, history, make_ensemble(recipe(stop=False), RUNS, compiled=False).train()


def solved_at(history: History, run: int) -> int | None:
    """Return when a run is solved first, judged by its evaluations up to then."""
    threshold = Threshold(1e-5, inclusive=False)
    validation, test = (
        np.stack(series)[:, run].tolist() for series in (history.validation_errors, history.test_errors)
    )
    solved = [threshold.solved(validation[:end], test[:end]) for end in range(1, len(test) + 1)]
    return history.iterations[solved.index(True)] if True in solved else None


def test_a_run_is_retired_at_the_first_evaluation_at_which_it_is_solved(
    both: tuple[Ensemble, History, History],
) -> None:
    _, history, usual = both
    expected = [solved_at(usual, run) for run in range(len(RUNS))]
    assert 0 < sum(end is not None for end in expected) < len(RUNS) + 1
    assert len(set(expected)) > 3
    assert history.stopped_at.tolist() == [-1 if end is None else end for end in expected]


def test_until_then_it_is_the_run_that_it_is_otherwise(both: tuple[Ensemble, History, History]) -> None:
    _, history, usual = both
    for run in range(len(RUNS)):
        end = history.evaluations(run)
        for name in ("validation_errors", "test_errors", "sparsity_errors", "criteria", "penalties"):
            ours, theirs = (np.stack(getattr(known, name))[:end, run] for known in (history, usual))
            # Stacks of other sizes add in another order.
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-9, err_msg=name)


def test_afterwards_there_is_nothing_of_it(both: tuple[Ensemble, History, History]) -> None:
    _, history, _ = both
    for run in np.flatnonzero(history.stopped_at >= 0).tolist():
        end = history.evaluations(run)
        assert history.iterations[end - 1] == history.stopped_at[run]
        assert np.isnan(np.stack(history.test_errors)[end:, run]).all()
        assert np.isfinite(np.stack(history.criteria)[:end, run]).all()


def test_what_is_final_of_it_is_as_it_was_then(both: tuple[Ensemble, History, History]) -> None:
    ensemble, history, _ = both
    for run in np.flatnonzero(history.stopped_at >= 0).tolist():
        row = history.evaluations(run) - 1
        assert history.final_test_errors[run] == history.test_errors[row][run]
        for name, values in history.parameters[-1].items():
            np.testing.assert_array_equal(values[run], history.parameters[row][name][run])
            own = ensemble.module(run).get_parameter(name).detach().numpy()
            np.testing.assert_array_equal(values[run].astype(np.float32), own)


@pytest.mark.compiled
@pytest.mark.slow
def test_compiled_ensembles_retire_the_same_runs_at_the_same_time(both: tuple[Ensemble, History, History]) -> None:
    _, history, _ = both
    ensemble = make_ensemble(recipe(), RUNS, compiled=True)
    assert ensemble.stack.size == len(RUNS)
    assert ensemble.train().stopped_at.tolist() == history.stopped_at.tolist()
    assert ensemble.program.compiled
    assert ensemble.stack.size == 8


def test_training_ends_when_all_are_retired() -> None:
    history = make_ensemble(recipe(iterations=100_000), RUNS[-2:], compiled=False).train()
    assert (history.stopped_at >= 0).all()
    assert history.iterations[-1] == history.stopped_at.max()
    assert len(history.criteria) == len(history.iterations)


def test_the_ensemble_shrinks_to_the_runs_that_are_left(stopping: tuple[Ensemble, History, Sizes]) -> None:
    _, history, sizes = stopping
    assert sizes[0] == (12, 12, 6)
    left = int((history.stopped_at >= history.iterations[-1]).sum() + (history.stopped_at < 0).sum())
    assert left <= sizes[-1][0] < 12
    assert sizes[-1][0] == sizes[-1][1] >= sizes[-1][2]


def test_without_the_option_nobody_is_retired(both: tuple[Ensemble, History, History]) -> None:
    _, _, usual = both
    assert usual.stopped_at.tolist() == [-1] * len(RUNS)
    assert np.isfinite(np.stack(usual.test_errors)).all()


@pytest.mark.parametrize("pause", [25, *(pytest.param(pause, marks=pytest.mark.slow) for pause in (1, 17, 18, 33))])
def test_an_interrupted_ensemble_retires_the_same_runs_at_the_same_time(
    both: tuple[Ensemble, History, History], pause: int
) -> None:
    _, uninterrupted, _ = both
    states: list[Any] = []

    def stop(ensemble: Ensemble) -> None:
        if len(ensemble.history.iterations) == pause:
            states.append(ensemble.state_dict())
            raise InterruptedError

    with pytest.raises(InterruptedError):
        make_ensemble(recipe(), RUNS, compiled=False).train(on_pause=stop)
    resumed = make_ensemble(recipe(), RUNS, compiled=False)
    resumed.load_state_dict(states[0])
    history = resumed.train()
    np.testing.assert_array_equal(history.stopped_at, uninterrupted.stopped_at)
    for name in ("validation_errors", "test_errors", "criteria"):
        np.testing.assert_array_equal(np.stack(getattr(history, name)), np.stack(getattr(uninterrupted, name)))
    for name, values in history.parameters[-1].items():
        np.testing.assert_array_equal(values, uninterrupted.parameters[-1][name])


@pytest.mark.parametrize(
    "present",
    [
        torch.tensor([0, 12]),
        torch.tensor([3, 2]),
        torch.tensor([2, 2]),
        torch.tensor([], dtype=torch.int64),
        "all",
        None,
    ],
    ids=["unknown", "out of order", "twice", "none", "no tensor", "nothing"],
)
def test_a_state_of_other_runs_is_refused(present: Any) -> None:
    ensemble = make_ensemble(recipe(), RUNS, compiled=False)
    state = ensemble.state_dict() | {"present": present}
    with pytest.raises(ValueError, match="found the state of another ensemble"):
        ensemble.load_state_dict(state)


def test_parameters_are_kept_after_training_alone_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = make_ensemble(recipe(iterations=60), RUNS[-2:], compiled=False).train()
    monkeypatch.setattr("nalm.training.ensemble.recording.MOST_PARAMETERS", 4 * 42 - 1)
    ensemble = make_ensemble(recipe(iterations=60), RUNS[-2:], compiled=False)
    history = ensemble.train()
    assert (len(usual.parameters), len(history.parameters)) == (5, 1)
    for name, values in history.parameters[-1].items():
        np.testing.assert_array_equal(values, usual.parameters[-1][name])
    again = make_ensemble(recipe(iterations=60), RUNS[-2:], compiled=False)
    again.load_state_dict(ensemble.state_dict() | {"iteration": 61})
    assert again.history.parameters == []


def test_a_run_that_meets_its_threshold_at_a_row_that_is_not_its_best_is_not_solved_yet() -> None:
    stopping = EarlyStopping(2, [Threshold(1e-5, inclusive=False)] * 2)
    none = np.array([False, False])
    assert stopping.stop(0, np.array([1.0, 1.0]), np.array([1.0, 1.0]), none).tolist() == []
    assert stopping.stop(10, np.array([2.0, 0.5]), np.array([1e-6, 1e-6]), none).tolist() == [1]
    assert stopping.stop(20, np.array([0.9, np.nan]), np.array([1e-6, np.nan]), none).tolist() == [0]
    assert stopping.stopped_at.tolist() == [20, 10]


def test_a_run_that_has_diverged_is_retired_as_well() -> None:
    stopping = EarlyStopping(2, [Threshold(1e-5, inclusive=False)] * 2)
    errors = np.array([np.nan, 1.0])
    assert stopping.stop(10, errors, errors, np.array([True, False])).tolist() == [0]
    assert stopping.active.tolist() == [1]
