"""The catalog: Figure 3 as the paper trains it, and where names of experiments come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nalm
from nalm.errors import NalmError
from nalm.experiments.catalog import COMPUTED_FIGURES, default_recipe, figures_called
from nalm.modules import NMRU, NRU, RealNPU
from nalm.training.recipe import Recipe

# The four recipes A0, A1, A2 and A3 of the paper's Figure 3, and what all its trainings share.
SHARED = {
    "criterion": "mse",
    "optimizer": "adam",
    "momentum": 0.0,
    "clip_gradient_value": None,
    "reinitialize": None,
    "batch_size": 128,
    "iterations": 50_000,
    "evaluate_every": 1000,
    "precision": "float32",
}
SLOW_GROWTH = {"start": 1e-9, "end": 1e-7, "factor": 10.0, "every": 10_000}
UNCONDITIONAL = {"after": None, "below": None}
L1 = {"coefficient": 1.0, "ramp": None, "exponential": None, "growth": SLOW_GROWTH} | UNCONDITIONAL


def ramp(coefficient: float, start: int, end: int) -> dict[str, Any]:
    return {"coefficient": coefficient, "ramp": [start, end], "exponential": None, "growth": None} | UNCONDITIONAL


FIGURE_3: dict[str, dict[str, Any]] = {
    "Real NPU (baseline)": {
        "module": "RealNPU",
        "learning_rate": 5e-3,
        "clip_gradient_norm": None,
        "regularizers": {"l1": L1},
    },
    "Real NPU (modified)": {
        "module": {"name": "RealNPU", "clip": "both", "init": "constrained"},
        "learning_rate": 5e-3,
        "clip_gradient_norm": None,
        "regularizers": {"l1": L1, "weight": ramp(1, 40_000, 50_000), "gate": ramp(1, 40_000, 50_000)},
    },
    "NRU": {
        "module": "NRU",
        "learning_rate": 1.0,
        "clip_gradient_norm": None,
        "regularizers": {"weight": ramp(10, 20_000, 35_000)},
    },
    "NMRU": {
        "module": "NMRU",
        "learning_rate": 1e-2,
        "clip_gradient_norm": 1.0,
        "regularizers": {"weight": ramp(10, 20_000, 35_000)},
    },
}

R9: list[tuple[str, list[float], Any]] = [
    ("U[-20,-10)", [-20, -10], [-40, -20]),
    ("U[-2,-1)", [-2, -1], [-6, -2]),
    ("U[-1.2,-1.1)", [-1.2, -1.1], [-6.1, -1.2]),
    ("U[-0.2,-0.1)", [-0.2, -0.1], [-2, -0.2]),
    ("U[-2,2)", [-2, 2], {"union": [[-6, -2], [2, 6]]}),
    ("U[0.1,0.2)", [0.1, 0.2], [0.2, 2]),
    ("U[1,2)", [1, 2], [2, 6]),
    ("U[1.1,1.2)", [1.1, 1.2], [1.2, 6]),
    ("U[10,20)", [10, 20], [20, 40]),
]


@pytest.fixture(scope="module")
def figure_3() -> nalm.Experiment:
    return nalm.load_experiment("figure-3")


def test_figure_3_trains_900_runs_of_four_variants_and_25_seeds(figure_3: nalm.Experiment) -> None:
    assert figure_3.runs == 900
    assert list(figure_3.variants) == list(FIGURE_3)
    assert figure_3.seeds == tuple(range(25))
    assert (figure_3.name, figure_3.figure) == ("figure-3", "3")


def test_figure_3_has_the_nine_ranges_in_the_papers_order(figure_3: nalm.Experiment) -> None:
    ranges = [
        (label, *(task.model_dump(mode="json")[field] for field in ("train", "test")))
        for label, task in figure_3.tasks.items()
    ]
    assert ranges == R9


@pytest.mark.parametrize("label", [label for label, *_ in R9])
def test_figure_3_divides_two_inputs_and_succeeds_below_1e_5(figure_3: nalm.Experiment, label: str) -> None:
    task = figure_3.tasks[label]
    assert (task.operation, task.input_size, task.slices(0)) == ("div", 2, [(0, 1), (1, 2)])
    assert task.threshold == 1e-5


@pytest.mark.parametrize("label", FIGURE_3)
def test_the_recipes_of_figure_3_are_the_papers(figure_3: nalm.Experiment, label: str) -> None:
    recipe = figure_3.variants[label].model_dump(mode="json")
    expected = SHARED | FIGURE_3[label]
    assert {field: recipe[field] for field in expected} == expected


def test_the_modules_of_figure_3_have_the_papers_options(figure_3: nalm.Experiment) -> None:
    baseline, modified, nru, nmru = (recipe.module.build(2, 1) for recipe in figure_3.variants.values())
    assert isinstance(baseline, RealNPU)
    assert isinstance(modified, RealNPU)
    assert (baseline.init, baseline.clip) == ("xavier", "none")
    assert (modified.init, modified.clip, modified.attract) == ("constrained", "both", "signs")
    assert isinstance(nru, NRU)
    assert (nru.sign, nru.out_of_bounds, nru.shape) == ("joint", "clip", "linear")
    assert isinstance(nmru, NMRU)
    assert (nmru.sign, nmru.out_of_bounds, nmru.shape) == ("retrieved", "clip", "linear")


@pytest.mark.parametrize("name", nalm.experiment_names())
def test_every_experiment_of_the_catalog_loads(name: str) -> None:
    experiment = nalm.load_experiment(name)
    assert experiment.name == name
    assert experiment.runs > 0


@pytest.mark.parametrize(("module", "label"), [("RealNPU", "Real NPU (modified)"), ("NRU", "NRU"), ("NMRU", "NMRU")])
def test_a_module_trained_on_its_own_has_its_recipe_of_figure_3(
    figure_3: nalm.Experiment, module: str, label: str
) -> None:
    recipe = Recipe.model_validate(default_recipe(module))
    assert recipe == figure_3.variants[label]


def test_a_module_without_a_recipe_is_trained_with_defaults() -> None:
    assert default_recipe("torch.nn:Linear") == {"module": "torch.nn:Linear"}


def test_anybodys_file_is_an_experiment_by_its_path(write_yaml: Callable[..., Path]) -> None:
    path = write_yaml("my-idea")
    experiment = nalm.load_experiment(str(path))
    assert (experiment.name, experiment.title, experiment.runs) == ("my-idea", "Mine", 2)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NalmError, match=r"^found unknown experiment 'figure-33', expected one of: .*figure-3,"):
        nalm.load_experiment("figure-33")


# --- the paper's figures -----------------------------------------------------------------------------------------

PAPER = [
    *(f"figure-{number}" for number in ["1a", "1b", "2a", "2b", "2c", "3", "4", "5"]),
    *("redundancy", "distributions-in2", "distributions-in10"),
    *(f"figure-{number}" for number in range(9, 24)),
]


def test_all_is_every_figure_of_the_paper_in_its_order() -> None:
    assert figures_called("all") == PAPER


def test_figures_6_and_7_are_what_the_readme_calls_so() -> None:
    assert figures_called("figure-6") == ["redundancy", "distributions-in2"]
    assert figures_called("figure-7") == ["distributions-in10"]
    assert nalm.load_experiment("figure-7").name == "distributions-in10"
    with pytest.raises(
        NalmError, match="calls several experiments figure-6, name one of: redundancy, distributions-in2"
    ):
        nalm.load_experiment("figure-6")


@pytest.mark.parametrize("name", COMPUTED_FIGURES)
def test_figures_for_which_nothing_is_trained_say_so(name: str) -> None:
    with pytest.raises(NalmError, match=f"nothing is trained for {name}: use `nalm reproduce {name}`"):
        nalm.load_experiment(name)


@pytest.mark.parametrize("name", nalm.experiment_names())
def test_every_experiment_of_the_catalog_has_25_seeds_and_tasks_in_the_papers_order(name: str) -> None:
    experiment = nalm.load_experiment(name)
    assert experiment.seeds == tuple(range(25))
    labels = list(experiment.tasks)
    assert labels in (
        [label for label, *_ in R9],
        MIXED_SIGNS,
        DISTRIBUTIONS,
        ["U[0,0.0001)", "U[0,0.001)", "U[0,0.01)", "U[0,0.1)", "U[0,1)"],
    )


MIXED_SIGNS = [
    "U[-2,2)",
    "U[-2,-0.1) & U[0.1,2)",
    "U[0.1,2) & U[-2,-0.1)",
    "U[-2,-1) & U[1,2)",
    "U[1,2) & U[-2,-1)",
]
DISTRIBUTIONS = ["B:[10,100)", "TN(-1,3):[-5,10)", "TN(1,3):[-10,5)", "TN(0,1):[-5,5)", "U:[-50,50)", "U:[-100,100)"]


@pytest.mark.parametrize(
    ("name", "inputs", "iterations"),
    [
        ("figure-1a", 2, 50_000),
        ("figure-4", 2, 50_000),
        ("figure-11", 1, 5_000),
        ("figure-12", 2, 50_000),
        ("figure-13", 2, 50_000),
        ("figure-17", 10, 100_000),
        ("redundancy", 10, 100_000),
        ("distributions-in10", 10, 100_000),
        ("primer-mul", 2, 50_000),
        ("primer-add-in100", 100, 100_000),
    ],
)
def test_experiments_have_the_papers_size(name: str, inputs: int, iterations: int) -> None:
    experiment = nalm.load_experiment(name)
    assert {task.input_size for task in experiment.tasks.values()} == {inputs}
    assert {recipe.iterations for recipe in experiment.variants.values()} == {iterations}
    slices = next(iter(experiment.tasks.values())).slices(0)
    assert all(end - start == 1 for start, end in slices)


def test_names_of_several_experiments_mean_the_same_to_the_function_as_to_the_command() -> None:
    assert nalm.forecast("figure-6").runs == 900 + 450
    assert nalm.forecast("all").runs == 11_350
