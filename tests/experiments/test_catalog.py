"""The catalog: experiments by name, and default recipes of modules."""

from collections.abc import Callable
from pathlib import Path

import pytest

import nalm
from nalm.errors import NalmError
from nalm.experiments.catalog import default_recipe
from nalm.experiments.index import COMPUTED_FIGURES, figures_called
from nalm.spec.recipe import Recipe


@pytest.fixture(scope="module")
def figure_3() -> nalm.Experiment:
    return nalm.load_experiment("figure-3")


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


def test_names_of_several_experiments_mean_the_same_to_the_function_as_to_the_command() -> None:
    assert nalm.forecast("figure-6").runs == 900 + 450
    assert nalm.forecast("all").runs == 11_350
