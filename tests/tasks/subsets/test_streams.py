"""Random streams: the original's numbers, bit by bit, for many runs at once."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats
from torch import Tensor

from nalm.modules.operations import OPERATIONS
from nalm.spec.ranges import Halves, Interval, Range, Union
from nalm.tasks.subsets.streams import Sampler, parent_draws
from nalm.tasks.subsets.task import SubsetTask

Floats = npt.NDArray[np.float64]
Row = tuple[list[float], float]

INTERVAL: Any = [1, 2]
UNION: Any = {"union": [[-6, -2], [2, 6]]}
HALVES: Any = {"halves": [[-2, -0.1], [0.1, 2]]}
KINDS = {"interval": INTERVAL, "union": UNION, "halves": HALVES}
every_kind = pytest.mark.parametrize("drawn_from", KINDS.values(), ids=KINDS)


def make_task(operation: str = "div", train: Any = INTERVAL, test: Any = (2, 6), **fields: Any) -> SubsetTask:
    return SubsetTask.model_validate({"operation": operation, "train": train, "test": test, **fields})


TEN: dict[str, Any] = {"input_size": 10, "subset_ratio": 0.1}
ONE: dict[str, Any] = {"operation": "reciprocal", "input_size": 1, "subset_ratio": 1.0, "subsets": 1}
HUNDRED: dict[str, Any] = {"input_size": 100, "subset_ratio": 0.25, "overlap_ratio": 0.5}


def make_sampler(*runs: tuple[SubsetTask, int], batch_size: int = 128, dtype: torch.dtype = torch.float32) -> Sampler:
    return Sampler(runs, batch_size, dtype, torch.device("cpu"))


def train(sampler: Sampler, batches: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Return inputs ``(runs, columns, rows)`` and targets ``(runs, rows)`` of the next iterations."""
    return [sampler.batch(drawn, sampler.layout) for drawn in sampler.draw(batches).unbind()]


def held_out(sampler: Sampler, kind: str, run: int) -> tuple[Tensor, Tensor]:
    """Return inputs ``(columns, rows)`` and targets ``(rows)`` of one run's evaluation."""
    data = getattr(sampler, kind)
    return data.inputs[data.input_index[run]], data.targets[data.target_index[run]]


# --- the original's numbers, facts 11.1 -------------------------------------------------------------------------


def assert_rows_equal(inputs: Tensor, targets: Tensor, rows: Sequence[Row]) -> None:
    """Check equality in float32: the expected numbers are those of float32, printed in full."""
    assert torch.equal(inputs.T[: len(rows)], torch.tensor([x for x, _ in rows]))
    assert torch.equal(targets[: len(rows)], torch.tensor([target for _, target in rows]))


@pytest.mark.parametrize(
    ("drawn_from", "batch_number", "rows"),
    [
        pytest.param(
            INTERVAL,
            1,
            [
                ([1.794160008430481, 1.1598246097564697], 1.5469235181808472),
                ([1.3907872438430786, 1.9364851713180542], 0.7182018756866455),
            ],
            id="interval",
        ),
        pytest.param(
            INTERVAL, 2, [([1.5181760787963867, 1.2513370513916016], 1.2132431268692017)], id="interval, second batch"
        ),
        pytest.param(
            UNION,
            1,
            [
                ([-2.8233602046966553, 3.005347967147827], -0.9394453167915344),
                ([-4.4368510246276855, -2.254059314727783], 1.968382477760315),
            ],
            id="union",
        ),
        pytest.param(
            HALVES,
            1,
            [
                ([-0.4910960793495178, 0.5775403380393982], -0.8503234386444092),
                ([-1.2575042247772217, 0.946814775466919], -1.328141689300537),
            ],
            id="halves",
        ),
    ],
)
def test_training_rows_of_seed_0_are_the_originals(drawn_from: Any, batch_number: int, rows: list[Row]) -> None:
    inputs, targets = train(make_sampler((make_task(train=drawn_from), 0)), batch_number)[-1]
    assert_rows_equal(inputs[0], targets[0], rows)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (
            "validation",
            [
                ([1.9180948734283447, 1.881652593612671], 1.0193670988082886),
                ([1.9913438558578491, 1.210306167602539], 1.645322322845459),
            ],
        ),
        (
            "test",
            [
                ([4.133045673370361, 3.264204978942871], 1.266172170639038),
                ([3.8788561820983887, 5.606009006500244], 0.691910445690155),
            ],
        ),
    ],
)
@pytest.mark.parametrize("seed", [0, 7])
def test_evaluation_rows_are_the_originals_whatever_the_seed(seed: int, kind: str, rows: list[Row]) -> None:
    inputs, targets = held_out(make_sampler((make_task(), seed)), kind, 0)
    assert inputs.shape == (2, 10_000)
    assert_rows_equal(inputs, targets, rows)


def test_the_first_row_of_ten_inputs_is_the_originals() -> None:
    inputs, targets = train(make_sampler((make_task(**TEN), 1)))[0]
    row = [
        *(1.3144973516464233, 1.33069908618927, 1.1607879400253296, 1.4883286952972412, 1.7365963459014893),
        *(1.3143868446350098, 1.7189654111862183, 1.6504945755004883, 1.1192481517791748, 1.0322824716567993),
    ]
    assert_rows_equal(inputs[0], targets[0], [(row, 0.7646383047103882)])


PARENT_DRAWS = [
    (0, 2357136044, 5, 3626093760),
    (1, 1791095845, 5, 4282876139),
    (2, 1872583848, 8, 794921487),
    (3, 2365658986, 8, 3041471737),
    (4, 4153361530, 7, 741720773),
    (5, 953453411, 3, 236996814),
    (6, 3834805130, 3, 899393492),
    (7, 327741615, 4, 3349725721),
    (8, 3751350723, 3, 47736148),
    (9, 44556670, 5, 2129330102),
    (10, 3312796937, 4, 2124247567),
    (11, 774252441, 0, 2854952027),
    (12, 662124363, 6, 3751169277),
    (13, 3340206418, 2, 2608511152),
    (14, 2207369835, 8, 3320718604),
    (15, 3645644232, 8, 3494301429),
    (16, 959027881, 5, 2365244737),
    (17, 1265576559, 1, 2278852751),
    (18, 2793336106, 3, 2170905720),
    (19, 418903645, 5, 1772717410),
    (20, 2526002531, 3, 3811404250),
    (21, 209271753, 8, 2919899908),
    (22, 895331189, 5, 3014908036),
    (23, 2221777491, 3, 2873750246),
    (24, 4123242914, 2, 1264583555),
]
"""Run seed; training seed of 1 and 2 inputs; offset and training seed of 10 inputs: facts, table 2.2."""


@pytest.mark.parametrize(("seed", "training_seed", "offset_of_ten", "training_seed_of_ten"), PARENT_DRAWS)
def test_offsets_and_training_seeds_are_the_originals(
    seed: int, training_seed: int, offset_of_ten: int, training_seed_of_ten: int
) -> None:
    assert parent_draws(make_task(), seed) == (0, training_seed)
    assert parent_draws(make_task(**ONE), seed) == (0, training_seed)
    assert parent_draws(make_task(**TEN), seed) == (offset_of_ten, training_seed_of_ten)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_simple_layout_draws_no_offset(seed: int) -> None:
    # Nothing is drawn before the training seed, as with the forced offset of two inputs.
    assert parent_draws(make_task(simple=True), seed) == parent_draws(make_task(), seed)


@pytest.mark.parametrize(
    ("seed", "slices"),
    [(0, [(44, 69), (57, 82)]), (1, [(37, 62), (50, 75)]), (2, [(40, 65), (53, 78)])],
)
def test_slices_of_a_hundred_inputs_are_the_originals(seed: int, slices: list[tuple[int, int]]) -> None:
    task = make_task(**HUNDRED)
    assert task.slices(parent_draws(task, seed)[0]) == slices
    placed = make_sampler((task, seed)).layout.operands
    for columns, (start, end) in zip(placed, slices, strict=True):
        assert columns[0].tolist() == [float(start <= column < end) for column in range(100)]


# --- a plain re-implementation ----------------------------------------------------------------------------------


def sampled(rng: np.random.RandomState, drawn_from: Range, rows: int, columns: int) -> Floats:
    """Draw a batch as the original does (facts 2.3 and 2.4)."""
    assert isinstance(drawn_from, Interval | Union | Halves)
    if drawn_from.kind == "interval":
        ((low, high),) = drawn_from.intervals
        return rng.uniform(low, high, (rows, columns))
    first, second = (rng.uniform(low, high, (rows, columns)) for low, high in drawn_from.intervals)
    if drawn_from.kind == "halves":
        return np.hstack([first[:, : columns // 2], second[:, columns // 2 :]])
    return np.where(rng.randint(2, size=(rows, columns)) != 0, first, second)


APPLIED: dict[str, Callable[[list[Floats]], Floats]] = {
    "add": lambda sums: np.add.reduce(sums),
    "sub": lambda sums: sums[0] - sums[1],
    "mul": lambda sums: np.multiply.reduce(sums),
    "div": lambda sums: sums[0] / sums[1],
    "squared": lambda sums: sums[0] ** 2,
    "root": lambda sums: np.sqrt(sums[0]),
    "reciprocal": lambda sums: 1 / sums[0],
}


def reimplemented(
    task: SubsetTask, drawn_from: Range, seed: int, offset: int, rows: int, batches: int = 1
) -> list[tuple[Floats, Floats]]:
    """Return inputs ``(columns, rows)`` and targets ``(rows)``, as numpy alone computes them."""
    rng = np.random.RandomState(seed)
    result = []
    for _ in range(batches):
        x = sampled(rng, drawn_from, rows, task.input_size)
        sums = [x[:, start:end].sum(1) for start, end in task.slices(offset)]
        result.append((x.T, APPLIED[task.operation](sums)))
    return result


def test_every_operation_is_reimplemented() -> None:
    assert APPLIED.keys() == set(OPERATIONS)


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("size", [{}, TEN, {"input_size": 3, "subset_ratio": 0.34}], ids=["2", "10", "3"])
@every_kind
@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation != "root"])
def test_batches_equal_those_of_numpy_bit_by_bit(
    operation: str, drawn_from: Any, size: dict[str, Any], seed: int
) -> None:
    task = make_task(operation, drawn_from, **size)
    offset, stream = parent_draws(task, seed)
    ours = train(make_sampler((task, seed), batch_size=16, dtype=torch.float64), 3)
    theirs = reimplemented(task, task.train, stream, offset, 16, 3)
    for (inputs, targets), (x, target) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(inputs[0], x)
        np.testing.assert_array_equal(targets[0], target)


def test_roots_equal_those_of_numpy_to_the_last_digit() -> None:
    task = make_task("root", **TEN)
    offset, stream = parent_draws(task, 2)
    inputs, targets = train(make_sampler((task, 2), dtype=torch.float64))[0]
    ((x, target),) = reimplemented(task, task.train, stream, offset, 128)
    np.testing.assert_array_equal(inputs[0], x)
    # Torch's vectorized root is one unit in the last place off for one of these numbers on processors with AVX-512.
    np.testing.assert_array_max_ulp(targets[0].numpy(), target, maxulp=1)


@pytest.mark.parametrize(
    "layout",
    [HUNDRED, {"simple": True}, {**TEN, "subsets": 3}, {"input_size": 12, "subset_ratio": 0.25, "subsets": 4}],
    ids=["100", "simple", "3 subsets", "4 subsets"],
)
@every_kind
@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div"])
def test_operands_are_sums_over_slices(operation: str, drawn_from: Any, layout: dict[str, Any]) -> None:
    task = make_task(operation, drawn_from, **layout)
    offset, stream = parent_draws(task, 1)
    inputs, targets = train(make_sampler((task, 1), batch_size=16, dtype=torch.float64))[0]
    ((x, target),) = reimplemented(task, task.train, stream, offset, 16)
    np.testing.assert_array_equal(inputs[0], x)
    # numpy and torch add up to 25 numbers in different orders. Sums of both signs cancel, and a quotient may have a
    # small one below: 1e-12 leaves three digits for that.
    np.testing.assert_allclose(targets[0], target, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "seed"), [("validation", 43953907), ("test", 8689336)])
@pytest.mark.parametrize("size", [{}, TEN], ids=["2", "10"])
@every_kind
def test_evaluation_data_equal_those_of_numpy_bit_by_bit(
    drawn_from: Any, size: dict[str, Any], kind: str, seed: int
) -> None:
    task = make_task("div", drawn_from, drawn_from, **size)
    ((x, target),) = reimplemented(task, task.train, seed, parent_draws(task, 4)[0], 10_000)
    inputs, targets = held_out(make_sampler((task, 4), dtype=torch.float64), kind, 0)
    np.testing.assert_array_equal(inputs, x)
    np.testing.assert_array_equal(targets, target)


# --- many runs at once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [{}, TEN], ids=["2", "10"])
@every_kind
def test_batches_drawn_together_equal_batches_drawn_one_by_one(drawn_from: Any, size: dict[str, Any]) -> None:
    runs = [(make_task(train=drawn_from, **size), seed) for seed in (0, 1)]
    together, apart = make_sampler(*runs), make_sampler(*runs)
    assert torch.equal(together.draw(4), torch.cat([apart.draw(1), apart.draw(2), apart.draw(1)]))


@every_kind
def test_draws_have_a_place_for_each_batch_stream_layer_column_and_row(drawn_from: Any) -> None:
    sampler = make_sampler(*((make_task(train=drawn_from, **TEN), seed) for seed in (0, 1, 0)), batch_size=7)
    layers = 3 if drawn_from is UNION else 1
    assert sampler.draw(2).shape == (2, 2, layers, 10, 7)
    assert sampler.numbers_per_batch == 2 * layers * 10 * 7


def test_runs_of_one_seed_share_a_stream_and_get_the_same_uniforms() -> None:
    intervals = [(1.0, 2.0), (-20.0, -10.0), (0.0, 0.1)]
    sampler = make_sampler(*((make_task(train=interval), 3) for interval in intervals), dtype=torch.float64)
    assert sampler.layout.stream_index.tolist() == [0, 0, 0]
    inputs, _ = train(sampler)[0]
    uniforms = [(x - low) / (high - low) for x, (low, high) in zip(inputs, intervals, strict=True)]
    for one, other in pairwise(uniforms):
        # Adding 10 to a uniform leaves it 49 bits; mapping it back divides their rounding by the width.
        torch.testing.assert_close(one, other, rtol=0, atol=1e-14)


def test_runs_of_different_seeds_have_different_streams() -> None:
    sampler = make_sampler(*((make_task(), seed) for seed in (4, 2, 4, 9)))
    first, second, third, fourth = sampler.layout.stream_index.tolist()
    assert first == third
    assert len({first, second, fourth}) == 3
    inputs, _ = train(sampler)[0]
    assert torch.equal(inputs[0], inputs[2])
    assert not torch.equal(inputs[0], inputs[1])


@pytest.mark.parametrize("size", [{}, TEN], ids=["2", "10"])
@pytest.mark.parametrize(
    "ranges",
    [
        [[1, 2], [-2, -1], [-20, -10]],
        [UNION, {"union": [[-1, -0.1], [0.1, 1]]}, UNION],
        [HALVES, {"halves": [[-6, -2], [2, 6]]}, HALVES],
    ],
    ids=KINDS,
)
def test_a_runs_data_do_not_depend_on_the_runs_beside_it(ranges: list[Any], size: dict[str, Any]) -> None:
    tests = [[2, 6], UNION, [2, 6]]
    tasks = [make_task("div", *pair, **size) for pair in zip(ranges, tests, strict=True)]
    runs = [(task, seed) for seed in (5, 0, 11) for task in tasks]
    sampler = make_sampler(*runs)
    batches = train(sampler, 2)
    for index, run in enumerate(runs):
        alone = make_sampler(run)
        for (inputs, targets), (own_inputs, own_targets) in zip(batches, train(alone, 2), strict=True):
            assert torch.equal(inputs[index], own_inputs[0])
            assert torch.equal(targets[index], own_targets[0])
        for kind in ("validation", "test"):
            for shared, own in zip(held_out(sampler, kind, index), held_out(alone, kind, 0), strict=True):
                assert torch.equal(shared, own)


def test_evaluation_data_are_kept_once_for_each_range_and_offset() -> None:
    # Of ten inputs, seeds 0 and 1 have offset 5, seed 2 has offset 8.
    tasks = [make_task(**TEN), make_task(train=[-2, -1], **TEN)]
    sampler = make_sampler(*((task, seed) for task in tasks for seed in (0, 1, 2)))
    assert sampler.validation.inputs.shape == (2, 10, 10_000)
    assert sampler.validation.targets.shape == (4, 10_000)
    assert sampler.validation.input_index.tolist() == [0, 0, 0, 1, 1, 1]
    assert sampler.validation.target_index.tolist() == [0, 0, 1, 2, 2, 3]
    assert sampler.test.inputs.shape == (1, 10, 10_000)
    assert sampler.test.targets.shape == (2, 10_000)


@every_kind
def test_targets_are_computed_before_inputs_are_rounded(drawn_from: Any) -> None:
    run = (make_task(train=drawn_from, test=drawn_from), 0)
    single, double = make_sampler(run), make_sampler(run, dtype=torch.float64)
    pairs = [
        (train(single)[0], train(double)[0]),
        *((held_out(single, kind, 0), held_out(double, kind, 0)) for kind in ("validation", "test")),
    ]
    for (inputs, targets), (exact_inputs, exact_targets) in pairs:
        assert inputs.dtype == targets.dtype == torch.float32
        assert torch.equal(inputs, exact_inputs.float())
        assert torch.equal(targets, exact_targets.float())
        dividends, divisors = inputs.unbind(-2)
        assert not torch.equal(targets, dividends / divisors)


@every_kind
def test_inputs_stay_within_their_range(drawn_from: Any) -> None:
    task = make_task(train=drawn_from, **TEN)
    (inputs, _) = train(make_sampler((task, 0), batch_size=1000, dtype=torch.float64))[0]
    assert isinstance(task.train, Interval | Union | Halves)
    inside = [(low <= inputs[0]) & (inputs[0] < high) for low, high in task.train.intervals]
    if task.train.kind == "halves":
        assert inside[0][:5].all()
        assert inside[1][5:].all()
    else:
        assert torch.stack(inside).any(0).all()
        assert all(part.any() for part in inside)


@pytest.mark.parametrize(
    "other",
    [
        make_task(**TEN),
        make_task(hidden_size=3),
        make_task(train=UNION),
        make_task(train=HALVES),
        make_task(subset_ratio=1.0, overlap_ratio=1.0),
        make_task("mul", subsets=1),
    ],
    ids=["size", "hidden size", "union", "halves", "length", "subsets"],
)
def test_runs_of_unlike_tasks_are_refused(other: SubsetTask) -> None:
    with pytest.raises(ValueError, match="must have the same input layout, hidden size and kind of range"):
        make_sampler((make_task(), 0), (other, 0))


OPERATIONS_OF_TWO = [make_task(operation) for operation in ("div", "add", "root")]
OPERATIONS_OF_A_HUNDRED = [make_task(operation, **HUNDRED) for operation in ("div", "add", "root")]
OVERLAPS = [make_task("mul", **(HUNDRED | {"overlap_ratio": overlap})) for overlap in (0.0, 0.1, 0.5, 1.0)]


@pytest.mark.parametrize(
    "tasks",
    [OPERATIONS_OF_TWO, OPERATIONS_OF_A_HUNDRED, OVERLAPS],
    ids=["operations on two inputs", "operations on a hundred", "overlaps"],
)
def test_runs_of_several_tasks_have_the_data_that_each_has_alone(tasks: list[SubsetTask]) -> None:
    runs = [(task, seed) for task in tasks for seed in (3, 4)]
    together = make_sampler(*runs)
    ((inputs, targets),) = train(together)
    for index, run in enumerate(runs):
        alone = make_sampler(run)
        ((own_inputs, own_targets),) = train(alone)
        assert torch.equal(inputs[index], own_inputs[0])
        assert torch.equal(targets[index], own_targets[0])
        for kind in ("validation", "test"):
            assert all(map(torch.equal, held_out(together, kind, index), held_out(alone, kind, 0)))


def test_operations_share_the_random_numbers_of_a_seed() -> None:
    runs = [(task, seed) for task in OPERATIONS_OF_A_HUNDRED for seed in (3, 4)]
    assert make_sampler(*runs).numbers_per_batch == 2 * 128 * 100


def test_streams_that_rest_leave_the_others_as_they_are() -> None:
    runs = [(make_task(operation), seed) for operation in ("div", "add") for seed in (3, 4, 5)]
    sampler, other = make_sampler(*runs), make_sampler(*runs)
    sampler.draw_only_for([0, 3, 4])
    drawn, usual = sampler.draw(2), other.draw(2)
    index = sampler.layout.stream_index
    assert torch.equal(drawn[:, index[:2]], usual[:, index[:2]])
    assert not drawn[:, index[2]].any()


def test_a_sampler_of_fewer_runs_goes_on_where_the_larger_was() -> None:
    runs = [(make_task(), seed) for seed in (3, 4, 5)]
    larger = make_sampler(*runs)
    larger.draw(3)
    fewer, expected = make_sampler(runs[0], runs[2]), make_sampler(*runs)
    fewer.take_over(larger)
    later = expected.draw(4)[3]
    assert torch.equal(fewer.draw(1)[0][fewer.layout.stream_index], later[expected.layout.stream_index[[0, 2]]])


def test_runs_may_differ_in_intervals_test_ranges_seeds_and_thresholds() -> None:
    sampler = make_sampler((make_task(), 0), (make_task(train=[-2, -1], test=UNION, threshold=1e-7), 1))
    assert sampler.test.inputs.shape == (2, 2, 10_000)


# --- distributions, facts 2.4 and 11.1 ---------------------------------------------------------------------------

TRUNCATED: Any = {"truncated_normal": {"mean": -1, "deviation": 3, "within": [-5, 10]}}
BENFORD: Any = {"benford": [10, 100]}
EXPONENTIAL: Any = {"exponential": {"scale": 1}}


@pytest.mark.parametrize(
    ("drawn_from", "rows"),
    [
        (
            TRUNCATED,
            [
                ([1.6652013063430786, -3.15341854095459], -0.5280622839927673),
                ([-1.4049973487854004, 3.719589948654175], -0.3777290880680084),
            ],
        ),
        (BENFORD, [([69, 12], 69 / 12), ([22, 82], 22 / 82), ([41, 34], 41 / 34), ([43, 12], 43 / 12)]),
        (EXPONENTIAL, [([1.5806559324264526, 0.17414462566375732], 1.5806559324264526 / 0.17414462566375732)]),
    ],
    ids=["truncated normal", "benford", "exponential"],
)
def test_the_first_rows_of_distributions_are_the_originals(drawn_from: Any, rows: list[Row]) -> None:
    inputs, targets = train(make_sampler((make_task(train=drawn_from), 0)))[0]
    assert torch.equal(inputs[0].T[: len(rows)], torch.tensor([x for x, _ in rows]))
    # One rounding: the quotients of the last two are those of the rounded inputs.
    assert torch.allclose(targets[0, : len(rows)], torch.tensor([target for _, target in rows]), rtol=3e-7, atol=0)


@pytest.mark.parametrize(("mean", "deviation", "low", "high"), [(-1, 3, -5, 10), (10, 3, 5, 15), (10, 1, 5, 15)])
def test_truncated_normal_inputs_are_scipys_to_the_last_digit_of_float32(
    mean: float, deviation: float, low: float, high: float
) -> None:
    drawn_from = {"truncated_normal": {"mean": mean, "deviation": deviation, "within": [low, high]}}
    task = make_task(train=drawn_from)
    inputs, _ = train(make_sampler((task, 4)), batches=2)[1]
    _, stream_seed = parent_draws(task, 4)
    uniforms = np.random.RandomState(stream_seed).uniform(size=(256, 2))[128:]
    a, b = (low - mean) / deviation, (high - mean) / deviation
    expected = mean + deviation * stats.truncnorm.ppf(uniforms, a, b)
    np.testing.assert_array_equal(inputs[0].T.numpy(), expected.astype(np.float32))


def test_each_mirrored_normal_of_a_seed_has_its_own_inputs_from_one_stream() -> None:
    mirrored = {"truncated_normal": {"mean": 1, "deviation": 3, "within": [-10, 5]}}
    sampler = make_sampler((make_task(train=TRUNCATED), 0), (make_task(train=mirrored), 0), dtype=torch.float64)
    assert len(set(sampler.layout.stream_index.tolist())) == 1
    (first, second), _ = train(sampler)[0]
    assert (first >= -5).all()
    assert (second <= 5).all()
    quantiles = stats.truncnorm.cdf(first, -4 / 3, 11 / 3, -1, 3)
    np.testing.assert_allclose(stats.truncnorm.cdf(second, -11 / 3, 4 / 3, 1, 3), quantiles, atol=1e-9)


@pytest.mark.parametrize(("low", "high", "least", "most"), [(10, 100, 11, 99), (100, 1000, 110, 999)])
def test_benford_numbers_have_a_leading_digit_and_a_remainder(low: int, high: int, least: int, most: int) -> None:
    inputs, _ = train(make_sampler((make_task(train={"benford": [low, high]}), 0), batch_size=20_000))[0]
    assert (inputs.min().item(), inputs.max().item()) == (least, most)
    assert torch.equal(inputs, inputs.round())
    digit = inputs // 10 ** torch.floor(torch.log10(inputs))
    shares = [(digit == d).float().mean().item() for d in range(1, 10)]
    np.testing.assert_allclose(shares, np.log10(1 + 1 / np.arange(1, 10)), atol=0.01)  # 40,000 draws: 4 deviations


def test_ranges_of_benford_that_draw_other_numbers_do_not_train_together() -> None:
    with pytest.raises(ValueError, match="must have the same"):
        make_sampler((make_task(train=BENFORD), 0), (make_task(train={"benford": [100, 1000]}), 0))


@pytest.mark.parametrize("drawn_from", [TRUNCATED, BENFORD, EXPONENTIAL], ids=lambda value: next(iter(value)))
def test_drawing_ahead_does_not_change_what_is_drawn(drawn_from: Any) -> None:
    at_once = train(make_sampler((make_task(train=drawn_from, **TEN), 3)), batches=3)
    sampler = make_sampler((make_task(train=drawn_from, **TEN), 3))
    for (inputs, targets), (again, targets_again) in zip(
        at_once, [batch for _ in range(3) for batch in train(sampler)], strict=True
    ):
        assert torch.equal(inputs, again)
        assert torch.equal(targets, targets_again)


def test_leading_digits_are_those_that_numpy_chooses() -> None:
    task = make_task(train={"benford": [100, 1000]})
    inputs = torch.cat([inputs for inputs, _ in train(make_sampler((task, 1)), batches=2)], 2)
    rng = np.random.RandomState(parent_draws(task, 1)[1])
    for batch in inputs[0].T.reshape(2, 128, 2):
        digit = rng.choice(10, (128, 2), p=[0, 0.301, 0.176, 0.125, 0.097, 0.079, 0.067, 0.058, 0.051, 0.046])
        assert batch.tolist() == (100 * digit + rng.randint(10, 100, (128, 2))).tolist()
