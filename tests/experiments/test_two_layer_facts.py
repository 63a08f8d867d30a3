"""The experiments with two layers, field by field, against what *Neural Arithmetic Units* and its commands say.

Written out here from those, apart from the catalog's own recipes: golden runs end before regularizers set in.
"""

from typing import Any, NamedTuple

import pytest
from tests.experiments.known import names_of_experiments_on_rows

import nalm
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask

Fields = dict[str, Any]

# --- recipes -----------------------------------------------------------------------------------------------------

SHARED: Fields = {
    "criterion": "mse",
    "optimizer": "adam",
    "momentum": 0.0,
    "learning_rate": 1e-3,
    "clip_gradient_norm": None,
    "clip_gradient_value": None,
    "reinitialize": None,
    "batch_size": 128,
    "evaluate_every": 1000,
    "precision": "float32",
}
BOUNDED = {"out_of_bounds": "clip", "shape": "linear"}
PENALTY = {"out_of_bounds": "penalty", "shape": "linear"}
NAU = {"name": "NAU", **BOUNDED}
DRIVER = {"coefficient": 10.0, "ramp": [1_000_000, 2_000_000]}
"""The driver's default regularizer, which sets in late."""
OF_SUMS = {"coefficient": 0.01, "ramp": [5_000, 50_000]}


def layers(first: Any, second: Any, **terms: Fields) -> Fields:
    return {"module": first, "second": second, "regularizers": terms}


LINEAR = layers("Linear", "Linear")
NAC_ADD = layers("NAC", "NAC")
NAC_MUL = layers("NAC", {"name": "NACMul", "eps": 1e-7})
NAC_SIGMA = layers("NAC", {"name": "NACSigma", "space": "log"})
NAC_NMU = layers(NAU, {"name": "NACNMU", "space": "log", **BOUNDED}, weight=DRIVER)
NALU = layers("NALU", {"name": "NALU", "separate": False, "multiplication": "log"})
ADDING = layers(NAU, NAU, weight=OF_SUMS)
MULTIPLYING = layers(NAU, {"name": "NMU", **BOUNDED, "noise": None}, weight=DRIVER)
GATES = {"name": "GatedNAUNMU", **BOUNDED}
GATED = layers(GATES, GATES, weight=DRIVER)
PRODUCTS = {"NAC•": NAC_MUL, "NAC•,σ": NAC_SIGMA, "NAC•,NMU": NAC_NMU, "NALU": NALU, "NMU": MULTIPLYING}
SWEPT = PRODUCTS | {"Gated NAU/NMU": GATED}
HEADLINE = {
    "Linear": LINEAR,
    "ReLU": layers("ReLU", "Linear"),
    "ReLU6": layers("ReLU6", "Linear"),
    "NAC+": NAC_ADD,
    "NAC•": NAC_MUL,
    "NAC•,σ": NAC_SIGMA,
    "NAC•,NMU": NAC_NMU,
    "NALU": NALU,
    "NAU": ADDING,
    "NMU": MULTIPLYING,
    "Gated NAU/NMU": GATED,
    # Not of the paper: power units are free by the driver's defaults, and its regularizer is the NAU's.
    "NPU": layers(NAU, {"name": "NPU", "clip": "none", "init": "xavier"}, first_weight=DRIVER),
    "Real NPU": layers(NAU, {"name": "RealNPU", "clip": "none", "init": "xavier"}, first_weight=DRIVER),
    "NRU": layers(NAU, {"name": "NRU", "sign": "joint", **BOUNDED}, weight=DRIVER),
    "NMRU": layers(NAU, {"name": "NMRU", "sign": "retrieved", **BOUNDED}, weight=DRIVER),
}
GATED_AFTER_SUMS = {
    "Gated NAU/NMU": layers(NAU, GATES, weight=DRIVER),
    "NALU (separate weights)": layers("NAC", {"name": "NALU", "separate": True}),
    "NALU (shared weights)": layers("NAC", {"name": "NALU", "separate": False}),
}
UNCLIPPED = ({"name": "NAU", **PENALTY}, {"name": "NMU", **PENALTY})
ABLATION = {
    "NMU": MULTIPLYING,
    "NMU without sparsity regularizer": layers(NAU, {"name": "NMU", **BOUNDED}),
    "NMU without clipping": layers(*UNCLIPPED, weight=DRIVER),
    "NMU without either": layers(*UNCLIPPED),
}


def rates(**fields: Any) -> dict[str, Fields]:
    models = {"NAC+": NAC_ADD, "NAC•": NAC_MUL, "NALU": NALU}
    return {
        f"{label} {rate:g}": model | fields | {"learning_rate": rate}
        for label, model in models.items()
        for rate in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    }


def strengths(label: str, model: Fields) -> dict[str, Fields]:
    term = model["regularizers"]["weight"]
    return {
        f"{label} {strength:g}": model | {"regularizers": {"weight": term | {"coefficient": float(strength)}}}
        for strength in (0, 0.01, 0.1, 1, 10, 100)
    }


# --- tasks -------------------------------------------------------------------------------------------------------

DEFAULT: Fields = {
    "operation": "mul",
    "train": [1, 2],
    "test": [2, 6],
    "input_size": 100,
    "subset_ratio": 0.25,
    "overlap_ratio": 0.5,
    "subsets": 2,
    "simple": False,
    "hidden_size": 2,
    "threshold": "perturbed",
    "judged_rows": 5000,
}


def swept(name: str, field: str, *values: float) -> dict[str, Fields]:
    return {f"{name} {value:g}": {field: value} for value in values}


def inputs(*sizes: int) -> dict[str, Fields]:
    """Return task fields of the plot of input sizes, which searches three times as many rows for the best."""
    return {f"inputs {size}": {"input_size": size, "judged_rows": 15_000} for size in sizes}


def operations(*names: str) -> dict[str, Fields]:
    return {name: {"operation": name} for name in names}


def ranges(*ends: tuple[str, list[float], Any]) -> dict[str, Fields]:
    return {label: {"train": train, "test": test} for label, train, test in ends}


RANGES = ranges(
    ("U[-2,-1)", [-2, -1], [-6, -2]),
    ("U[-2,2)", [-2, 2], {"union": [[-6, -2], [2, 6]]}),
    ("U[0,1)", [0, 1], [1, 5]),
    ("U[0.1,0.2)", [0.1, 0.2], [0.2, 2]),
    ("U[1,2)", [1, 2], [2, 6]),
    ("U[1.1,1.2)", [1.1, 1.2], [1.2, 6]),
    ("U[10,20)", [10, 20], [20, 40]),
)
HIDDEN = swept("hidden", "hidden_size", *range(2, 11))
SUBSETS = {
    f"{subsets}, hidden {hidden}": {"subsets": subsets, "hidden_size": hidden}
    for subsets, hidden in ((2, 2), (3, 3), (4, 4), (5, 5), (2, 4), (3, 6), (4, 8), (5, 10))
}
SIMPLE = {"U[1,2)": {"simple": True, "input_size": 4, "subset_ratio": 0.5, "overlap_ratio": 0.0}}

# --- experiments -------------------------------------------------------------------------------------------------


class Facts(NamedTuple):
    """What an experiment is; variants and tasks are by label, in the order of the figure."""

    variants: dict[str, Fields]
    tasks: dict[str, Fields]
    seeds: range
    iterations: int = 5_000_000


FIRST_50, FIRST_100, FIRST_25 = range(50), range(100), range(25)
EXPERIMENTS = {
    "two-layer": Facts(HEADLINE, operations("add", "sub", "mul", "div", "squared", "root"), FIRST_100),
    "two-layer-simple": Facts(
        {label: SWEPT[label] for label in ("NAC•", "NAC•,σ", "NALU", "NMU", "Gated NAU/NMU")},
        SIMPLE,
        FIRST_100,
        200_000,
    ),
    "two-layer-ranges": Facts(SWEPT, RANGES, FIRST_50),
    "two-layer-hidden-sizes": Facts(SWEPT, HIDDEN, FIRST_50),
    "two-layer-input-sizes": Facts(SWEPT, inputs(4, 10, 25, 50, 75, 100), FIRST_50),
    "two-layer-input-sizes-to-200": Facts(SWEPT, inputs(125, 150, 175, 200), FIRST_50, 10_000_000),
    "two-layer-input-sizes-to-300": Facts(SWEPT, inputs(225, 250, 275, 300), FIRST_50, 15_000_000),
    "two-layer-overlaps": Facts(SWEPT, swept("overlap", "overlap_ratio", 0, 0.1, 0.25, 0.5, 0.75, 1), FIRST_50),
    "two-layer-subset-ratios": Facts(SWEPT, swept("subset", "subset_ratio", 0.05, 0.1, 0.25, 0.5), FIRST_50),
    "two-layer-subsets": Facts(PRODUCTS, SUBSETS, FIRST_25),
    "two-layer-learning-rates-adam": Facts(rates(), operations("add", "sub", "mul", "div"), FIRST_25),
    "two-layer-learning-rates-sgd": Facts(rates(optimizer="sgd"), operations("add", "sub", "mul", "div"), FIRST_25),
    "two-layer-learning-rates-momentum": Facts(
        rates(optimizer="sgd", momentum=0.9), operations("add", "sub", "mul", "div"), FIRST_25
    ),
    "two-layer-regularization-nau": Facts(strengths("NAU", ADDING), operations("add", "sub"), range(25, 50)),
    "two-layer-regularization-nmu": Facts(strengths("NMU", MULTIPLYING), operations("mul"), range(25, 50)),
    "two-layer-ablation": Facts(ABLATION, HIDDEN, FIRST_50),
    "two-layer-gated": Facts(GATED_AFTER_SUMS, operations("mul", "add"), FIRST_100),
}


def test_there_are_facts_of_every_experiment_with_two_layers() -> None:
    assert set(EXPERIMENTS) == names_of_experiments_on_rows(two_layers=True)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_variants_have_the_papers_recipes_in_its_order(name: str) -> None:
    facts = EXPERIMENTS[name]
    shared = SHARED | {"iterations": facts.iterations}
    expected = [(label, Recipe.model_validate(shared | fields)) for label, fields in facts.variants.items()]
    assert list(nalm.load_experiment(name).variants.items()) == expected


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_tasks_are_the_papers_in_its_order(name: str) -> None:
    facts = EXPERIMENTS[name]
    expected = [(label, SubsetTask.model_validate(DEFAULT | fields)) for label, fields in facts.tasks.items()]
    assert list(nalm.load_experiment(name).tasks.items()) == expected


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_seeds_are_the_papers(name: str) -> None:
    experiment = nalm.load_experiment(name)
    assert (experiment.name, experiment.seeds) == (name, tuple(EXPERIMENTS[name].seeds))
