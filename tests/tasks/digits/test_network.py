from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.single import single
from tests.training.resuming import check_resuming

from nalm.modules import NAU
from nalm.modules.cells import GRU, LSTM, Accumulator
from nalm.spec.recipe import Recipe
from nalm.tasks import check_tasks, start_training as start
from nalm.tasks.digits.network import DigitNetwork
from nalm.tasks.digits.task import DigitTask
from nalm.training.single import SingleTraining

Make = Callable[..., SingleTraining]


def _recipe(module: Any = "NAU", **fields: Any) -> Recipe:
    return Recipe.model_validate({"module": module, "batch_size": 8, "iterations": 6, "evaluate_every": 2} | fields)


@pytest.fixture
def tasks(idx_directory: Callable[..., Path]) -> Callable[..., list[DigitTask]]:
    directory = str(idx_directory(train=120, test=30))

    def make(*lengths: int, **fields: Any) -> list[DigitTask]:
        common: dict[str, Any] = {"operation": "add", "length": 2, "images": {"mnist": directory}} | fields
        return [DigitTask.model_validate(common | {"test_length": length}) for length in lengths]

    return make


@pytest.mark.parametrize(
    ("operation", "module", "results"),
    [
        ("add", "NAU", [2, 5, 9]),
        ("mul", "NMU", [2, 6, 24]),
        ("mul", "NACMul", [2, 6, 24]),
        ("div", "RealNPU", [2 / 3, 2 / 3 / 4]),
        ("div", "NRU", [2 / 3, 2 / 3 / 4]),
        ("div", "NMRU", [2 / 3, 2 / 3 / 4]),
    ],
)
def test_a_module_with_gold_weights_calculates_what_the_accumulator_does(
    operation: str, module: str, results: list[float]
) -> None:
    fields = {"operation": operation, "length": 3, "test_length": 3, "digits": "1-9"}
    task = DigitTask.model_validate(fields)
    gold = DigitNetwork(task, _recipe(module)).eval()
    gold.module.gold(operation, *task.gold_operands())  # type: ignore[operator]
    solved = DigitNetwork(task, _recipe({"name": "Accumulator", "operation": operation})).eval()
    said = torch.tensor([[[2.0], [3.0], [4.0]]])
    for network in (gold, solved):
        found, inputs = network.calculate(said)
        # Modules that take logarithms guard them with a small constant.
        torch.testing.assert_close(found, torch.tensor([results], dtype=torch.float32), rtol=1e-5, atol=0)
        assert inputs.shape == (len(results), 2)
    assert task.targets(np.array([[2, 3, 4]])).tolist() == [pytest.approx(results)]


def test_torchs_cells_are_torchs() -> None:
    torch.manual_seed(0)
    x, h, c = torch.randn(3, 5, 1).unbind(0)
    lstm, gru = LSTM(2, 1), GRU(2, 1)
    assert torch.equal(lstm(torch.cat([x, h, c], -1)), torch.cat(lstm.cell(x, (h, c)), -1))
    assert torch.equal(gru(torch.cat([x, h], -1)), gru.cell(x, h))
    for wrong in (lambda: LSTM(1, 1), lambda: Accumulator(3, 1), lambda: Accumulator(2, 1, operation="root")):
        with pytest.raises(ValueError, match="expected"):
            wrong()


def test_states_start_where_the_operation_changes_nothing_and_torchs_with_0() -> None:
    for operation, module, initial in (("add", "NAU", 0), ("mul", "NMU", 1), ("mul", "NALU", 1), ("mul", "LSTM", 0)):
        task = DigitTask.model_validate({"operation": operation, "length": 2, "test_length": 2})
        assert DigitNetwork(task, _recipe(module)).initial == initial


def test_one_seed_starts_with_one_encoder_whatever_the_module_is(tasks: Callable[..., list[DigitTask]]) -> None:
    (task,) = tasks(4)
    networks = [
        single(_recipe(module), [(task, seed)], "cpu").network
        for module, seed in (("NAU", 0), ("Accumulator", 0), ("NAU", 1))
    ]
    first, same, other = (network.get_submodule("encoder").state_dict() for network in networks)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_the_first_errors_are_those_of_the_initial_network(tasks: Callable[..., list[DigitTask]]) -> None:
    short, long = tasks(2, 5)
    training = single(_recipe(), [(short, 0), (long, 0)], "cpu")
    digits = short.load()
    order = np.random.RandomState(88253339)
    indices = np.concatenate([order.permutation(30) for _ in range(300)]).reshape(1800, 5)
    network = training.network.eval()
    images = (torch.from_numpy(digits.test.images[indices]) / 255 - 0.1307) / 0.3081
    with torch.no_grad():
        results, _ = network(images)
    expected = ((results.double().numpy() - digits.test.labels[indices].cumsum(1)) ** 2).mean()
    history = training.train()
    # The same images in other batches: sums in convolutions come in another order.
    assert history.test_errors[0][1] == pytest.approx(expected, rel=1e-5)
    assert history.iterations == [0, 2, 4, 6]
    assert history.parameters[0]["weight"].shape == (2, 1, 2)
    assert len(history.parameters) == 5
    assert np.array_equal(history.validation_errors[1], np.repeat(history.validation_errors[1][:1], 2))


def test_regularizers_see_all_inputs_of_the_module_and_follow_their_schedule(
    tasks: Callable[..., list[DigitTask]],
) -> None:
    terms = {"weight": {"coefficient": 10, "ramp": [0, 4]}, "input": {"coefficient": 2}}
    training = single(_recipe(regularizers=terms, evaluate_every=1), [(tasks(2)[0], 0)], "cpu")
    inputs = torch.randn(7, 2)
    assert isinstance(training.network.module, NAU)
    values = training.network.module.regularizers(inputs)
    training.iteration = 1
    expected = 10 / 4 * values["weight"] + 2 * values["input"]
    torch.testing.assert_close(training._penalty(inputs, training._scalars()), expected)


@pytest.mark.parametrize("module", ["NMU", "LSTM", "Accumulator"])
def test_training_goes_on_from_a_checkpoint_to_the_same_bits(
    tasks: Callable[..., list[DigitTask]], module: str
) -> None:
    operation = "add" if module == "Accumulator" else "mul"
    runs = [(task, 3) for task in tasks(2, 6, operation=operation)]
    check_resuming(_recipe(module), runs)


def test_the_state_of_something_else_is_refused(tasks: Callable[..., list[DigitTask]]) -> None:
    (task,) = tasks(2)
    state = start(_recipe("LSTM"), [(task, 0)], "cpu", compiled=False).state_dict()
    for wrong in (state, {}, state | {"iteration": 4}):
        with pytest.raises(ValueError, match="found"):
            start(_recipe("NAU"), [(task, 0)], "cpu", compiled=False).load_state_dict(wrong)


def test_a_network_whose_weights_become_nan_stops_and_says_when(tasks: Callable[..., list[DigitTask]]) -> None:
    recipe = _recipe("NACMul", optimizer="sgd", learning_rate=1e30, iterations=20)
    history = single(recipe, [(tasks(2, operation="mul")[0], 0)], "cpu").train()
    (end,) = history.diverged_at
    assert 0 < end < 20
    assert max(history.iterations) < end


def test_no_state_is_captured_of_a_network_that_has_diverged(tasks: Callable[..., list[DigitTask]]) -> None:
    recipe = _recipe("NACMul", optimizer="sgd", learning_rate=1e30, iterations=20)
    paused: list[int] = []
    training = single(recipe, [(tasks(2, operation="mul")[0], 0)], "cpu")
    (end,) = training.train(on_pause=lambda training: paused.append(training.iteration)).diverged_at
    assert paused == list(range(1, end))


def test_runs_that_one_network_cannot_learn_are_refused(tasks: Callable[..., list[DigitTask]]) -> None:
    short, long = tasks(2, 5)
    with pytest.raises(ValueError, match="the same seed"):
        single(_recipe(), [(short, 0), (long, 1)], "cpu")
    with pytest.raises(ValueError, match="the same seed"):
        single(_recipe(), [(short, 0), (tasks(2, length=3)[0], 0)], "cpu")


@pytest.mark.parametrize(
    ("module", "fields", "sentence"),
    [
        ("Accumulator", {}, "found an Accumulator that computes add, expected mul"),
        ({"name": "Accumulator", "operation": "mul"}, {"regularizers": {"l1": {}}}, "which has no parameters"),
        ("LSTM", {"regularizers": {"weight": {}}}, "found regularizer 'weight', expected one that LSTM has: l1, l2"),
        ({"name": "NMU", "noise": [1, 5]}, {}, "with noise, expected a module without any"),
        ("NMU", {"reinitialize": {}}, "found reinitialize with sequences of images, expected none"),
        ("NMU", {"second": "NAU"}, "found second with sequences of images, expected none"),
        ("NMU", {"stop_when_solved": True}, "found stop_when_solved with sequences of images, expected none"),
    ],
)
def test_recipes_that_do_not_fit_sequences_are_refused(
    tasks: Callable[..., list[DigitTask]], module: Any, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_tasks(_recipe(module, **fields), tasks(2, operation="mul"))


def test_without_a_reference_no_error_is_good_enough(tasks: Callable[..., list[DigitTask]]) -> None:
    (task,) = tasks(2)
    assert not task.success_threshold(_recipe()).met(0.0)
    assert task.model_copy(update={"threshold": 0.5}).success_threshold(_recipe()).met(0.4)


def test_sums_of_bars_are_learnt_and_extrapolate(tasks: Callable[..., list[DigitTask]]) -> None:
    recipe = {"iterations": 350, "evaluate_every": 350, "learning_rate": 5e-3, "batch_size": 16}
    terms = {"weight": {"coefficient": 10, "ramp": [50, 100]}, "input": {}}
    runs = [(task, 2) for task in tasks(2, 20)]
    nau = single(_recipe(regularizers=terms, **recipe), runs, "cpu")
    before = nau.train().test_errors[0]
    after = nau.history.final_test_errors
    # An encoder may as well say negative digits, which the module takes back.
    assert abs(nau.history.parameters[-1]["weight"][0]) == pytest.approx(np.ones((1, 2)), abs=1e-2)
    assert (after < 0.01 * before).all()
