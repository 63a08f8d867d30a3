"""Loss landscapes: values against the formulas, and singularities where they are declared."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from nalm.errors import NalmError
from nalm.figures.landscapes.table import SLICES, TARGETS, has_gold, landscape, landscape_names, landscapes, results_at
from nalm.modules.functional import EPS32, LOG_EPS

PAIRS = [(name, target) for target in TARGETS for name in landscape_names(target)]
POINTS = [(-1.0, -1.0), (-1.0, 0.5), (-0.3, 0.99), (0.0, -0.5), (0.0, 0.5), (0.02, -1.0), (0.5, 0.0), (0.99, -0.25)]
WEIGHTS = torch.tensor([-0.9, -0.7, -0.3, -0.2, 0.2, 0.3, 0.7, 0.9], dtype=torch.float64)


def at(name: str, target: str, w1: float, w2: float, epsilon: float = 0.1) -> float:
    first, second = torch.tensor([[w1], [w2]], dtype=torch.float64)
    return results_at(name, target, first, second, epsilon).item()


def by_hand(name: str, target: str, w1: float, w2: float) -> float:
    """Compute the same result from the papers' formulas, one number at a time."""
    result, angle = 1.0, 0.0
    for z, sign in ((2.2 * abs(w1) + 0.1, 1), (6 * abs(w1) + 0.1, 1 if target == "product" else -1)):
        w = sign * w2
        gate = math.tanh(1000 * w) ** 2 if name == "NRU-train" else abs(w)
        result *= {
            "NACMul": (z + LOG_EPS) ** w,
            "NMU": w * z + 1 - w,
            "NRU-eval": gate * z**w + 1 - gate,
            "NRU-train": gate * z**w + 1 - gate,
            "NPU": (z + EPS32) ** w,
            "RealNPU": (0.5 * (z + EPS32) + 0.5) ** w,
            "NMRU": w * z + 1 - w if w > 0 else -w / z + 1 + w,
        }[name]
        angle += sign * math.log(z + EPS32)
    return result * math.cos(angle) if name == "NPU" else result


@pytest.mark.parametrize(("name", "target"), PAIRS)
@pytest.mark.parametrize(("w1", "w2"), POINTS)
def test_results_equal_those_of_the_formulas(name: str, target: str, w1: float, w2: float) -> None:
    assert at(name, target, w1, w2) == pytest.approx(by_hand(name, target, w1, w2), rel=1e-12)


def test_the_sums_of_the_gold_first_layer_are_those_of_the_inputs_and_epsilon() -> None:
    assert at("NMU", "product", 1.0, 1.0) == pytest.approx(2.3 * 6.1, rel=1e-12)
    assert at("NMRU", "quotient", -1.0, 1.0) == pytest.approx(2.3 / 6.1, rel=1e-12)


@pytest.mark.parametrize(("name", "target"), PAIRS)
def test_a_landscape_is_the_whole_grid_without_its_upper_end(name: str, target: str) -> None:
    table = landscape(name, target)
    assert list(table) == ["module", "target", "w1", "w2", "result", "loss"]
    assert set(table["module"]) == {name}
    assert set(table["target"]) == {target}
    for weight in ("w1", "w2"):
        assert sorted(set(table[weight])) == [index / 100 for index in range(-100, 100)]
    assert len(table[["w1", "w2"]].drop_duplicates()) == len(table) == 200 * 200
    assert not table.isna().any().any()


def test_the_loss_of_a_row_belongs_to_its_weights() -> None:
    table = landscape("NRU-eval", "quotient")
    for row in table.iloc[[0, 150, 12_345, 39_999]].itertuples():
        result = by_hand("NRU-eval", "quotient", float(str(row.w1)), float(str(row.w2)))
        assert row.result == pytest.approx(result, rel=1e-12)
        assert row.loss == pytest.approx(abs(result - 2.2 / 6), rel=1e-12)


def test_several_landscapes_are_in_order_and_without_repetition() -> None:
    table = landscapes(["NMU", "NACMul", "NMU"])
    assert list(table["module"].unique()) == ["NMU", "NACMul"]
    assert len(table) == 80_000
    assert list(landscapes(target="quotient")["module"].unique()) == landscape_names("quotient")


def test_gold_weights_are_those_of_modules_that_reach_the_target() -> None:
    able = {"NACMul", "NRU-eval", "NRU-train", "NMRU"}
    assert {name for name in landscape_names("product") if has_gold(name, "product")} == able | {"NMU"}
    assert {name for name in landscape_names("quotient") if has_gold(name, "quotient")} == able


def test_a_landscape_leaves_random_streams_alone() -> None:
    before = torch.get_rng_state()
    landscape("NMRU")
    assert torch.equal(torch.get_rng_state(), before)


# Singularities


def test_the_peak_of_a_negative_exponent_grows_as_epsilon_shrinks() -> None:
    for name in ("NACMul", "NRU-eval", "NRU-train", "NMRU"):
        # Within 1e-3, because the NAC adds 1e-7 itself, which is 1e-4 of the smallest epsilon.
        assert [at(name, "product", 0, -1, epsilon) for epsilon in (1e-1, 1e-2, 1e-3)] == pytest.approx(
            [1e2, 1e4, 1e6], rel=1e-3
        )
        near = landscape(name).query("w2 == -1 and w1 >= 0 and w1 < 0.03")["loss"]
        assert near.is_monotonic_decreasing
        assert near.iloc[0] == pytest.approx(100 - 13.2, rel=1e-4)


def growth(name: str, target: str) -> tuple[Tensor, Tensor]:
    """Return how the largest result and slope grow as w1 and epsilon approach 0, for each w2.

    Two decades are compared, each longer than a period of the NPU's cosine.
    """
    largest = []
    for exponents in (torch.linspace(-4, -3, 50), torch.linspace(-5, -4, 50)):
        results, slopes = [], []
        for epsilon in (10 ** exponents.double()).tolist():
            near, next_to_it = results_at(name, target, epsilon * torch.tensor([1.0, 2.0]).double(), WEIGHTS, epsilon)
            results.append(near.abs())
            slopes.append((next_to_it - near).abs() / epsilon)
        largest.append((torch.stack(results).amax(0), torch.stack(slopes).amax(0)))
    (far_result, far_slope), (near_result, near_slope) = largest
    return near_result / far_result, near_slope / far_slope


@pytest.mark.parametrize(("name", "target"), PAIRS)
def test_results_and_slopes_grow_only_in_the_declared_intervals(name: str, target: str) -> None:
    def inside(intervals: Sequence[tuple[float, float]]) -> list[bool]:
        return [any(low < w2 < high for low, high in intervals) for w2 in WEIGHTS.tolist()]

    infinite, steep = (inside(marks.get(target, ())) for marks in (SLICES[name].infinite, SLICES[name].steep))
    result, slope = growth(name, target)
    # Without growth, values stay within 2 %: modules add 1e-7 to sums of 1e-5.
    assert (result > 1.02).tolist() == infinite
    assert (slope > 1.02).tolist() == [one or other for one, other in zip(infinite, steep, strict=True)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("w1", [-1.0, -0.2, 0.0, 0.7])
def test_only_nrus_are_flat_where_the_second_weight_is_zero(target: str, w1: float) -> None:
    step = 1e-6

    def slopes(name: str) -> list[float]:
        centre = at(name, target, w1, 0.0)
        return [abs(at(name, target, w1, w2) - centre) / step for w2 in (step, -step)]

    for name in landscape_names(target):
        flat = max(slopes(name)) < 1e-4
        powers_of_one = target == "quotient" and w1 == 0 and name != "NMRU"  # 1 to whatever power
        assert flat == (SLICES[name].stationary or powers_of_one), name


def test_an_nru_in_training_has_a_narrow_plateau_and_equals_a_nac_elsewhere() -> None:
    weights = torch.tensor([0.4, 0.9], dtype=torch.float64)
    tiny, small = torch.tensor([[1e-4], [0.01]], dtype=torch.float64)
    assert (results_at("NRU-train", "product", weights, tiny, 0.1) - 1).abs().max() < 1e-5
    assert (results_at("NACMul", "product", weights, tiny, 0.1) - 1).abs().min() > 5e-5
    nru, nac = (results_at(name, "product", weights, small, 0.1) for name in ("NRU-train", "NACMul"))
    torch.testing.assert_close(nru, nac, rtol=0, atol=1e-7)


def test_an_nmru_that_multiplies_equals_an_nmu() -> None:
    nmu, nmru = (landscape(name).query("w2 >= 0")["loss"] for name in ("NMU", "NMRU"))
    np.testing.assert_allclose(nmru, nmu, rtol=1e-12, atol=1e-12)


# Wrong input


def test_unknown_names_are_refused_in_one_sentence() -> None:
    with pytest.raises(NalmError, match=r"^found unknown target 'sum', expected one of: product, quotient$"):
        landscape("NMU", "sum")
    with pytest.raises(NalmError, match=r"^found unknown landscape 'NRU', expected one of: NACMul, NMU, NRU-eval, "):
        landscape("NRU")
    with pytest.raises(NalmError, match=r"^found 'NMU', which computes no quotient, expected one of: NACMul, NRU-"):
        landscape("NMU", "quotient")


@pytest.mark.parametrize("epsilon", [0.0, -0.1, 1.5, math.nan, math.inf])
def test_an_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    with pytest.raises(NalmError, match=rf"^epsilon is {epsilon}, expected a number from 1e-07 to 1$"):
        landscape("NMU", epsilon=epsilon)
