"""Runs have the names that the original gives them, and its names mean our runs."""

import re
from typing import Any

import pytest
from tests.training.configurations import CONFIGURATIONS, golden_task

from nalm.experiments.catalog import load_experiment
from nalm.experiments.index import experiment_names
from nalm.experiments.runs import recipe_fields
from nalm.original.parse_names import named_run
from nalm.original.write_names import name_form, named_recipe, named_task
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask

BASELINE = (
    "realnpu_op-div_oob-c_rs-linear-none_eps-0_rl-1000000-2000000_r-0.0-0-1_i-1-2_e-2-6_z-2-0.5-0.0_b128_s0_h2_z2_"
    "lr-adam-0.00500-0.0_D-u_n-1-5_L1T_rb-1e-09-1e-07-10000-10_rWnpu-0-W_rg-0_rH_clip-n_WrI-xu_nMF_gn-F_mse"
)
"""The original's name of the run with seed 0 of Figure 3's baseline on U[1,2), measured."""
UNNAMEABLE = {"GNALU", "INALU", "MCFC", "MulMCFC", "DMU", "PowerProduct", "MagnitudeNMRU"}
"""Modules of later papers and our own: the original lacks them, or their names are not known."""


def division(**fields: Any) -> SubsetTask:
    return SubsetTask.model_validate({"operation": "div", "train": [1, 2], "test": [2, 6]} | fields)


def test_a_run_has_the_name_that_was_measured() -> None:
    figure = load_experiment("figure-3")
    form = name_form(figure.variants["Real NPU (baseline)"], figure.tasks["U[1,2)"])
    assert form.replace("{seed}", "0") == BASELINE


def test_a_name_of_the_original_means_a_run_of_the_catalog() -> None:
    figure, run = load_experiment("figure-3"), named_run(BASELINE.replace("_s0_", "_s17_"))
    assert run.recipe == figure.variants["Real NPU (baseline)"]
    assert (run.task, run.seed) == (figure.tasks["U[1,2)"], 17)


@pytest.mark.parametrize(
    ("experiment", "variant", "task", "fields"),
    [
        ("figure-3", "Real NPU (modified)", "U[-20,-10)", "i--20--10 e--40--20 rWnpu-1-W rg-1 rM clip-wg WrI-xuc"),
        ("figure-3", "NRU", "U[-2,2)", "nru rl-20000-35000 r-10-0-1 e-[-6, -2]-[2, 6] L1F lr-adam-1.00000-0.0"),
        ("figure-3", "NMRU", "U[-0.2,-0.1)", "signnmru rs-linear-linear i--0.2--0.1 gn-1.0 rb-1e-05-0.0001-10000-10"),
        ("figure-4", "Real NPU", "U[-2,-0.1) & U[0.1,2)", "i-[-2, -0.1]-[0.1, 2] e-[-6, -2]-[2, 6]"),
        ("figure-13", "NRU", "U[0,0.0001)", "i-0-0.0001 e-0-0.0001"),
        ("figure-15", "NPU (clip & reg)", "U[1,2)", "npu clip-wig z-10-0.1-0.0"),
        ("figure-16", "{-1,0,1}", "U[1,2)", "rWnpu-1-b"),
        ("figure-17", "gnc+sign+gating", "U[1,2)", "gatedsignnmru rg-1 rM"),
        ("figure-17", "vanilla", "U[1,2)", "nmru gn-F"),
        ("figure-19", "sgd", "U[1,2)", "lr-sgd-0.01000-0.0"),
        ("figure-20", "separate", "U[1,2)", "nru-sS"),
        ("figure-23", "PCC", "U[1,2)", "pcc"),
        ("distributions-in2", "NRU", "B:[10,100)", "D-b i-10-100 e-100-1000"),
        ("distributions-in2", "NRU", "TN(-1,3):[-5,10)", "D-tn--1-3--10-3 i--5-10 e--15--5"),
        ("primer-add", "NAU", "U[1,2)", "reregualizedlinearnac op-add r-0.01-0-1"),
        ("primer-add", "NAC", "U[1,2)", "nac r-10-0-1 rl-1000000-2000000"),
        ("primer-mul", "NAC•", "U[1,2)", "mnac op-mul"),
    ],
)
def test_fields_of_names_are_the_originals(experiment: str, variant: str, task: str, fields: str) -> None:
    known = load_experiment(experiment)
    found = name_form(known.variants[variant], known.tasks[task]).split("_")
    expected = re.split(r"(?<!,) ", fields)
    assert [field for field in expected if field not in found] == []


@pytest.mark.parametrize("experiment", experiment_names())
def test_every_run_of_the_catalog_is_read_back_from_its_name_or_is_of_a_later_paper(experiment: str) -> None:
    known = load_experiment(experiment)
    for recipe in known.variants.values():
        for task in known.tasks.values():
            unnamed = recipe.module.name in UNNAMEABLE or recipe.second is not None
            if unnamed or not task.on_rows:
                with pytest.raises(ValueError, match="the original"):
                    name_form(recipe, task)
                continue
            run = named_run(name_form(recipe, task).replace("{seed}", "3"))
            assert (named_recipe(run.recipe), named_task(run.task)) == (named_recipe(recipe), named_task(task))
            assert run.seed == 3


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_every_golden_configuration_is_read_back_from_its_name(configuration: str) -> None:
    recipe = Recipe.model_validate(CONFIGURATIONS[configuration])
    task = golden_task(configuration, "[1,2]", "[2,6]")
    run = named_run(name_form(recipe, task).replace("{seed}", "0"))
    assert (recipe_fields(run.recipe), run.task.identity) == (named_recipe(recipe), named_task(task))


@pytest.mark.parametrize(
    ("recipe", "task", "reason"),
    [
        ({"module": "NRU", "clip_gradient_value": 0.1}, {}, "clip_gradient_value"),
        ({"module": "NRU", "reinitialize": {}}, {}, "reinitialize"),
        ({"module": "NRU", "learning_rate": 1e-7}, {}, "learning_rate"),
        ({"module": {"name": "NRU", "eps": 0.1}}, {}, "NRU with eps"),
        ({"module": "NMU", "regularizers": {"weight": {}}}, {}, "regularizer weight"),
        ({"module": "RealNPU", "regularizers": {"weight": {"ramp": [1, 2]}, "gate": {"ramp": [1, 3]}}}, {}, "gate"),
        ({"module": "RealNPU", "regularizers": {"l1": {}}}, {}, "regularizer l1"),
        ({"module": {"name": "NALU", "multiplication": "nmu"}}, {}, "nmu"),
        ({"module": "NRU"}, {"train": {"exponential": {"scale": 2}}}, "one distribution"),
        (
            {"module": "NRU"},
            {
                "train": {"truncated_normal": {"mean": 0.5, "deviation": 1, "within": [0, 1]}},
                "test": {"truncated_normal": {"mean": 1, "deviation": 1, "within": [0, 1]}},
            },
            "train",
        ),
    ],
)
def test_runs_that_names_cannot_express_are_refused(recipe: dict[str, Any], task: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        name_form(Recipe.model_validate(recipe), division(**task))


@pytest.mark.parametrize(
    "recipe",
    [
        {"module": "NRU", "precision": "float64"},
        {"module": "NRU", "iterations": 10, "evaluate_every": 5},
        {"module": {"name": "NAU", "init": "beta"}},
        {"module": "RealNPU", "regularizers": {"l2": {"growth": {"start": 1e-7, "end": 1e-5}}}},
    ],
)
def test_fields_that_names_do_not_tell_have_their_defaults(recipe: dict[str, Any]) -> None:
    run = named_run(name_form(Recipe.model_validate(recipe), division()).replace("{seed}", "0"))
    assert run.recipe.module.options == {}
    assert (run.recipe.precision, run.recipe.iterations) == ("float32", 50_000)
    assert "l2" not in run.recipe.regularizers


def test_exponential_distributions_and_the_simple_layout_have_names() -> None:
    exponential = {"exponential": {"scale": 2}}
    for task in (division(train=exponential, test=exponential), division(operation="mul", simple=True)):
        form = name_form(Recipe.model_validate({"module": "NMU"}), task)
        assert ("D-e-2.0" in form, "z-simple" in form) == (not task.simple, task.simple)
        assert named_run(form.replace("{seed}", "1")).task == task


def test_the_suffix_of_the_later_revision_is_ignored() -> None:
    assert named_run(f"{BASELINE}_id3") == named_run(BASELINE)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("_mse", "", "found 26 fields between underscores, expected 27"),
        ("realnpu_", "softmaxnac_", "found unit 'softmaxnac', expected one of: "),
        ("realnpu_", "nalu-m_", "found '-m' after the unit"),
        ("eps-0", "eps-x", "found 'eps-x' as field 5, expected the epsilon"),
        ("op-div", "op-mod", "operation: "),
        ("clip-n_", "clip-q_", "found 'clip-q' as field 23, expected the clip"),
        ("i-1-2", "i-2-1", "train"),
        ("lr-adam-0.00500", "lr-adam-0.00000", "learning_rate"),
    ],
)
def test_a_wrong_name_is_refused_with_the_reason(old: str, new: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        named_run(BASELINE.replace(old, new))
