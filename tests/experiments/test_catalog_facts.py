"""Every experiment of the catalog, field by field, against what the papers and the original's commands say.

Written out here from those, apart from the catalog's own recipes and ranges: golden runs end at iteration 200, and
would not see a wrong number of iterations or a ramp that starts late.
"""

from typing import Any, NamedTuple

import pytest
from tests.experiments.known import names_of_experiments_on_rows

import nalm
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask

Fields = dict[str, Any]
Span = tuple[int, int]

# --- recipes -----------------------------------------------------------------------------------------------------

SHARED: Fields = {
    "criterion": "mse",
    "optimizer": "adam",
    "momentum": 0.0,
    "learning_rate": 1e-3,
    "clip_gradient_norm": None,
    "clip_gradient_value": None,
    "regularizers": {},
    "reinitialize": None,
    "batch_size": 128,
    "evaluate_every": 1000,
    "precision": "float32",
}
BOUNDED = {"out_of_bounds": "clip", "shape": "linear"}
IN2_REAL_NPU, IN2, IN10 = (40_000, 50_000), (20_000, 35_000), (50_000, 75_000)
"""Iterations over which the regularizers towards discrete weights rise."""


def grown(start: float, end: float) -> Fields:
    """Return a penalty on the size of weights: times 10 every 10,000 iterations."""
    return {"coefficient": 1.0, "growth": {"start": start, "end": end, "factor": 10.0, "every": 10_000}}


def ramp(coefficient: float, span: Span) -> Fields:
    return {"coefficient": coefficient, "ramp": list(span)}


def real_npu(clip: str, init: str, name: str = "RealNPU", attract: str = "signs", **terms: Fields) -> Fields:
    module = {"name": name, "clip": clip, "init": init, "attract": attract}
    return {"module": module, "learning_rate": 5e-3, "regularizers": terms}


SLOW = grown(1e-9, 1e-7)
A0 = real_npu("none", "xavier", l1=SLOW)
A4 = real_npu("none", "xavier")
A5, A6, A7 = (real_npu(clip, "xavier", l1=SLOW) for clip in ("gate", "weight", "both"))
A8 = real_npu("both", "xavier", l1=SLOW, gate=ramp(1, IN2_REAL_NPU))
A9 = real_npu("both", "xavier", l1=SLOW, gate=ramp(1, IN2_REAL_NPU), weight=ramp(1, IN2_REAL_NPU))
A14 = real_npu("none", "xavier", l2=grown(1e-7, 1e-5))


def a1(span: Span = IN2_REAL_NPU, clip: str = "both", name: str = "RealNPU", attract: str = "signs") -> Fields:
    """Return the recipe of the modified Real NPU."""
    return real_npu(clip, "constrained", name, attract, l1=SLOW, gate=ramp(1, span), weight=ramp(1, span))


def nru(rate: float, span: Span, sign: str = "joint") -> Fields:
    module = {"name": "NRU", "sign": sign, **BOUNDED}
    return {"module": module, "learning_rate": rate, "regularizers": {"weight": ramp(10, span)}}


def nmru(span: Span, sign: str = "retrieved", norm: float | None = 1.0, rate: float = 1e-2) -> Fields:
    return {
        "module": {"name": "NMRU", "sign": sign, **BOUNDED},
        "learning_rate": rate,
        "clip_gradient_norm": norm,
        "regularizers": {"weight": ramp(10, span)},
    }


A2, A3 = nru(1.0, IN2), nmru(IN2)
B1, B2, B3 = a1(IN10), nru(1e-3, IN10), nmru(IN10)
B10 = nmru(IN10, "gated")
B10 |= {"regularizers": {"weight": ramp(10, IN10), "gate": ramp(1, IN10)}}

# Of the Primer; what it does not give is the driver's default.
NALU_FAMILY: dict[str, Fields] = {"NALU": {"module": "NALU"}, "G-NALU": {"module": "GNALU"}}
INALU: Fields = {
    "module": "INALU",
    "clip_gradient_value": 0.1,
    "regularizers": {"saturation": {"coefficient": 0.05, "after": 10_000, "below": 1.0}},
    "reinitialize": {"every": 10, "history": 5000, "above": 1.0},
}


def bounded(name: str, coefficient: float, span: Span = IN2) -> Fields:
    return {"module": {"name": name, **BOUNDED}, "regularizers": {"weight": ramp(coefficient, span)}}


def mcfc(name: str, **options: str) -> Fields:
    return {"module": {"name": name, **options}, "regularizers": {"weight": ramp(10, IN2)}}


def npu(name: str, start: float, end: float) -> Fields:
    return real_npu("none", "xavier", name, l1=grown(start, end))


# Not of the Primer: NRU and NMRU as in Figure 3, and a recipe of our own choice.
DMU: Fields = {"module": "DMU", "learning_rate": 1e-2, "clip_gradient_norm": 1.0}
OURS = {"NRU": A2, "NMRU": A3, "DMU": DMU}

# nalm's own: docs/division.md.
FAST: Fields = {"criterion": "log_magnitude", "learning_rate": 1e-2, "clip_gradient_norm": 1.0}
FAST |= {"iterations": 10_000, "evaluate_every": 250}
MAGNITUDE_FIRST = {
    "PowerProduct": {"module": "PowerProduct", **FAST},
    "MagnitudeNMRU": {"module": "MagnitudeNMRU", **FAST, "regularizers": {"weight": ramp(10, (5000, 7500))}},
}

# --- ranges: label, training range, test range -------------------------------------------------------------------

Ranges = list[tuple[str, Any, Any]]
FAR = {"union": [[-6, -2], [2, 6]]}
NEGATIVE_FIRST, POSITIVE_FIRST = {"halves": [[-6, -2], [2, 6]]}, {"halves": [[2, 6], [-6, -2]]}
NINE: Ranges = [
    ("U[-20,-10)", [-20, -10], [-40, -20]),
    ("U[-2,-1)", [-2, -1], [-6, -2]),
    ("U[-1.2,-1.1)", [-1.2, -1.1], [-6.1, -1.2]),
    ("U[-0.2,-0.1)", [-0.2, -0.1], [-2, -0.2]),
    ("U[-2,2)", [-2, 2], FAR),
    ("U[0.1,0.2)", [0.1, 0.2], [0.2, 2]),
    ("U[1,2)", [1, 2], [2, 6]),
    ("U[1.1,1.2)", [1.1, 1.2], [1.2, 6]),
    ("U[10,20)", [10, 20], [20, 40]),
]
MIXED_SIGNS: Ranges = [
    ("U[-2,2)", [-2, 2], FAR),
    ("U[-2,-0.1) & U[0.1,2)", {"halves": [[-2, -0.1], [0.1, 2]]}, NEGATIVE_FIRST),
    ("U[0.1,2) & U[-2,-0.1)", {"halves": [[0.1, 2], [-2, -0.1]]}, POSITIVE_FIRST),
    ("U[-2,-1) & U[1,2)", {"halves": [[-2, -1], [1, 2]]}, NEGATIVE_FIRST),
    ("U[1,2) & U[-2,-1)", {"halves": [[1, 2], [-2, -1]]}, POSITIVE_FIRST),
]


def normal(mean: float, deviation: float, low: float, high: float) -> Fields:
    return {"truncated_normal": {"mean": mean, "deviation": deviation, "within": [low, high]}}


DISTRIBUTIONS: Ranges = [
    ("B:[10,100)", {"benford": [10, 100]}, {"benford": [100, 1000]}),
    ("TN(-1,3):[-5,10)", normal(-1, 3, -5, 10), normal(-10, 3, -15, -5)),
    ("TN(1,3):[-10,5)", normal(1, 3, -10, 5), normal(10, 3, 5, 15)),
    ("TN(0,1):[-5,5)", normal(0, 1, -5, 5), normal(10, 1, 5, 15)),
    ("U:[-50,50)", [-50, 50], {"union": [[-100, -50], [50, 100]]}),
    ("U:[-100,100)", [-100, 100], {"union": [[-200, -100], [100, 200]]}),
]
DIVISION: Ranges = [*NINE, *DISTRIBUTIONS, *MIXED_SIGNS[1:]]
SMALL_NUMBERS: Ranges = [
    ("U[0,0.0001)", [0, 1e-4], [0, 1e-4]),
    ("U[0,0.001)", [0, 1e-3], [0, 1e-3]),
    ("U[0,0.01)", [0, 1e-2], [0, 1e-2]),
    ("U[0,0.1)", [0, 1e-1], [0, 1e-1]),
    ("U[0,1)", [0, 1], [0, 1]),
]

# --- experiments -------------------------------------------------------------------------------------------------


class Facts(NamedTuple):
    """What an experiment is; ``variants`` are by label, in the order of the figure."""

    variants: dict[str, Fields]
    ranges: Ranges = NINE
    operation: str = "div"
    iterations: int = 50_000
    input_size: int = 2
    subset_ratio: float = 0.5
    subsets: int = 2
    threshold: float | str = 1e-5

    def recipes(self) -> list[tuple[str, Recipe]]:
        shared = SHARED | {"iterations": self.iterations}
        return [(label, Recipe.model_validate(shared | fields)) for label, fields in self.variants.items()]

    def tasks(self) -> list[tuple[str, SubsetTask]]:
        shared = {
            "operation": self.operation,
            "input_size": self.input_size,
            "subset_ratio": self.subset_ratio,
            "overlap_ratio": 0.0,
            "subsets": self.subsets,
            "simple": False,
            "threshold": self.threshold,
        }
        return [
            (label, SubsetTask.model_validate(shared | {"train": train, "test": test}))
            for label, train, test in self.ranges
        ]


def in10(variants: dict[str, Fields], ranges: Ranges = NINE) -> Facts:
    return Facts(variants, ranges, iterations=100_000, input_size=10, subset_ratio=0.1)


def small(operation: str, variants: dict[str, Fields]) -> Facts:
    return Facts(variants, SMALL_NUMBERS, operation, threshold="gold")


def losses(fields: Fields) -> Facts:
    return in10({"MSE": fields, "PCC": fields | {"criterion": "pcc"}, "MAPE": fields | {"criterion": "mape"}})


THREE_IN2 = {"Real NPU (modified)": a1(), "NRU": A2, "NMRU": A3}
THREE_IN10 = {"Real NPU (modified)": B1, "NRU": B2, "NMRU": B3}
SMALL_UNITS = {"Real NPU": a1(), "NRU": A2, "NMRU": A3}
# Nothing of the Real NPU's is regularized, and what is of the others' sets in after the last iteration.
EASY_UNITS = {"Real NPU": real_npu("both", "constrained"), "NRU": nru(1.0, (15_000, 20_000)), "NMRU": A3}
GROWTHS = {
    "(1e-11,1e-9)": (1e-11, 1e-9),
    "(1e-9,1e-7)": (1e-9, 1e-7),
    "(1e-8,1e-6)": (1e-8, 1e-6),
    "(1e-7,1e-5)": (1e-7, 1e-5),
    "(1e-5,1e-3)": (1e-5, 1e-3),
    "(1e-3,1e-1)": (1e-3, 1e-1),
    "(1e-1,10)": (1e-1, 10.0),
}
EXPERIMENTS = {
    "figure-1a": Facts({"L1 off": A4, "L1 on": A0}),
    "figure-1b": Facts({label: npu("RealNPU", *growth) for label, growth in GROWTHS.items()}),
    "figure-2a": Facts({"None": A0, "G": A5, "W": A6, "GW": A7}),
    "figure-2b": Facts({"None": A7, "G": A8, "GW": A9}),
    "figure-2c": Facts({"Xavier-Uniform": A9, "Xavier-Uniform Constrained": a1()}),
    "figure-3": Facts({"Real NPU (baseline)": A0} | THREE_IN2),
    "figure-4": Facts({"Real NPU": a1()}, MIXED_SIGNS),
    "redundancy": in10({"Real NPU (baseline)": A0} | THREE_IN10),
    "distributions-in2": Facts(THREE_IN2, DISTRIBUTIONS),
    "distributions-in10": in10(THREE_IN10, DISTRIBUTIONS),
    "figure-10": Facts({"1e-3": nru(1e-3, IN2), "1e-2": nru(1e-2, IN2), "1e-1": nru(1e-1, IN2), "1": A2}),
    "figure-11": small("reciprocal", EASY_UNITS)._replace(iterations=5000, input_size=1, subset_ratio=1.0, subsets=1),
    "figure-12": small("reciprocal", SMALL_UNITS),
    "figure-13": small("div", SMALL_UNITS),
    "figure-14": Facts({"No reg": A4, "L1": A0, "L2": A14}),
    "figure-15": in10(
        {
            "Real NPU (modified)": B1,
            "NPU (no constraints)": a1(IN10, name="NPU"),
            "NPU (clip & reg)": a1(IN10, clip="all", name="NPU"),
        }
    ),
    "figure-16": in10({"{-1,1}": B1, "{-1,0,1}": a1(IN10, attract="ternary")}),
    "figure-17": in10(
        {
            "vanilla": nmru(IN10, "none", norm=None),
            "gnc": nmru(IN10, "none"),
            "sign": nmru(IN10, norm=None),
            "gnc+sign": B3,
            "gnc+sign+gating": B10,
        }
    ),
    "figure-18": in10({"1e-3": nmru(IN10, rate=1e-3), "1e-2": B3, "1e-1": nmru(IN10, rate=1e-1)}),
    "figure-19": in10({"sgd": B3 | {"optimizer": "sgd"}, "adam": B3}),
    "figure-20": in10({"together": B2, "separate": nru(1e-3, IN10, "separate")}),
    "figure-21": losses(B1),
    "figure-22": losses(B2),
    "figure-23": losses(B3),
    # The later revision of the paper.
    "mixed-signs-in2": Facts(THREE_IN2, MIXED_SIGNS),
    "mixed-signs-in10": in10(THREE_IN10, MIXED_SIGNS),
    "real-npu-learning-rates": Facts(
        {label: a1() | {"learning_rate": float(label)} for label in ("5e-4", "5e-3", "5e-2", "5e-1")}
    ),
    # The Primer.
    "primer-add": Facts(
        {"NAC": {"module": "NAC"}, **NALU_FAMILY, "iNALU": INALU, "NAU": bounded("NAU", 0.01)}
        | {"MCFC": mcfc("MCFC"), "DMU": DMU},
        operation="add",
    ),
    "primer-sub": Facts(
        {"NAC": {"module": "NAC"}, **NALU_FAMILY, "iNALU": INALU, "NAU": bounded("NAU", 0.01), "DMU": DMU},
        operation="sub",
    ),
    "primer-mul": Facts(
        {"NAC•": {"module": "NACMul"}, **NALU_FAMILY, "iNALU": INALU, "NMU": bounded("NMU", 10)}
        | {"NPU": npu("NPU", 1e-7, 1e-5), "Real NPU": npu("RealNPU", 1e-7, 1e-5)}
        | {"MulMCFC": mcfc("MulMCFC"), "MulMCFC (iNALU sign)": mcfc("MulMCFC", sign="inalu")}
        | {"MulMCFC (Real NPU sign)": mcfc("MulMCFC", sign="real_npu"), **OURS},
        operation="mul",
    ),
    "primer-div": Facts(
        {"NAC•": {"module": "NACMul"}, **NALU_FAMILY, "iNALU": INALU}
        | {"NPU": npu("NPU", 1e-9, 1e-7), "Real NPU": A0, **OURS},
    ),
    "primer-add-in10": Facts({"iNALU": INALU}, operation="add", input_size=10, subset_ratio=0.1),
    "primer-add-in100": in10({"NAU": bounded("NAU", 0.01, IN10)})._replace(
        operation="add", input_size=100, subset_ratio=0.01
    ),
    "primer-sub-in10": in10({"NAU": bounded("NAU", 0.01, IN10)})._replace(operation="sub"),
    # Ours: docs/division.md.
    "division-in2": Facts(MAGNITUDE_FIRST, DIVISION),
    "division-in10": in10(MAGNITUDE_FIRST, DIVISION),
}


def test_there_are_facts_of_every_experiment_with_one_layer() -> None:
    # Those on sequences are in test_sequence_facts.py and test_recurrent_facts.py, those with two layers in
    # test_two_layer_facts.py.
    assert set(EXPERIMENTS) == names_of_experiments_on_rows(two_layers=False)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_variants_have_the_papers_recipes_in_its_order(name: str) -> None:
    assert list(nalm.load_experiment(name).variants.items()) == EXPERIMENTS[name].recipes()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_tasks_are_the_papers_in_its_order(name: str) -> None:
    assert list(nalm.load_experiment(name).tasks.items()) == EXPERIMENTS[name].tasks()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_25_seeds(name: str) -> None:
    experiment = nalm.load_experiment(name)
    assert (experiment.name, experiment.seeds) == (name, tuple(range(25)))
