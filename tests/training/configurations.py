"""Recipes of the golden runs, by the id that they have in the golden files."""

import json
from typing import Any

from nalm.experiments.catalog import default_recipe, load_experiment
from nalm.tasks.task import Task

Fields = dict[str, Any]


def _catalogued(experiment: str, *identifiers: str) -> dict[str, Fields]:
    """Recipes of an experiment of the catalog, in its order."""
    return {
        identifier: recipe.model_dump(mode="json", exclude_defaults=True)
        for identifier, recipe in zip(identifiers, load_experiment(experiment).variants.values(), strict=True)
    }


FIGURE_3 = _catalogued("figure-3", "A0", "A1", "A2", "A3")


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
    """A regularizer that is switched on within the first 100 iterations."""
    return {"coefficient": coefficient, "ramp": [0, 100]}


def l2(every: int = 10_000) -> Fields:
    return {"l2": {"growth": {"start": 1e-7, "end": 1e-5, "every": every}}}


def _bounded_units() -> dict[str, Fields]:
    """Units with bounded weights, with every shape and bound that the original offers."""
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
CONFIGURATIONS: dict[str, Fields] = {
    **FIGURE_3,
    "A4": {"module": "RealNPU", "learning_rate": 5e-3},
    "A5": real_npu(clip="gate"),
    "A6": real_npu(clip="weight"),
    "A7": real_npu(clip="both"),
    "A8": real_npu({"gate": {"ramp": [40_000, 50_000]}}, clip="both"),
    "A9": real_npu({"gate": {"ramp": [40_000, 50_000]}, "weight": {"ramp": [40_000, 50_000]}}, clip="both"),
    "A11": FIGURE_3["A2"] | {"learning_rate": 1e-3},
    "A12": FIGURE_3["A2"] | {"learning_rate": 1e-2},
    "A13": FIGURE_3["A2"] | {"learning_rate": 1e-1},
    "A14": default_recipe("RealNPU") | {"module": "RealNPU", "regularizers": l2()},
    "A1-late": real_npu({"gate": late(), "weight": late()}, 50, clip="both", init="constrained"),
    "A2-late": FIGURE_3["A2"] | {"regularizers": {"weight": late(10)}},
    "A3-late": FIGURE_3["A3"] | {"regularizers": {"weight": late(10)}},
    "A8-late": real_npu({"gate": late()}, 50, clip="both"),
    "A9-late": real_npu({"gate": late(), "weight": late()}, 50, clip="both"),
    "A14-late": default_recipe("RealNPU") | {"module": "RealNPU", "regularizers": l2(50)},
    "A1-exp": real_npu({"gate": EXPONENTIAL, "weight": EXPONENTIAL}, clip="both", init="constrained"),
    "A0-pcc-mse": FIGURE_3["A0"] | {"criterion": "pcc_then_mse", "pcc_iterations": 100},
    "A0-sgd-momentum": FIGURE_3["A0"] | {"optimizer": "sgd", "momentum": 0.9},
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


def _ten_inputs() -> dict[str, Fields]:
    """B0 to B20: division by two of ten inputs."""
    ramp = {"ramp": [50_000, 75_000]}
    catalogued = _catalogued("redundancy", "B0", "B1", "B2", "B3")
    _, modified, nru, nmru = catalogued.values()
    unclipped = {name: value for name, value in nmru.items() if name != "clip_gradient_norm"}
    plain = {"module": {"name": "NMRU", "sign": "none"}}
    gated = {"module": {"name": "NMRU", "sign": "gated"}}
    ternary = real_npu({"gate": ramp, "weight": ramp}, clip="both", init="constrained", attract="ternary")
    late_terms = {"gate": late(), "weight": late()}
    return {
        **catalogued,
        "B4": real_npu({"gate": ramp, "weight": ramp}, clip="both", name="NPU", init="constrained"),
        "B5": real_npu({"gate": ramp, "weight": ramp}, clip="all", name="NPU", init="constrained"),
        "B6": ternary,
        "B7": unclipped | plain,
        "B8": nmru | plain,
        "B9": unclipped,
        "B10": nmru | gated | {"regularizers": nmru["regularizers"] | {"gate": ramp}},
        "B11": nmru | {"learning_rate": 1e-3},
        "B12": nmru | {"learning_rate": 1e-1},
        "B13": nmru | {"optimizer": "sgd"},
        "B14": nru | {"module": {"name": "NRU", "sign": "separate"}},
        **{
            f"B{first + index}": fields | {"criterion": name}
            for first, fields in ((15, modified), (17, nru), (19, nmru))
            for index, name in enumerate(("pcc", "mape"))
        },
        "B1-late": real_npu(late_terms, 50, clip="both", init="constrained"),
        "B4-late": real_npu(late_terms, 50, clip="both", name="NPU", init="constrained"),
        "B5-late": real_npu(late_terms, 50, clip="all", name="NPU", init="constrained"),
        "B6-late": real_npu(late_terms, 50, clip="both", init="constrained", attract="ternary"),
        "B10-late": nmru | gated | {"regularizers": {"weight": late(10), "gate": late()}},
    }


def _small_numbers() -> dict[str, Fields]:
    """E1 to E9: division by small numbers, easy (1/a of one input), medium (1/a of two) and hard (a/b)."""
    never = {"weight": {"coefficient": 10, "ramp": [15_000, 20_000]}}
    return {
        "E1": {"module": {"name": "RealNPU", "clip": "both", "init": "constrained"}, "learning_rate": 5e-3},
        "E2": FIGURE_3["A2"] | {"regularizers": never},
        "E3": FIGURE_3["A3"],
        **{f"E{number}": FIGURE_3[("A1", "A2", "A3")[(number - 1) % 3]] for number in range(4, 10)},
        "E4-late": real_npu({"gate": late(), "weight": late()}, 50, clip="both", init="constrained"),
    }


CONFIGURATIONS |= _ten_inputs() | _small_numbers()
for _start in ("1e-11", "1e-8", "1e-7", "1e-5", "1e-3", "1e-1"):  # the sweep of beta; its end is 100 times its start
    _end = {"1e-11": 1e-9, "1e-8": 1e-6, "1e-7": 1e-5, "1e-5": 1e-3, "1e-3": 1e-1, "1e-1": 10.0}[_start]
    _growth = {"start": float(_start), "end": _end}
    CONFIGURATIONS[f"S-{_start}"] = real_npu() | {"regularizers": {"l1": {"growth": _growth}}}
CONFIGURATIONS["A1-float64-late"] = CONFIGURATIONS["A1-late"] | {"precision": "float64"}
CONFIGURATIONS["A3-float64-late"] = CONFIGURATIONS["A3-late"] | {"precision": "float64"}


def golden_task(configuration: str, train: str, test: str, distribution: str = "uniform") -> Task:
    """The task of a golden run."""
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
    return Task.model_validate(fields)


def golden_ranges(train: str, test: str, distribution: str) -> tuple[Any, Any]:
    """Training and test range as the golden files write them (the original's option texts), as we write them."""
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
