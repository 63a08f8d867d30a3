"""When a run has solved its task: flat, gold and perturbed thresholds."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.subsets.small_numbers import SMALL_NUMBERS
from torch import nn

from nalm.modules import NAU, NMRU, NMU, NRU, ArithmeticModule, RealNPU
from nalm.spec.thresholds import Threshold
from nalm.tasks.subsets import thresholds
from nalm.tasks.subsets.streams import Sampler, fixed_test_rows
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.thresholds import gold_error, perturbed_errors, threshold

GOLDEN = Path(__file__).parents[2] / "golden" / "gold-thresholds.csv"
EPS32 = 2.0**-23
NAN = math.nan
UNION = {"union": [[-6, -2], [2, 6]]}
MODULES: dict[str, type[ArithmeticModule]] = {"NRU": NRU, "RealNPU": RealNPU, "NMRU": NMRU}


def make_task(**fields: Any) -> SubsetTask:
    return SubsetTask.model_validate({"operation": "div", "train": [1, 2], "test": [2, 6], **fields})


# --- judging ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "solved"), [(1e-5, False), (1.1e-5, True)])
def test_a_number_is_judged_strictly(value: float, solved: bool) -> None:
    assert threshold(make_task(threshold=value)) == Threshold(value, inclusive=False)
    assert threshold(make_task(threshold=value)).met(1e-5) is solved


@pytest.mark.parametrize(
    ("error", "met"), [(0.5, True), (1.0, True), (1 + 1e-6, False), (NAN, False), (math.inf, False)]
)
def test_an_inclusive_threshold_is_met_by_an_error_that_equals_it(error: float, met: bool) -> None:
    assert Threshold(1.0, inclusive=True).met(error) is met


@pytest.mark.parametrize(("error", "met"), [(1 + 0.9e-5, True), (1 + 1.1e-5, False)])
def test_an_error_that_rounding_may_have_carried_above_an_inclusive_threshold_meets_it(error: float, met: bool) -> None:
    assert Threshold(1.0, inclusive=True, rounding=1e-5).met(error) is met
    assert not Threshold(1.0, inclusive=False, rounding=1e-5).met(error)


@pytest.mark.parametrize(
    ("validation_errors", "test_errors", "solved"),
    [
        ([0.2, 0.1, 0.3], [1.0, 1e-6, 1.0], True),
        ([0.2, 0.1, 0.3], [1e-6, 1.0, 1e-6], False),
        ([0.1, 0.1], [1e-6, 1.0], True),
        ([NAN, NAN], [1.0, 1e-6], True),
        ([0.1, NAN], [NAN, 1e-6], False),
        ([0.1], [math.inf], False),
        ([], [], False),
    ],
)
def test_a_run_is_judged_by_the_test_error_at_the_best_validation_row(
    validation_errors: list[float], test_errors: list[float], solved: bool
) -> None:
    assert threshold(make_task()).solved(validation_errors, test_errors) is solved


# --- gold -------------------------------------------------------------------------------------------------------


def published() -> list[tuple[str, str, float, float]]:
    with GOLDEN.open() as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(row["task"], row["module"], float(row["high"]), float(row["threshold"])) for row in rows]


def test_all_published_gold_thresholds_are_compared() -> None:
    assert len({row[:3] for row in published()}) == 3 * 3 * 5


@pytest.mark.parametrize(("name", "module", "high", "value"), published())
def test_gold_thresholds_are_the_published_ones(name: str, module: str, high: float, value: float) -> None:
    task = make_task(**SMALL_NUMBERS[name], train=[0, high], test=[0, high], threshold="gold")
    found = threshold(task, MODULES[module](task.input_size, 1))
    # Powers, logarithms and exponentials of another version of torch are rounded otherwise: measured, 1.1e-5.
    assert found.value == pytest.approx(value, rel=1e-4)
    assert found.inclusive


def test_a_gold_threshold_is_the_test_error_of_gold_weights_plus_the_epsilon_of_the_precision() -> None:
    task = make_task(threshold="gold")
    single, double = NRU(2, 1), NRU(2, 1, dtype=torch.float64)
    assert threshold(task, single).value == gold_error(task, single) + EPS32
    assert threshold(task, double).value == gold_error(task, double) + 2.0**-52
    assert gold_error(task, double) < 1e-30 < 1e-16 < gold_error(task, single)


def test_a_gold_error_is_measured_on_the_rows_of_the_test_error() -> None:
    task = make_task(input_size=3, subset_ratio=0.4)
    sampler = Sampler([(task, seed) for seed in range(5)], 128, torch.float32, torch.device("cpu"))
    at_0 = [int(index) for index, columns in enumerate(sampler.layout.operands[0]) if columns.item() == 0]
    assert at_0
    inputs, targets = fixed_test_rows(task, torch.float32)
    torch.testing.assert_close(inputs.T, sampler.test.inputs[0], rtol=0, atol=0)
    targets_at_0 = sampler.test.targets[sampler.test.target_index[at_0[0]]]
    torch.testing.assert_close(targets.squeeze(1), targets_at_0, rtol=0, atol=0)


def test_a_gold_error_leaves_the_module_as_it_was() -> None:
    module = NMRU(2, 1).train()
    before = module.weight.clone()
    gold_error(make_task(), module)
    assert module.training
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize(
    ("fields", "module"),
    [
        ({"operation": "mul", "input_size": 3, "subset_ratio": 0.34, "subsets": 3}, NMU(3, 1)),
        ({"operation": "sub"}, NAU(2, 1)),
        ({"operation": "root"}, RealNPU(2, 1)),
        ({"operation": "reciprocal", "input_size": 4, "subset_ratio": 0.25, "subsets": 3}, NRU(4, 1)),
    ],
    ids=["mul of three", "sub", "root", "reciprocal of one in four"],
)
def test_gold_weights_apply_the_operation_to_the_operands_it_uses(
    fields: dict[str, Any], module: ArithmeticModule
) -> None:
    task = make_task(**fields, threshold="gold")
    _, targets = fixed_test_rows(task, torch.float32)
    # Relative errors of float32 and of the Real NPU's constant are of the order of 1e-7.
    assert gold_error(task, module) < 1e-11 * targets.square().mean().item()


@pytest.mark.parametrize(
    ("fields", "longest"),
    [
        ({"input_size": 4}, 2),
        ({"input_size": 100, "subset_ratio": 0.25, "overlap_ratio": 0.5}, 25),
        ({"operation": "add", "simple": True}, 4),
    ],
)
def test_sums_cannot_be_operands_of_gold_weights(fields: dict[str, Any], longest: int) -> None:
    message = f"threshold gold needs subsets of 1 input, found subsets of {longest} inputs"
    with pytest.raises(ValueError, match=message):
        make_task(**fields, threshold="gold")
    task = make_task(**fields)
    with pytest.raises(ValueError, match=message):
        gold_error(task, NMRU(task.input_size, 1))


@pytest.mark.parametrize(
    ("fields", "module", "message"),
    [
        ({}, NAU(2, 1), "threshold gold needs gold weights: NAU: operation is 'div', expected one of: add, sub"),
        ({}, nn.Linear(2, 1), "threshold gold needs gold weights, found Linear, which does not know any"),
        ({}, None, "found threshold gold and no module"),
        (
            {"operation": "root", "test": [-2, -1]},
            RealNPU(2, 1),
            r"threshold gold needs a finite error, found nan for RealNPU and the range U\[-2,-1\)",
        ),
        ({"operation": "mul", "input_size": 1, "subset_ratio": 1, "overlap_ratio": 1}, NRU(1, 1), "NRU: mul takes 2"),
    ],
    ids=["another operation", "no gold weights", "no module", "no numbers", "the same input twice"],
)
def test_a_module_without_gold_weights_has_no_gold_threshold(
    fields: dict[str, Any], module: nn.Module | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        threshold(make_task(**fields, threshold="gold"), module)


# --- perturbed --------------------------------------------------------------------------------------------------


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "SIMULATED_ROWS", 20_000)


def test_a_perturbed_threshold_is_the_published_one_and_judged_strictly() -> None:
    layout = {"input_size": 10, "subset_ratio": 0.25, "overlap_ratio": 0.5}
    found = threshold(make_task(operation="mul", **layout, threshold="perturbed"))
    assert not found.inclusive
    # Simulated once, as ours is, which has a standard error of 5.9e-9. The rest is in tests/analysis.
    assert found.value == pytest.approx(1.50963254949495e-05, abs=4 * math.sqrt(2) * 5.9e-9)


@pytest.mark.usefixtures("few_rows")
def test_a_simulation_is_the_same_every_time_and_in_every_company() -> None:
    tasks = [
        make_task(operation="mul", input_size=4),
        make_task(operation="add", input_size=4, train=[5, 6]),
        make_task(operation="mul", input_size=4, test=UNION),
        make_task(operation="mul", input_size=5),
    ]
    together = perturbed_errors(tasks)
    assert together == [simulation for task in tasks for simulation in perturbed_errors([task])]
    assert len(set(together)) == 4


@pytest.mark.usefixtures("few_rows")
def test_a_simulation_is_of_the_test_range_alone() -> None:
    near, far = perturbed_errors([make_task(operation="add"), make_task(operation="add", test=[20, 60])])
    assert far.mean == pytest.approx(100 * near.mean)
    assert perturbed_errors([make_task(operation="add", train=[7, 8])]) == [near]


@pytest.mark.usefixtures("few_rows")
def test_a_sum_is_perturbed_by_what_it_leaves_out_less_what_it_has() -> None:
    (simple,) = perturbed_errors([make_task(operation="add", simple=True)])
    # Sums a of all four inputs and b of the first two: they change by -eps a and eps (c - b), c the other two, together
    # by -2 eps b, of which the mean square is 4 eps² (64 + 2 · 4/3) on U[2,6).
    assert simple.mean == pytest.approx(4e-10 * (64 + 8 / 3), rel=5 * simple.standard_error / simple.mean)
    assert simple.standard_error < 0.01 * simple.mean


def test_a_simulation_without_finite_errors_is_no_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "SIMULATED_ROWS", 2_000)
    with pytest.raises(ValueError, match="threshold perturbed needs finite errors, found nan"):
        threshold(make_task(operation="root", input_size=10, test=[-2, -1], threshold="perturbed"))
