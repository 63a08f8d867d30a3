"""All that a half-trained network is: what goes on from there is the same to the bit."""

from typing import Any

import torch

from nalm.training.history import SERIES
from nalm.training.single import SequenceTraining

__all__ = ["capture_sequences", "restore_sequences"]


def capture_sequences(training: SequenceTraining) -> dict[str, Any]:
    """All that a half-trained network is, as tensors and numbers."""
    history = training.history
    return {
        "iteration": training.iteration,
        "network": training.network.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "history": {
            "iterations": list(history.iterations),
            "wall_times": list(history.wall_times),
            **{name: [torch.from_numpy(row) for row in getattr(history, name)] for name in SERIES},
            "parameters": [
                {name: torch.from_numpy(value) for name, value in row.items()} for row in history.parameters
            ],
        },
    }


def restore_sequences(training: SequenceTraining, state: Any) -> None:
    """Puts a network that has not trained yet into a state that was captured.

    Raises:
        ValueError: the state is not one of such a network, which is of no use from then on.
    """
    try:
        training.network.load_state_dict(state["network"])
        training.optimizer.load_state_dict(state["optimizer"])
        saved, iteration = state["history"], state["iteration"]
        lengths = {len(saved[name]) for name in ("iterations", "wall_times", "parameters", *SERIES)}
        expected = range(0, iteration, training.recipe.evaluate_every)
        if saved["iterations"] != list(expected) or lengths != {len(expected)}:
            raise ValueError("found a state that contradicts itself")
        if any(row.shape != (training.runs,) for name in SERIES for row in saved[name]):
            raise ValueError("found the state of other test lengths")
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"found the state of another network ({type(error).__name__})") from None
    history = training.history
    training.iteration = iteration
    history.iterations, history.wall_times = list(saved["iterations"]), list(saved["wall_times"])
    for name in SERIES:
        setattr(history, name, [row.numpy() for row in saved[name]])
    history.parameters = [{name: value.numpy() for name, value in row.items()} for row in saved["parameters"]]
