"""States of half-trained ensembles: captured, saved, loaded and restored, training resumes bit by bit."""

import io
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nalm.experiments.catalog import default_recipe
from nalm.modules import MODULES
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.trainer import make_ensemble
from nalm.training.ensemble.loop import Ensemble
from nalm.training.ensemble.state import State
from nalm.training.history import History

RANGES: list[tuple[Any, Any]] = [([1, 2], [2, 6]), ([-2, 2], [2, 6])]
RUNS = [(SubsetTask(operation="div", train=train, test=test), seed) for train, test in RANGES for seed in range(3)]
RESTARTS: dict[str, Any] = {"reinitialize": {"every": 5, "history": 10, "above": 1e-9}}
NOISY: dict[str, Any] = {"module": {"name": "NMU", "noise": [1, 5]}}
FAST = [
    ("NMRU", {}),
    ("RealNPU", {"precision": "float64"}),
    ("GNALU", {"optimizer": "sgd", "momentum": 0.9}),
    ("NMU", NOISY),
    ("NALU", {"module": {"name": "NALU", "gate": "gumbel"}} | RESTARTS),
    ("INALU", RESTARTS),
]
AT = 14
"""An iteration at which the fast ones pause."""
SLOW = [(name, RESTARTS) for name in MODULES]
"""All of them, with restarts."""


class Normalized(nn.Module):
    """Keeps statistics of its batches and drops inputs at random: it trains one by one."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm1d(in_features)
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(nn.functional.dropout(self.normalize(x), 0.5, self.training))
        return result


@pytest.fixture(autouse=True)
def _pause_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nalm.training.ensemble.loop.DRAWN_AT_ONCE", 7 * 128 * 2 * 3)
    monkeypatch.setitem(sys.modules, "test_state_modules", sys.modules[__name__])


def ensemble(name: str = "NMRU", compiled: bool = False, **changes: Any) -> Ensemble:
    fields = default_recipe(name) if name in MODULES else {"module": name}
    recipe = Recipe.model_validate(fields | {"iterations": 45, "evaluate_every": 20} | changes)
    return make_ensemble(recipe, RUNS, compiled=compiled)


def states(trained: Ensemble) -> dict[int, bytes]:
    """Train, and return all states on the way, as files store them."""
    found: dict[int, bytes] = {}

    def save(ensemble: Ensemble) -> None:
        buffer = io.BytesIO()
        torch.save(ensemble.state_dict(), buffer)
        found[ensemble.iteration] = buffer.getvalue()

    trained.train(on_pause=save)
    return found


def loaded(state: bytes) -> State:
    found: State = torch.load(io.BytesIO(state), weights_only=True)
    return found


@cache
def _half_trained(noisy: bool) -> bytes:
    return states(ensemble(**(NOISY if noisy else {})))[AT]


def half_trained(noisy: bool = False) -> State:
    """Return the state of an ensemble at a pause, for which it trains once."""
    return loaded(_half_trained(noisy))


def assert_bit_equal(first: History, second: History) -> None:
    assert first.restarts == second.restarts
    fields = vars(first).keys() - {"wall_times", "parameters", "buffers", "restarts"}
    for name in fields:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    pairs = [*zip(first.parameters, second.parameters, strict=True), (first.buffers, second.buffers)]
    for one, other in pairs:
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def check_all_states(make: Callable[[], Ensemble]) -> History:
    interrupted = make()
    found = states(interrupted)
    assert {20, 40, 46} < found.keys()
    assert len(found) > 6
    for iteration, state in found.items():
        resumed = make()
        resumed.load_state_dict(loaded(state))
        assert resumed.iteration == iteration
        assert_bit_equal(resumed.train(), interrupted.history)
    return interrupted.history


@pytest.mark.parametrize(
    ("module", "changes"),
    [case if case[0] in ("NMRU", "NALU") else pytest.param(*case, marks=pytest.mark.slow) for case in FAST],
)
def test_training_that_goes_on_from_any_pause_is_uninterrupted_training_to_the_bit(
    module: str, changes: dict[str, Any]
) -> None:
    history = check_all_states(lambda: ensemble(module, **changes))
    assert_bit_equal(history, ensemble(module, **changes).train())
    assert any(history.restarts) == ("reinitialize" in changes)


def test_modules_that_train_one_by_one_go_on_with_their_buffers_and_random_numbers() -> None:
    history = check_all_states(lambda: ensemble("test_state_modules:Normalized"))
    assert history.buffers["normalize.num_batches_tracked"].tolist() == [46] * len(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize(("module", "changes"), SLOW)
def test_every_module_goes_on_to_the_bit(module: str, changes: dict[str, Any]) -> None:
    check_all_states(lambda: ensemble(module, **changes))


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize(("module", "changes"), FAST)
def test_compiled_training_goes_on_to_the_bit(module: str, changes: dict[str, Any]) -> None:
    made: list[Ensemble] = []

    def make() -> Ensemble:
        made.append(ensemble(module, True, **changes))
        return made[-1]

    check_all_states(make)
    assert all(one.program.compiled for one in made)


def test_a_diverged_run_stays_what_it_was() -> None:
    def make() -> Ensemble:
        made = ensemble()
        made.stack.state.parameters["weight"][2, 0, 0] = float("nan")
        return made

    history = check_all_states(make)
    assert (history.diverged_at >= 0).tolist() == [index == 2 for index in range(len(RUNS))]


def test_what_was_captured_does_not_change_when_training_goes_on() -> None:
    trained = ensemble("INALU", **RESTARTS)
    kept: list[tuple[State, bytes]] = []

    def save(ensemble: Ensemble) -> None:
        buffer = io.BytesIO()
        state = ensemble.state_dict()
        torch.save(state, buffer)
        kept.append((state, buffer.getvalue()))

    trained.train(on_pause=save)
    for state, then in kept:
        torch.testing.assert_close(state, loaded(then), rtol=0, atol=0, equal_nan=True)


def test_a_finished_ensemble_is_not_trained_again() -> None:
    trained = ensemble()
    before = len(trained.train().parameters)
    assert len(trained.train().parameters) == before


# What is not a state


@pytest.mark.parametrize(
    "other",
    [
        lambda: ensemble("NRU"),
        lambda: ensemble("RealNPU"),
        lambda: ensemble(precision="float64"),
        lambda: ensemble(optimizer="sgd"),
        lambda: ensemble(compiled=True),
        lambda: make_ensemble(ensemble().recipe, RUNS[:5], compiled=False),
        lambda: make_ensemble(ensemble().recipe, [(RUNS[0][0], 0), (RUNS[0][0], 9)] * 3, compiled=False),
    ],
    ids=["module", "shape", "precision", "optimizer", "filling", "number", "streams"],
)
def test_a_state_of_another_ensemble_is_refused(other: Callable[[], Ensemble]) -> None:
    with pytest.raises(ValueError, match="another ensemble"):
        other().load_state_dict(half_trained())


def with_value(place: str, value: Any) -> Callable[[State], Any]:
    def change(state: State) -> State:
        *parents, last = place.split(".")
        inner = state
        for parent in parents:
            inner = inner[parent]
        if value is None:
            del inner[last]
        else:
            inner[last] = value(inner[last]) if callable(value) else value
        return state

    return change


def set_last_position(value: int) -> Callable[[Tensor], Tensor]:
    def change(words: Tensor) -> Tensor:
        words[0, -1] = value
        return words

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda state: None,
        lambda state: [],
        with_value("iteration", None),
        with_value("iteration", 14.0),
        with_value("iteration", -1),
        with_value("iteration", 47),
        with_value("iteration", 21),  # before which there were two evaluations
        with_value("more", 1),
        with_value("snapshot.parameters.weight", None),
        with_value("snapshot.parameters.weight", lambda weight: weight[:-1]),
        with_value("snapshot.diverged_at", lambda values: values.double()),
        with_value("history.test_errors", lambda values: values[:0]),
        with_value("history.wall_times", torch.tensor(0.0, dtype=torch.float64)),
        with_value("restarts", torch.tensor([[6, 10]])),
        with_value("restarts", torch.tensor([[-1, 10]])),
        with_value("generators", lambda states: states[:-1]),
        with_value("generators", lambda states: [words[:-1] for words in states]),
        with_value("generators", lambda states: [torch.full_like(words, 255) for words in states]),
        with_value("streams.words", set_last_position(625)),
        with_value("streams.words", set_last_position(-1)),
    ],
)
def test_what_is_no_state_is_refused(change: Callable[[State], Any]) -> None:
    with pytest.raises(ValueError, match=r"^(found|Invalid)"):
        ensemble(**NOISY).load_state_dict(change(half_trained(noisy=True)))
