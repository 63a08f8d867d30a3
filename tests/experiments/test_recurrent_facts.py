"""The experiments on sequences of anything but images have the original's settings, field by field."""

import nalm
from nalm.modules.base import ArithmeticModule
from nalm.spec.recipe import Recipe
from nalm.spec.schedules import Term
from nalm.tasks.vectors.task import VectorTask
from nalm.tasks.words.network import WordNetwork
from nalm.tasks.words.task import WordTask

RAMP = {"weight": Term(coefficient=0.1, exponential=1e-5)}
"""0.1 · (1 − exp(−1e-5 · iteration))."""


def _layers(recipe: Recipe) -> tuple[str, str | None, dict[str, Term]]:
    return recipe.module.name, recipe.second.name if recipe.second else None, recipe.regularizers


def test_tasks_on_vectors_are_the_originals() -> None:
    experiment = nalm.load_experiment("subset-recurrent")
    tasks = [task for task in experiment.tasks.values() if isinstance(task, VectorTask)]
    assert [task.operation for task in tasks] == ["add", "mul"]
    assert {(task.input_size, task.steps, task.test_steps, task.hidden_size) for task in tasks} == {(10, 10, 1000, 2)}


def test_recipes_on_vectors_are_the_originals() -> None:
    experiment = nalm.load_experiment("subset-recurrent")
    assert {label: _layers(recipe) for label, recipe in experiment.variants.items()} == {
        "NAU": ("NAU", "NAU", RAMP),
        "NMU": ("NAU", "NMU", RAMP),
        "NAC+": ("NAC", "NAC", {}),
        "NAC•": ("NAC", "NACMul", {}),
        "NALU": ("NALU", "NALU", {}),
        "LSTM": ("LSTM", "Linear", {}),
        "GRU": ("GRU", "Linear", {}),
    }
    assert {
        (recipe.optimizer, recipe.learning_rate, recipe.batch_size, recipe.iterations, recipe.criterion)
        for recipe in experiment.variants.values()
    } == {("adam", 1e-3, 128, 100_000, "mse")}


def test_the_task_on_words_is_the_originals() -> None:
    (task,) = nalm.load_experiment("number-translation").tasks.values()
    assert isinstance(task, WordTask)
    network = WordNetwork(task, Recipe.model_validate({"module": "NALU"}))
    assert network.embedding.weight.shape == (30, 2)
    assert (network.reader.input_size, network.reader.hidden_size) == (2, 2)
    module = network.module
    assert isinstance(module, ArithmeticModule)
    assert (module.in_features, module.out_features) == (3, 1)


def test_recipes_on_words_are_the_originals() -> None:
    experiment = nalm.load_experiment("number-translation")
    assert {label: _layers(recipe) for label, recipe in experiment.variants.items()} == {
        "NAU": ("NAU", None, RAMP),
        "NAC+": ("NAC", None, {}),
        "NALU": ("NALU", None, {}),
        "Linear": ("Linear", None, {}),
        "LSTM": ("LSTM", None, {}),
    }
    epoch = -(-169 // 64)
    assert {
        (recipe.optimizer, recipe.learning_rate, recipe.batch_size, recipe.iterations, recipe.evaluate_every)
        for recipe in experiment.variants.values()
    } == {("adam", 1e-3, 64, 10_000 * epoch, 50 * epoch)}
