"""The experiments on sequences of digits are the paper's, field by field; ramps are as long in proportion."""

import pytest

import nalm
from nalm.experiments.runs import Run
from nalm.tasks.digits.images import DigitImages
from nalm.tasks.digits.task import DigitTask

PAPER = {
    "sequential-mnist-sum": ("add", 10, tuple(range(10)), [1, 10, *range(100, 1001, 100)], 86_085),
    "sequential-mnist-product": ("mul", 2, tuple(range(1, 10)), list(range(1, 21)), 387_386),
}
"""Operation, length of training, digits, lengths of testing, and the iterations of 1,000 epochs of MNIST."""
VARIANTS = {
    "sequential-mnist-sum": {
        "NAU": ("NAU", {"weight": 10, "input": 1}),
        "NAU without R_z": ("NAU", {"weight": 10}),
        "NAC+ with R_z": ("NAC", {"input": 1}),
        "NAC+": ("NAC", {}),
        "NALU": ("NALU", {}),
        "LSTM": ("LSTM", {}),
        "solved": ("Accumulator", {}),
    },
    "sequential-mnist-product": {
        "NMU": ("NMU", {"weight": 10, "input": 1}),
        "NMU without R_z": ("NMU", {"weight": 10}),
        "NAC•,NMU": ("NACNMU", {"weight": 10, "input": 1}),
        "NAC•,NMU without R_z": ("NACNMU", {"weight": 10}),
        "NAC•,σ": ("NACSigma", {}),
        "NAC•": ("NACMul", {}),
        "NALU": ("NALU", {}),
        "LSTM": ("LSTM", {}),
        "solved": ("Accumulator", {}),
    },
}


@pytest.mark.parametrize("name", PAPER)
def test_tasks_are_the_papers(name: str) -> None:
    operation, length, digits, tested, _ = PAPER[name]
    experiment = nalm.load_experiment(name)
    tasks = [task for task in experiment.tasks.values() if isinstance(task, DigitTask)]
    assert [task.test_length for task in tasks] == tested
    assert {(task.operation, task.length, task.digits) for task in tasks} == {(operation, length, digits)}
    assert {(task.encoder, task.outputs, task.every_step, task.threshold) for task in tasks} == {
        ("cnn", 1, True, "reference")
    }
    assert experiment.seeds == tuple(range(10))


def test_there_are_facts_of_every_experiment_on_digits() -> None:
    names = {name for name in nalm.experiment_names() if name.startswith("sequential-")}
    assert names == {*PAPER, "sequential-mnist-product-trained", "sequential-mnist-quotient"}


def test_lengths_of_training_are_the_papers() -> None:
    experiment = nalm.load_experiment("sequential-mnist-product-trained")
    tasks = [task for task in experiment.tasks.values() if isinstance(task, DigitTask)]
    assert {(task.operation, task.digits, task.outputs) for task in tasks} == {("mul", tuple(range(1, 10)), 1)}
    assert [(task.length, task.test_length) for task in tasks] == [
        (length, tested) for length in range(2, 6) for tested in range(1, 10)
    ]
    assert experiment.seeds == tuple(range(5))
    nmu = experiment.variants["NMU"].regularizers
    assert {name: term.coefficient for name, term in nmu.items()} == {"weight": 10, "input": 1}


def test_quotients_are_of_digits_without_0_and_learnt_from_pairs() -> None:
    experiment = nalm.load_experiment("sequential-mnist-quotient")
    tasks = [task for task in experiment.tasks.values() if isinstance(task, DigitTask)]
    assert {(task.operation, task.length, task.digits) for task in tasks} == {("div", 2, tuple(range(1, 10)))}
    modules = {recipe.module.name for recipe in experiment.variants.values()}
    assert modules >= {"RealNPU", "NRU", "NMRU", "Accumulator"}


@pytest.mark.parametrize("name", PAPER)
def test_recipes_are_the_papers(name: str) -> None:
    experiment = nalm.load_experiment(name)
    found = {
        label: (recipe.module.name, {term: value.coefficient for term, value in recipe.regularizers.items()})
        for label, recipe in experiment.variants.items()
    }
    assert found == VARIANTS[name]
    assert {
        (recipe.optimizer, recipe.learning_rate, recipe.batch_size, recipe.criterion)
        for recipe in experiment.variants.values()
    } == {("adam", 1e-3, 64, "mse")}


@pytest.mark.parametrize("name", PAPER)
def test_with_the_papers_iterations_the_ramp_is_the_papers(name: str) -> None:
    whole = nalm.load_experiment(name).with_iterations(PAPER[name][-1])
    ramps = {
        term.ramp
        for recipe in whole.variants.values()
        for term in recipe.regularizers.values()
        if term.ramp is not None
    }
    ((start, end),) = ramps
    # The catalog's are whole numbers of far fewer iterations.
    assert start == pytest.approx(10_000, rel=5e-3)
    assert end == pytest.approx(100_000, rel=5e-3)
    assert {recipe.iterations for recipe in whole.variants.values()} == {PAPER[name][-1]}


def test_other_images_are_another_run_and_other_directories_are_not() -> None:
    experiment = nalm.load_experiment("sequential-mnist-sum")
    (task, *_) = experiment.tasks.values()
    assert isinstance(task, DigitTask)
    (recipe, *_) = experiment.variants.values()

    def key(directory: str, digest: str) -> str:
        images = DigitImages.model_validate({"mnist": directory, "digest": digest})
        return Run(recipe, task.model_copy(update={"images": images}), 0).key

    assert key("here", "ab") == key("there", "ab")
    assert len({key("here", "ab"), key("here", "cd"), Run(recipe, task, 0).key}) == 3
    with pytest.raises(nalm.NalmError, match="expected it with sequences of digits only"):
        nalm.load_experiment("figure-3").with_images("mnist", "anywhere")
