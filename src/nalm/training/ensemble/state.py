"""The state of an ensemble as tensors. Training that resumes from it gives the same bits."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from nalm.spec.recipe import Recipe
from nalm.training.ensemble.early_stopping import Final
from nalm.training.ensemble.recording import Recorder
from nalm.training.ensemble.stack import Stack
from nalm.training.ensemble.step import Program, TrainState
from nalm.training.history import SERIES, History
from nalm.training.restarts import RestartTracker

__all__ = ["State", "capture", "restore"]

State = dict[str, Any]
"""Nested dictionaries and lists of tensors on the CPU, and the iteration. Checkpoint files have the same names."""
GROWING = ("history", "restarts")
"""Parts of a state whose tensors grow while an ensemble trains."""
VALIDATION, TEST, DIVERGED = "validation error", "test error", "diverged at"
"""Names of final values in a checkpoint. They stand beside names of parameters, which cannot contain spaces."""


class Resumable(Protocol):
    """The parts of an ensemble that make up its state."""

    recipe: Recipe
    runs: int
    iteration: int
    device: torch.device
    history: History
    generators: list[torch.Generator]
    restarts: RestartTracker | None
    recorder: Recorder
    stack: Stack
    program: Program

    @property
    def draws_own_numbers(self) -> bool: ...
    def shrink(self, runs: npt.NDArray[np.int64], size: int) -> None: ...
    def stop_unused_streams(self) -> None: ...


def capture(ensemble: Resumable) -> State:
    """Return the state of an ensemble before an iteration: models, optimizer, random numbers, restarts and history.

    Tensors keep their strides, because the order of sums may depend on them.
    """
    tracker, history, runs = ensemble.restarts, ensemble.history, ensemble.runs
    restarts = [(run, start) for run, starts in enumerate(tracker.restarts if tracker else []) for start in starts]
    return {
        "iteration": ensemble.iteration,
        "present": torch.tensor(ensemble.stack.present),
        "stopped_at": torch.tensor(ensemble.recorder.early_stopping.stopped_at),
        "final": {name: torch.tensor(values) for name, values in _final_values(ensemble.recorder.final).items()},
        "snapshot": _copied(ensemble.stack.state._asdict()),
        "fixed": _copied(ensemble.program.models.fixed(runs)),
        "streams": ensemble.stack.sampler.state(),
        "generators": [generator.get_state() for generator in _generators(ensemble)],
        "since": torch.tensor(tracker.since if tracker else np.zeros(runs, dtype=np.int64)),
        "restarts": torch.tensor(restarts, dtype=torch.int64).reshape(-1, 2),
        "history": {
            "wall_times": _stacked(history.wall_times, ()),
            **{name: _stacked(getattr(history, name), (runs,)) for name in SERIES},
            "parameters": {
                name: _stacked([values[name] for values in history.parameters], (runs, *parameter.shape[1:]))
                for name, parameter in ensemble.stack.state.parameters.items()
                if ensemble.recorder.keeps_parameters
            },
        },
    }


def restore(ensemble: Resumable, state: Any) -> None:
    """Restore a captured state into an ensemble that has not trained yet.

    Raises:
        ValueError: the state belongs to another ensemble; this one must not be used afterwards.
    """
    _shrink(ensemble, state)
    if _signature(state) != _signature(capture(ensemble)):
        raise ValueError("found the state of another ensemble")
    every, iteration = ensemble.recipe.evaluate_every, state["iteration"]
    if not 0 <= iteration <= ensemble.recipe.iterations + 1:
        raise ValueError(f"found a state at iteration {iteration}, expected at most {ensemble.recipe.iterations + 1}")
    evaluations = list(range(0, iteration, every))
    lengths = {len(values) for values in tree_leaves(state["history"])}
    restarted = state["restarts"][:, 0]
    if (
        lengths != {len(evaluations)}
        or not ((restarted >= 0) & (restarted < ensemble.runs)).all()
        or not (state["stopped_at"] < max(iteration, 1)).all()
    ):
        raise ValueError("found a state that contradicts itself")
    ensemble.stack.sampler.restore(state["streams"])
    for generator, words in zip(_generators(ensemble), state["generators"], strict=True):
        try:
            generator.set_state(words)
        except RuntimeError as error:
            raise ValueError(str(error)) from None
    ensemble.program.models.restore(state["fixed"])
    ensemble.stack.state = TrainState(
        **tree_map_only(Tensor, lambda tensor: tensor.to(ensemble.device), state["snapshot"])
    )
    ensemble.iteration = iteration
    if ensemble.restarts is not None:
        ensemble.restarts.since = state["since"].numpy()
        for run, start in state["restarts"].tolist():
            ensemble.restarts.restarts[run].append(start)
    history, series = ensemble.history, state["history"]
    history.iterations = evaluations
    history.wall_times = series["wall_times"].tolist()
    for name in SERIES:
        setattr(history, name, list(series[name].numpy()))
    parameters = {name: values.numpy() for name, values in series["parameters"].items()}
    kept = range(len(evaluations) if ensemble.recorder.keeps_parameters else 0)
    history.parameters = [{name: values[row] for name, values in parameters.items()} for row in kept]
    final = {name: values.numpy() for name, values in state["final"].items()}
    validation, test, diverged_at = (final.pop(name) for name in (VALIDATION, TEST, DIVERGED))
    ensemble.recorder.final = Final(validation, test, diverged_at, final)
    ensemble.recorder.restore_stops(state["stopped_at"].numpy())
    ensemble.stop_unused_streams()


def _shrink(ensemble: Resumable, state: Any) -> None:
    """Drop the runs that a state no longer has.

    Raises:
        ValueError: the state is not one of some of the ensemble's runs.
    """
    try:
        present, size = state["present"].tolist(), len(state["snapshot"]["diverged_at"])
    except (KeyError, TypeError, AttributeError):
        raise ValueError("found the state of another ensemble") from None
    if not present or sorted(set(present)) != present or not 0 <= present[0] <= present[-1] < ensemble.runs:
        raise ValueError("found the state of another ensemble")
    if len(present) < ensemble.runs:
        if not len(present) <= size <= ensemble.stack.size:
            raise ValueError("found the state of another ensemble")
        ensemble.shrink(np.array(present), size)


def _final_values(final: Final) -> dict[str, npt.NDArray[np.float64]]:
    errors = {VALIDATION: final.validation_errors, TEST: final.test_errors, DIVERGED: final.diverged_at}
    return errors | final.parameters


def _generators(ensemble: Resumable) -> list[torch.Generator]:
    """Return the generators that may have advanced since the initial weights were drawn."""
    return ensemble.generators if ensemble.draws_own_numbers else []


def _copied(tensors: Any) -> Any:
    return tree_map_only(Tensor, lambda tensor: tensor.detach().cpu().clone(), tensors)


def _stacked(values: Sequence[npt.NDArray[np.float64] | float], shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64).reshape(len(values), *shape))


def _signature(state: Any, growing: bool = False) -> Any:
    """Return the names, types, precisions and shapes of a state, which are equal in all states of an ensemble."""
    if isinstance(state, Tensor):
        return state.dtype, state.ndim, state.shape[1:] if growing else state.shape
    if isinstance(state, dict):
        return {name: _signature(value, growing or name in GROWING) for name, value in state.items()}
    if isinstance(state, list):
        return [_signature(value) for value in state]
    return type(state)
