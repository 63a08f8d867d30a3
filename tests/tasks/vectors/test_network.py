from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.single import single
from tests.training.resuming import check_resuming

from nalm.modules.two_layers import TwoLayers
from nalm.spec.recipe import Recipe
from nalm.tasks import check_tasks
from nalm.tasks.subsets.streams import parent_draws
from nalm.tasks.vectors.network import VectorNetwork
from nalm.tasks.vectors.task import VectorTask


def _task(**fields: object) -> VectorTask:
    two_of_five = {"input_size": 5, "subset_ratio": 0.4}
    common = {"operation": "add", "train": [1, 2], "test": [1, 2], "steps": 3, "test_steps": 6}
    return VectorTask.model_validate(two_of_five | common | fields)


def _recipe(module: Any = "NAU", second: Any = "NAU", **fields: Any) -> Recipe:
    short = {"batch_size": 8, "iterations": 6, "evaluate_every": 2}
    return Recipe.model_validate({"module": module, "second": second} | short | fields)


def _solved(task: VectorTask, second: str) -> VectorNetwork:
    """Return a cell that keeps its states and adds two inputs to one, the next two to the other, as seed 0 has it."""
    network = VectorNetwork(task, _recipe("NAU", second))
    offset, _ = parent_draws(task, 0)
    weight = torch.zeros(2, 7)
    for state, (begin, end) in enumerate(task.slices(offset)):
        weight[state, [*range(begin, end), 5 + state]] = 1
    network.module.first.load_state_dict({"weight": weight})
    network.module.second.gold(task.operation, 0, 1)  # type: ignore[operator]
    return network.eval()


@pytest.mark.parametrize(("operation", "second"), [("add", "NAU"), ("mul", "NMU"), ("div", "NMRU")])
def test_gold_weights_of_cell_and_layer_solve_the_task(operation: str, second: str) -> None:
    task = _task(operation=operation, test_steps=100)
    training = single(_recipe(second=second), [(task, 0)], "cpu")
    validation, (test,) = training.data.errors(_solved(task, second))
    threshold = task.success_threshold(training.recipe)
    assert threshold.met(test)
    assert validation < task.model_copy(update={"test_steps": 3}).limit
    assert training.data.errors(training.network.eval())[1][0] > threshold.value


def test_the_first_states_are_learnt_too() -> None:
    for module, states in (("NAU", 2), ("GRU", 2), ("LSTM", 4)):
        training = single(_recipe(module, "Linear"), [(_task(), 0)], "cpu")
        assert isinstance(training.network, VectorNetwork)
        assert training.network.initial.tolist() == [0] * states
        training.train()
        assert (training.network.initial != 0).all()


def test_a_network_takes_one_vector_after_the_other() -> None:
    torch.manual_seed(0)
    network = VectorNetwork(_task(), _recipe("LSTM", "NALU"))
    vectors = torch.randn(5, 3, 5)
    result, inputs = network(vectors)
    h, c = torch.zeros(5, 2), torch.zeros(5, 2)
    for vector in vectors.unbind(1):
        h, c = network.module.first.cell(vector, (h, c))  # type: ignore[operator]
    # Sums over other strides come in another order.
    torch.testing.assert_close(result, network.module.second(h))
    assert inputs.shape == (15, 9)


def test_regularizers_are_those_of_both_layers_on_their_schedule() -> None:
    terms = {"weight": {"coefficient": 0.1, "exponential": 1e-5}}
    training = single(_recipe(second="NMU", regularizers=terms), [(_task(), 0)], "cpu")
    training.iteration = 70_000
    module = training.network.module
    assert isinstance(module, TwoLayers)
    both = [layer.regularizers()["weight"] for layer in (module.first, module.second)]  # type: ignore[operator]
    expected = 0.1 * (1 - np.exp(-0.7)) * (both[0] + both[1])
    torch.testing.assert_close(training._penalty(torch.empty(0), training._scalars()), expected)


def test_one_network_is_tested_on_several_lengths() -> None:
    short, long = _task(test_steps=2), _task(test_steps=9)
    history = single(_recipe(), [(short, 0), (long, 0)], "cpu").train()
    assert history.iterations == [0, 2, 4, 6]
    assert (history.final_test_errors[0] != history.final_test_errors[1]).all()
    assert history.parameters[0]["first.weight"].shape == (2, 2, 7)
    assert history.parameters[0]["second.weight"].shape == (2, 1, 2)
    with pytest.raises(ValueError, match="the same seed"):
        single(_recipe(), [(short, 0), (_task(steps=4), 0)], "cpu")


def test_batches_are_of_the_seed_and_of_the_iteration() -> None:
    def batch(seed: int, iteration: int) -> torch.Tensor:
        return single(_recipe(), [(_task(), seed)], "cpu").data.batch(iteration)[0]

    assert torch.equal(batch(0, 3), batch(0, 3))
    assert not torch.equal(batch(0, 3), batch(0, 4))
    assert not torch.equal(batch(0, 3), batch(1, 3))


@pytest.mark.parametrize("module", ["NAU", "LSTM", "NALU"])
def test_training_goes_on_from_a_checkpoint_to_the_same_bits(module: str) -> None:
    runs = [(_task(test_steps=steps), 3) for steps in (4, 8)]
    check_resuming(_recipe(module), runs)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"second": None}, "found no second module with sequences of vectors, expected one"),
        ({"second": "LSTM"}, "found second LSTM, expected a module without states"),
        ({"stop_when_solved": True}, "found stop_when_solved with sequences of vectors, expected none"),
        ({"reinitialize": {}}, "found reinitialize with sequences of vectors, expected none"),
        ({"second": {"name": "NMU", "noise": [1, 5]}}, "with noise, expected a module without any"),
        ({"regularizers": {"input": {}}}, r"found regularizer 'input', expected one that NAU \+ NAU has"),
        ({"module": "Accumulator", "second": "NAU"}, "Accumulator: found 7 inputs and 2 outputs"),
    ],
)
def test_recipes_that_do_not_fit_vectors_are_refused(recipe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_tasks(_recipe(**recipe), [_task()])


def test_sums_are_learnt_and_extrapolate() -> None:
    recipe = _recipe(iterations=1_500, evaluate_every=1_500, learning_rate=1e-2, batch_size=32)
    history = single(recipe, [(_task(), 0)], "cpu").train()
    assert history.final_validation_errors[0] < 0.01 * history.validation_errors[0][0]
    assert history.final_test_errors[0] < 0.01 * history.test_errors[0][0]
