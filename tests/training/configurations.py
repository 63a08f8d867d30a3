"""Recipes of the golden runs, by the id that they have in the golden files."""

import json
from typing import Any

from nalm.experiments.catalog import load_experiment
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask

Fields = dict[str, Any]


CATALOGUED = {
    "figure-1a": ("A4", "A0"),
    "figure-1b": ("S-1e-11", "A0", "S-1e-8", "S-1e-7", "S-1e-5", "S-1e-3", "S-1e-1"),
    "figure-2a": ("A0", "A5", "A6", "A7"),
    "figure-2b": ("A7", "A8", "A9"),
    "figure-2c": ("A9", "A1"),
    "figure-3": ("A0", "A1", "A2", "A3"),
    "figure-4": ("A1",),
    "figure-10": ("A11", "A12", "A13", "A2"),
    "figure-11": ("E1", "E2", "E3"),
    "figure-12": ("E4", "E5", "E6"),
    "figure-13": ("E7", "E8", "E9"),
    "figure-14": ("A4", "A0", "A14"),
    "figure-15": ("B1", "B4", "B5"),
    "figure-16": ("B1", "B6"),
    "figure-17": ("B7", "B8", "B9", "B3", "B10"),
    "figure-18": ("B11", "B3", "B12"),
    "figure-19": ("B13", "B3"),
    "figure-20": ("B2", "B14"),
    "figure-21": ("B1", "B15", "B16"),
    "figure-22": ("B2", "B17", "B18"),
    "figure-23": ("B3", "B19", "B20"),
    "redundancy": ("B0", "B1", "B2", "B3"),
    "distributions-in2": ("A1", "A2", "A3"),
    "distributions-in10": ("B1", "B2", "B3"),
    "mixed-signs-in2": ("A1", "A2", "A3"),
    "mixed-signs-in10": ("B1", "B2", "B3"),
}
"""The variants of experiments of the catalog, in order, by their id in the golden files."""


def catalogued() -> dict[str, Fields]:
    """Return the catalog's recipes by their id in the golden files; experiments that share an id must agree."""
    found: dict[str, Recipe] = {}
    for experiment, identifiers in CATALOGUED.items():
        variants = load_experiment(experiment).variants
        for identifier, recipe in zip(identifiers, variants.values(), strict=True):
            known = found.setdefault(identifier, recipe)
            same = {"iterations": recipe.iterations}
            assert known.model_copy(update=same) == recipe, f"{experiment}: {identifier}"
    return {identifier: recipe.model_dump(mode="json", exclude_defaults=True) for identifier, recipe in found.items()}


CATALOG = catalogued()


def real_npu(
    regularizers: Fields | None = None, growth_every: int = 10_000, name: str = "RealNPU", **options: str
) -> Fields:
    growth = {"start": 1e-9, "end": 1e-7, "every": growth_every}
    return {
        "module": {"name": name, **options},
        "learning_rate": 5e-3,
        "regularizers": {"l1": {"growth": growth}} | (regularizers or {}),
    }


def late(coefficient: float = 1.0) -> Fields:
    """Return a regularizer that is switched on within the first 100 iterations."""
    return {"coefficient": coefficient, "ramp": [0, 100]}


def _bounded_units() -> dict[str, Fields]:
    """Return units with bounded weights, with every shape and bound that the original offers."""
    found: dict[str, Fields] = {}
    for name in ("NAU", "NMU", "NRU", "NMRU"):
        base = {"module": name, "learning_rate": 1e-2, "regularizers": {"weight": late(10)}}
        penalty = {"learning_rate": 1e-1, "regularizers": {"weight": late(10), "out_of_bounds": {}}}
        found |= {
            f"{name}-squared-late": base | {"module": {"name": name, "shape": "squared"}},
            f"{name}-z": base | {"regularizers": {"weight": late(10), "input": {}}},
            f"{name}-oob-late": base | penalty | {"module": {"name": name, "out_of_bounds": "penalty"}},
            f"{name}-oob-squared-late": base
            | penalty
            | {"module": {"name": name, "out_of_bounds": "penalty", "shape": "squared"}},
        }
    return found


RAMP_OF_NAU = {"coefficient": 0.01, "ramp": [20_000, 35_000]}
EXPONENTIAL = {"exponential": 1e-5}
LATE_TERMS = {"gate": late(), "weight": late()}
CONFIGURATIONS: dict[str, Fields] = {
    **CATALOG,
    "A1-late": real_npu(LATE_TERMS, 50, clip="both", init="constrained"),
    "A2-late": CATALOG["A2"] | {"regularizers": {"weight": late(10)}},
    "A3-late": CATALOG["A3"] | {"regularizers": {"weight": late(10)}},
    "A8-late": real_npu({"gate": late()}, 50, clip="both"),
    "A9-late": real_npu(LATE_TERMS, 50, clip="both"),
    "A14-late": CATALOG["A14"] | {"regularizers": {"l2": {"growth": {"start": 1e-7, "end": 1e-5, "every": 50}}}},
    "A1-exp": real_npu({"gate": EXPONENTIAL, "weight": EXPONENTIAL}, clip="both", init="constrained"),
    "A0-pcc-mse": CATALOG["A0"] | {"criterion": "pcc_then_mse", "pcc_iterations": 100},
    "A0-sgd-momentum": CATALOG["A0"] | {"optimizer": "sgd", "momentum": 0.9},
    "B1-late": real_npu(LATE_TERMS, 50, clip="both", init="constrained"),
    "B4-late": real_npu(LATE_TERMS, 50, clip="both", name="NPU", init="constrained"),
    "B5-late": real_npu(LATE_TERMS, 50, clip="all", name="NPU", init="constrained"),
    "B6-late": real_npu(LATE_TERMS, 50, clip="both", init="constrained", attract="ternary"),
    "B10-late": CATALOG["B10"] | {"regularizers": {"weight": late(10), "gate": late()}},
    "E4-late": real_npu(LATE_TERMS, 50, clip="both", init="constrained"),
    **_bounded_units(),
    **{key: {"module": "NAU", "regularizers": {"weight": RAMP_OF_NAU}} for key in ("ADD-NAU", "SUB-NAU")},
    "ADD-NAC": {"module": "NAC"},
    "ADD-linear": {"module": "Linear"},
    "MUL-NACmul": {"module": "NACMul"},
    "MUL-NALU": {"module": "NALU"},
    **{key: {"module": "NMU"} for key in ("MUL-NMU", "mul-3-subsets-NMU", "simple-NMU")},
    "NAU-beta-init": {"module": {"name": "NAU", "init": "beta"}},
    "NMU-epsilon": {
        "module": {"name": "NMU", "identity_epsilon": 0.1},
        "learning_rate": 1e-2,
        "regularizers": {"weight": late(10)},
    },
    "NALU-gate-late": {"module": "NALU", "learning_rate": 1e-2, "regularizers": {"gate": {}}},
}
for _number in (1, 3):
    CONFIGURATIONS[f"A{_number}-float64-late"] = CONFIGURATIONS[f"A{_number}-late"] | {"precision": "float64"}


def golden_task(configuration: str, train: str, test: str, distribution: str = "uniform") -> SubsetTask:
    """Return the task of a golden run."""
    name = configuration.lower()
    operation = "add" if name.startswith(("add", "nau")) else "sub" if name.startswith("sub") else "div"
    if name.startswith(("mul", "nmu", "nalu", "simple")):
        operation = "mul"
    ranges = golden_ranges(train, test, distribution)
    fields: Fields = {"operation": operation, "train": ranges[0], "test": ranges[1]}
    if configuration == "mul-3-subsets-NMU":
        fields |= {"input_size": 6, "subset_ratio": 0.34, "subsets": 3}
    if configuration == "simple-NMU":
        fields |= {"simple": True}
    if configuration.startswith("B"):
        fields |= {"input_size": 10, "subset_ratio": 0.1}
    elif configuration in ("E1", "E2", "E3"):
        fields |= {"operation": "reciprocal", "input_size": 1, "subset_ratio": 1.0, "subsets": 1}
    elif configuration in ("E4", "E5", "E6", "E4-late"):
        fields |= {"operation": "reciprocal"}
    return SubsetTask.model_validate(fields)


def golden_ranges(train: str, test: str, distribution: str) -> tuple[Any, Any]:
    """Translate training and test range from the golden files (the original's option texts) to ours."""
    name, *numbers = distribution.split()
    if name == "truncated-normal":
        mean, deviation, test_mean, test_deviation = map(float, numbers)
        return (
            {"truncated_normal": {"mean": mean, "deviation": deviation, "within": json.loads(train)}},
            {"truncated_normal": {"mean": test_mean, "deviation": test_deviation, "within": json.loads(test)}},
        )
    if name == "benford":
        return {"benford": json.loads(train)}, {"benford": json.loads(test)}
    return _uniform_range(train), _uniform_range(test)


def _uniform_range(text: str) -> Any:
    value = json.loads(text)
    if not isinstance(value[0], list):
        return value
    return {"halves": value[:2]} if len(value) == 3 else {"union": value}
