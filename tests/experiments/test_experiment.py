"""How an experiment file becomes variants, tasks and seeds, and how the command line changes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nalm
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.spec.recipe import Recipe

WriteYaml = Callable[..., Path]


@pytest.fixture
def read(write_yaml: WriteYaml) -> Callable[..., Experiment]:
    return lambda **fields: nalm.load_experiment(str(write_yaml(**fields)))


def recipe(**fields: Any) -> Recipe:
    return Recipe.model_validate(fields)


# Variants


def test_a_base_gives_the_fields_that_are_not_written(read: Callable[..., Experiment]) -> None:
    variant = read(variants="variants: [{label: A, recipe: {base: nmru, learning_rate: 1e-3}}]").variants["A"]
    original = nalm.load_experiment("figure-3").variants["NMRU"]
    changed = {"learning_rate": 1e-3, "iterations": 20, "evaluate_every": 10}
    assert variant == original.model_copy(update=changed)


def test_a_variants_own_field_beats_the_shared_one_and_the_shared_one_beats_the_base(
    read: Callable[..., Experiment],
) -> None:
    experiment = read(
        recipe="recipe: {base: nmru, learning_rate: 2, batch_size: 64, iterations: 5}",
        variants="variants: [{label: A}, {label: B, recipe: {learning_rate: 3}}, {label: C, recipe: {base: nru}}]",
    )
    found = [
        (variant.module.name, variant.learning_rate, variant.batch_size) for variant in experiment.variants.values()
    ]
    assert found == [("NMRU", 2, 64), ("NMRU", 3, 64), ("NRU", 2, 64)]


def test_a_grid_makes_a_variant_of_every_combination_the_last_field_fastest(read: Callable[..., Experiment]) -> None:
    grid = "{learning_rate: [1e-3, 1], module.sign: [joint, separate]}"
    variants = read(variants=f"variants: [{{label: NRU, recipe: {{module: NRU}}, grid: {grid}}}]").variants
    assert {
        label: (variant.learning_rate, variant.module.options.get("sign", "joint"))
        for label, variant in variants.items()
    } == {
        "NRU learning_rate=0.001 module.sign=joint": (1e-3, "joint"),
        "NRU learning_rate=0.001 module.sign=separate": (1e-3, "separate"),
        "NRU learning_rate=1 module.sign=joint": (1, "joint"),
        "NRU learning_rate=1 module.sign=separate": (1, "separate"),
    }
    assert [variant.learning_rate for variant in variants.values()] == [1e-3, 1e-3, 1, 1]


def test_a_label_can_say_where_the_grids_values_go(read: Callable[..., Experiment]) -> None:
    fields = "label: 'NRU ({learning_rate})', recipe: {module: NRU}, grid: {learning_rate: [1e-3, 0.5]}"
    assert list(read(variants=f"variants: [{{{fields}}}]").variants) == ["NRU (0.001)", "NRU (0.5)"]


def test_a_grid_reaches_into_a_base_and_leaves_the_other_variants_alone(read: Callable[..., Experiment]) -> None:
    grid = "{regularizers.weight.coefficient: [1, 2]}"
    variants = read(
        variants=f"variants: [{{label: A, recipe: {{base: nmru}}, grid: {grid}}}, {{label: B, recipe: {{base: nmru}}}}]"
    ).variants
    assert [variant.regularizers["weight"].coefficient for variant in variants.values()] == [1, 2, 10]
    assert {variant.regularizers["weight"].ramp for variant in variants.values()} == {(20_000, 35_000)}


def test_variants_stand_in_the_order_of_the_file(read: Callable[..., Experiment]) -> None:
    labels = ["z", "a", "M"]
    variants = ", ".join(f"{{label: {label}, recipe: {{base: nru}}}}" for label in labels)
    assert list(read(variants=f"variants: [{variants}]").variants) == labels


# Tasks


def test_ranges_can_be_a_list_with_labels_and_fields_of_their_own(read: Callable[..., Experiment]) -> None:
    tasks = read(
        task="task: {operation: div, threshold: 1e-3}",
        ranges="""ranges:
  - {train: [1, 2], test: [2, 6], label: off}
  - {train: [-2, 2], test: {union: [[-6, -2], [2, 6]]}, threshold: 1e-4}
  - {train: {halves: [[-2, -0.1], [0.1, 2]]}, test: [2, 6], operation: mul}""",
    ).tasks
    assert list(tasks) == ["off", "U[-2,2)", "U[-2,-0.1) & U[0.1,2)"]
    assert [(task.operation, task.threshold) for task in tasks.values()] == [
        ("div", 1e-3),
        ("div", 1e-4),
        ("mul", 1e-3),
    ]
    assert tasks["U[-2,2)"].tested_on == "U[-6,-2) & U[2,6)"


def test_ranges_can_be_named(read: Callable[..., Experiment]) -> None:
    assert read(ranges="ranges: nine").tasks == nalm.load_experiment("figure-3").tasks


# Changes


def test_an_experiment_narrowed_keeps_the_order_of_its_variants() -> None:
    narrowed = nalm.load_experiment("figure-3").narrowed([7], ["NMRU", "Real NPU (baseline)"])
    assert list(narrowed.variants) == ["Real NPU (baseline)", "NMRU"]
    assert (narrowed.seeds, narrowed.runs) == ((7,), 18)


def test_narrowing_to_an_unknown_variant_is_answered_with_the_known_ones(tiny_experiment: Experiment) -> None:
    with pytest.raises(NalmError, match=r"^found unknown variant 'nmru', expected one of: NMRU, NRU$"):
        tiny_experiment.narrowed(variants=["nmru"])


@pytest.mark.parametrize(
    ("setting", "rates"),
    [("NMRU.learning_rate=5e-3", [5e-3, 1]), ("*.learning_rate=2", [2, 2]), ("NRU.learning_rate= 3.0 ", [1e-2, 3])],
)
def test_a_setting_changes_one_variant_or_all(tiny_experiment: Experiment, setting: str, rates: list[float]) -> None:
    changed = tiny_experiment.with_setting(setting)
    assert [variant.learning_rate for variant in changed.variants.values()] == rates


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("NRU.module.sign=separate", {"module": {"name": "NRU", "sign": "separate"}}),
        ("NRU.module=NMRU", {"module": "NMRU"}),
        ("NRU.regularizers={}", {"regularizers": {}}),
        ("NRU.clip_gradient_norm=1", {"clip_gradient_norm": 1}),
        ("NRU.regularizers.weight.ramp=[1, 2]", {"regularizers": {"weight": {"coefficient": 10, "ramp": [1, 2]}}}),
        ("NRU.regularizers.l1.coefficient=1e-3", None),
    ],
)
def test_a_setting_reaches_any_field(
    tiny_experiment: Experiment, setting: str, expected: dict[str, Any] | None
) -> None:
    weight = {"coefficient": 10, "ramp": [20_000, 35_000]}
    fields = {
        "module": "NRU",
        "learning_rate": 1,
        "iterations": 20,
        "evaluate_every": 10,
        "regularizers": {"weight": weight},
    }
    expected = expected or {"regularizers": {"weight": weight, "l1": {"coefficient": 1e-3}}}
    assert tiny_experiment.with_setting(setting).variants["NRU"] == recipe(**(fields | expected))


def test_a_setting_finds_a_variant_whose_label_has_dots(read: Callable[..., Experiment]) -> None:
    experiment = read(variants="variants: [{label: lr 0.1, recipe: {base: nru}}, {label: lr 0, recipe: {base: nru}}]")
    changed = experiment.with_setting("lr 0.1.learning_rate=0.1")
    assert [variant.learning_rate for variant in changed.variants.values()] == [0.1, 1]
