"""Tasks and ranges as experiment files write them, and the best row of a run."""

import json
import math
from typing import Any

import pytest

from nalm.modules.operations import OPERATIONS
from nalm.spec.ranges import Halves, Interval, Range, Union
from nalm.spec.thresholds import best_row
from nalm.tasks.subsets.task import SubsetTask

NAN = math.nan
UNION = {"union": [[-6, -2], [2, 6]]}
HALVES = {"halves": [[-2, -0.1], [0.1, 2]]}


def make_range(value: Any) -> Range:
    return Range.model_validate(value)


def make_task(**fields: Any) -> SubsetTask:
    return SubsetTask.model_validate({"operation": "div", "train": [1, 2], "test": [2, 6], **fields})


# --- ranges -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ([1, 2], "U[1,2)"),
        ([-0.2, -0.1], "U[-0.2,-0.1)"),
        ([0, 1e-4], "U[0,0.0001)"),
        ([1.1, 1.2], "U[1.1,1.2)"),
        ([100, 1000], "U[100,1000)"),
        (UNION, "U[-6,-2) & U[2,6)"),
        (HALVES, "U[-2,-0.1) & U[0.1,2)"),
    ],
)
def test_labels_are_the_papers(value: Any, label: str) -> None:
    assert make_range(value).label == label
    assert make_task(train=value).label == label


@pytest.mark.parametrize(
    ("value", "kind", "intervals", "layers"),
    [
        ([1, 2], "interval", ((1.0, 2.0),), 1),
        ((1, 2), "interval", ((1.0, 2.0),), 1),
        (UNION, "union", ((-6.0, -2.0), (2.0, 6.0)), 3),
        ({"union": ((-6, -2), (2, 6))}, "union", ((-6.0, -2.0), (2.0, 6.0)), 3),
        (HALVES, "halves", ((-2.0, -0.1), (0.1, 2.0)), 1),
    ],
)
def test_ranges_are_parsed(value: Any, kind: str, intervals: object, layers: int) -> None:
    parsed = make_range(value)
    assert isinstance(parsed, Interval | Union | Halves)
    assert (parsed.kind, parsed.intervals, parsed.layers) == (kind, intervals, layers)


@pytest.mark.parametrize(
    "value",
    [
        1,
        None,
        "[1, 2]",
        [1],
        [1, 2, 3],
        ["1", "2"],
        [True, False],
        [[1, 2], [3, 4]],
        {},
        {"union": [1, 2]},
        {"union": [[1, 2]]},
        {"union": [[1, 2], [3, 4], [5, 6]]},
        {"halves": [[1, 2], [3]]},
        {"mixture": [[1, 2], [3, 4]]},
        {**UNION, **HALVES},
    ],
    ids=repr,
)
def test_a_range_of_another_form_is_told_the_forms(value: Any) -> None:
    forms = r"expected \[low, high\], \{union: .*\}, \{halves: .*\}, .* or \{benford: .*\}"
    of_its_kind = r"expected \{(union|halves): \[\[low, high\], \[low, high\]\]\}"
    with pytest.raises(ValueError, match=f"{forms}|{of_its_kind}"):
        make_range(value)


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "union", "intervals": [[1, 2]]},
        {"kind": "halves", "intervals": [[1, 2]]},
        {"kind": "interval", "intervals": [[1, 2], [3, 4]]},
        {"kind": "interval", "intervals": []},
    ],
    ids=repr,
)
def test_a_number_of_intervals_that_does_not_fit_the_kind_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="interval"):
        make_range(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([2, 1], r"\[2, 1\]"),
        ([1, 1], r"\[1, 1\]"),
        ([0, math.inf], r"\[0, inf\]"),
        ([-math.inf, 0], r"\[-inf, 0\]"),
        ([NAN, 1], r"\[nan, 1\]"),
        ({"union": [[1, 2], [4, 3]]}, r"\[4, 3\]"),
        ({"halves": [[2, 1], [3, 4]]}, r"\[2, 1\]"),
    ],
)
def test_an_interval_without_numbers_is_refused(value: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=f"range {shown} is empty, expected low < high, both finite"):
        make_range(value)


@pytest.mark.parametrize("value", [[1.0, 2.0], UNION, HALVES], ids=repr)
def test_ranges_are_written_as_they_are_read(value: Any) -> None:
    written = make_range(value)
    assert written.model_dump() == value
    assert json.loads(written.model_dump_json()) == value
    assert make_range(written.model_dump()) == written
    assert Range.model_validate_json(written.model_dump_json()) == written


def test_ranges_can_be_compared_and_counted() -> None:
    assert make_range([1, 2]) == make_range((1.0, 2.0))
    assert make_range(UNION) != make_range({"halves": UNION["union"]})
    assert len({make_range([1, 2]), make_range((1.0, 2.0)), make_range(UNION)}) == 2


# --- slices -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "offset", "slices"),
    [
        ({}, 0, [(0, 1), (1, 2)]),
        ({"input_size": 10, "subset_ratio": 0.1}, 0, [(0, 1), (1, 2)]),
        ({"input_size": 10, "subset_ratio": 0.1}, 8, [(8, 9), (9, 10)]),
        ({"input_size": 100, "subset_ratio": 0.25, "overlap_ratio": 0.5}, 0, [(0, 25), (13, 38)]),
        ({"input_size": 100, "subset_ratio": 0.25, "overlap_ratio": 0.5}, 62, [(62, 87), (75, 100)]),
        ({"input_size": 6, "subset_ratio": 0.34, "subsets": 3}, 0, [(0, 2), (2, 4), (4, 6)]),
        ({"input_size": 5, "subset_ratio": 0.5}, 1, [(1, 3), (3, 5)]),
        ({"input_size": 10, "subset_ratio": 0.28}, 0, [(0, 2), (2, 4)]),
        ({"input_size": 10, "subset_ratio": 0.5, "overlap_ratio": 0.75}, 0, [(0, 5), (2, 7)]),
        ({"subset_ratio": 1.0, "overlap_ratio": 1.0}, 0, [(0, 2), (0, 2)]),
        ({"operation": "reciprocal", "input_size": 1, "subset_ratio": 1.0, "subsets": 1}, 0, [(0, 1)]),
        ({"simple": True}, 0, [(0, 4), (0, 2)]),
        ({"simple": True}, 3, [(0, 4), (0, 2)]),
    ],
)
def test_slices_follow_one_another_with_their_overlap(
    fields: dict[str, Any], offset: int, slices: list[tuple[int, int]]
) -> None:
    assert make_task(**fields).slices(offset) == slices


def test_the_simple_layout_has_four_inputs() -> None:
    assert make_task(simple=True).input_size == 4
    assert make_task(simple=True, input_size=4).input_size == 4
    with pytest.raises(ValueError, match="the simple layout has 4 inputs, found input_size 5"):
        make_task(simple=True, input_size=5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"subset_ratio": 1.0}, "2 subsets of 2 inputs .* need 4 inputs, expected at most input_size 2"),
        ({"subsets": 3}, "3 subsets of 1 inputs .* need 3 inputs, expected at most input_size 2"),
        (
            {"input_size": 10, "subset_ratio": 0.6, "overlap_ratio": 0.5, "subsets": 3},
            r"3 subsets of 6 inputs \(subset_ratio 0.6, overlap_ratio 0.5\) need 12 inputs, .* input_size 10",
        ),
        ({"subset_ratio": 0.4}, r"subsets of 0 inputs \(subset_ratio 0.4"),
        ({"input_size": 1}, r"subsets of 0 inputs \(subset_ratio 0.5"),
    ],
)
def test_subsets_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(**fields)


# --- operations and other fields --------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_needs_as_many_subsets_as_it_has_operands(operation: str) -> None:
    needed = {"sub": 2, "div": 2}.get(operation, 1)
    assert len(make_task(operation=operation, subsets=needed).slices(0)) == needed
    if needed == 2:
        with pytest.raises(ValueError, match=f"{operation} needs 2 subsets, found 1"):
            make_task(operation=operation, subsets=1)


@pytest.mark.parametrize("operation", ["pow", "Div", "", "log"])
def test_an_unknown_operation_is_told_the_known_ones(operation: str) -> None:
    known = "add, sub, mul, div, squared, root, reciprocal"
    with pytest.raises(ValueError, match=rf"unknown operation '{operation}'.*, expected one of: {known}"):
        make_task(operation=operation)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_size", 0),
        ("input_size", 2.0),
        ("input_size", "2"),
        ("input_size", True),
        ("subset_ratio", 0.0),
        ("subset_ratio", 1.5),
        ("subset_ratio", "0.5"),
        ("overlap_ratio", -0.1),
        ("overlap_ratio", 1.1),
        ("overlap_ratio", NAN),
        ("subsets", 0),
        ("subsets", 1.5),
        ("simple", "yes"),
        ("simple", 1),
        ("threshold", 0.0),
        ("threshold", -1e-5),
        ("threshold", NAN),
        ("threshold", "1e-5"),
        ("threshold", "golden"),
        ("treshold", 1e-5),
        ("operation", None),
    ],
)
def test_a_wrong_value_is_refused_by_the_fields_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        make_task(**{field: value})


def test_a_task_is_immutable() -> None:
    task = make_task()
    with pytest.raises(ValueError, match="frozen"):
        task.operation = "mul"  # type: ignore[misc]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"train": UNION, "test": HALVES},
        {"operation": "mul", "input_size": 100, "subset_ratio": 0.25, "overlap_ratio": 0.5, "subsets": 3},
        {"operation": "add", "simple": True, "threshold": 1.1920929e-07},
        {"threshold": "gold"},
        {"threshold": "perturbed"},
    ],
    ids=["default", "ranges", "layout", "simple", "gold", "perturbed"],
)
def test_a_task_survives_being_written_and_read(fields: dict[str, Any]) -> None:
    task = make_task(**fields)
    assert SubsetTask.model_validate(task.model_dump()) == task
    assert SubsetTask.model_validate(json.loads(json.dumps(task.model_dump()))) == task
    assert SubsetTask.model_validate_json(task.model_dump_json()) == task
    assert hash(SubsetTask.model_validate(task.model_dump())) == hash(task)


# --- best row --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validation_errors", "row"),
    [
        ([3.0], 0),
        ([3.0, 1.0, 2.0], 1),
        ([1.0, 0.5, 0.5, 0.5], 1),
        ([NAN, 2.0, NAN, 1.0, NAN], 3),
        ([NAN, NAN, NAN], 2),
        ([math.inf, 2.0, math.inf], 1),
        ([math.inf, NAN], 0),
        ([NAN, math.inf], 1),
        ([-0.0, 0.0], 0),
    ],
)
def test_the_best_row_is_the_first_of_the_smallest_validation_errors(validation_errors: list[float], row: int) -> None:
    assert best_row(validation_errors) == row


def test_only_the_last_5000_rows_are_looked_at() -> None:
    errors = [0.0, 0.1] + [1.0] * 4999
    assert best_row(errors) == 1
    assert best_row([*errors, 1.0]) == 2
    assert best_row([0.0] + [NAN] * 5000) == 5000
