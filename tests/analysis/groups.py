"""Groups of solved runs for which the output of the original's R script is known (tests/golden)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import settings, strategies as st

from nalm.analysis.statistics import Estimate

GOLDEN = Path(__file__).parents[1] / "golden" / "statistics"
RAW = pd.read_csv(GOLDEN / "raw.csv")
SUMMARY = pd.read_csv(GOLDEN / "summary.csv").set_index("case")

# golden/README.md: profile likelihood intervals of the mean, computed apart from both programs, to 0.1 iterations.
EXACT_INTERVALS = {
    1: (4787.5, 6121.6),
    2: (27669.4, 37161.0),
    3: (9932.6, 18481.0),
    6: (1189.2, 1565.1),
    7: (39876.5, 44130.2),
    8: (51805.4, 53352.7),
    9: (5831.4, 11660.5),
}

iterations = st.lists(st.integers(1, 100).map(lambda k: 1000.0 * k), min_size=2, max_size=25)
spread_iterations = iterations.filter(lambda values: len(set(values)) > 1)
errors = st.lists(st.floats(0, 0.5), min_size=2, max_size=25)

unhurried = settings(deadline=None, max_examples=50)


def solved(case: int, column: str) -> npt.NDArray[np.float64]:
    return RAW.loc[(RAW["case"] == case) & RAW["solved"], column].to_numpy(dtype=np.float64)


def steps(case: int) -> npt.NDArray[np.float64]:
    return solved(case, "extrapolation.step.solved")


def sparsity(case: int) -> npt.NDArray[np.float64]:
    return solved(case, "sparse.error.max")


def numbers(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]


def printed(case: int, name: str) -> list[float]:
    columns = [f"{name}.{part}" for part in ("mean", "lower", "upper")]
    return [float(value) for value in SUMMARY.loc[[case], columns].to_numpy()[0]]
