from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.single import single
from tests.training.resuming import check_resuming

from nalm.modules.base import ArithmeticModule
from nalm.spec.recipe import Recipe
from nalm.tasks import check_tasks
from nalm.tasks.words.network import WordNetwork
from nalm.tasks.words.task import WordTask
from nalm.tasks.words.words import split_numbers, tokens

TASK = WordTask.model_validate({"operation": "translate"})


def _recipe(module: Any = "NAU", **fields: Any) -> Recipe:
    short = {"batch_size": 64, "iterations": 6, "evaluate_every": 2}
    return Recipe.model_validate({"module": module} | short | fields)


@pytest.mark.parametrize("module", ["NAU", "NALU", "LSTM"])
def test_a_network_reads_word_after_word_and_keeps_its_result_after_the_last(module: str) -> None:
    torch.manual_seed(0)
    network = WordNetwork(TASK, _recipe(module))
    read = torch.from_numpy(tokens(np.array([7, 21, 105])))
    results, inputs = network(read)
    assert inputs.shape == (1 + 2 + 4, 4 if module == "LSTM" else 3)
    for row, words in enumerate((1, 2, 4)):
        h = c = torch.zeros(1, 2)
        state = torch.zeros(1, network.state_size)
        weights = dict(network.reader.named_parameters())
        cell = torch.nn.LSTMCell(2, 2)
        cell.load_state_dict({name.removesuffix("_l0"): value for name, value in weights.items()})
        for token in read[row, :words]:
            h, c = cell(network.embedding(token)[None], (h, c))
            state = network.module(torch.cat([h, state], -1))
        # Torch's cell and its layer sum in another order.
        torch.testing.assert_close(results[row], state[0, :1])


def test_errors_are_those_of_all_numbers_of_a_split() -> None:
    training = single(_recipe(), [(TASK, 5)], "cpu")
    network = training.network.eval()
    with torch.no_grad():
        expected = [
            ((network(torch.from_numpy(tokens(numbers)))[0][:, 0].double().numpy() - numbers) ** 2).mean()
            for numbers in split_numbers(5)[1:]
        ]
    history = training.train()
    assert [history.validation_errors[0][0], history.test_errors[0][0]] == pytest.approx(expected, rel=1e-12)
    assert history.parameters[0]["weight"].shape == (1, 1, 3)


def test_an_epoch_has_every_number_once() -> None:
    data = single(_recipe(), [(TASK, 1)], "cpu").data
    epochs = [torch.cat([data.batch(3 * epoch + batch)[1] for batch in range(3)])[:, 0].tolist() for epoch in (0, 1)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(split_numbers(1).train.tolist())
    assert epochs[0] != epochs[1]
    read, numbers = data.batch(2)
    assert len(read) == 169 - 2 * 64
    assert read.tolist() == tokens(numbers[:, 0].numpy().astype(np.int64)).tolist()


def test_regularizers_see_the_inputs_of_words_only_and_follow_their_schedule() -> None:
    terms = {"weight": {"coefficient": 0.1, "exponential": 1e-5}, "input": {}}
    training = single(_recipe(regularizers=terms), [(TASK, 0)], "cpu")
    training.iteration = 30_000
    _, inputs = training.network(training.data.batch(0)[0])
    module = training.network.module
    assert isinstance(module, ArithmeticModule)
    values = module.regularizers(inputs)
    expected = 0.1 * (1 - np.exp(-0.3)) * values["weight"] + values["input"]
    torch.testing.assert_close(training._penalty(inputs, training._scalars()), expected)


@pytest.mark.parametrize("module", ["NAU", "LSTM", "NALU"])
def test_training_goes_on_from_a_checkpoint_to_the_same_bits(module: str) -> None:
    check_resuming(_recipe(module), [(TASK, 3)])


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"second": "NMU"}, "found second with number words, expected none"),
        ({"stop_when_solved": True}, "found stop_when_solved with number words, expected none"),
        ({"reinitialize": {}}, "found reinitialize with number words, expected none"),
        ({"module": {"name": "NMU", "noise": [1, 5]}}, "with noise, expected a module without any"),
        ({"module": "Accumulator"}, "found an Accumulator that computes add, expected translate"),
        ({"module": "LSTM", "regularizers": {"weight": {}}}, "found regularizer 'weight', expected one that LSTM has"),
    ],
)
def test_recipes_that_do_not_fit_words_are_refused(recipe: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_tasks(_recipe(**recipe), [TASK])


def test_numbers_are_solved_when_the_typical_error_is_below_one_half() -> None:
    threshold = TASK.success_threshold(_recipe())
    assert threshold.met(0.49**2)
    assert not threshold.met(0.5**2)


def test_numbers_are_learnt_and_others_with_them() -> None:
    recipe = _recipe("Linear", iterations=600, evaluate_every=600, learning_rate=1e-2)
    history = single(recipe, [(TASK, 0)], "cpu").train()
    assert history.final_validation_errors[0] < 0.5 * history.validation_errors[0][0]
    assert history.final_test_errors[0] < 0.5 * history.test_errors[0][0]
