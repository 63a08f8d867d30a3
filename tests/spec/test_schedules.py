"""Coefficients over the iterations of a run."""

import numpy as np
import pytest
from pydantic import ValidationError

from nalm.spec.schedules import Growth, Term


def value(term: Term, iteration: int) -> float:
    return float(term.values(np.array([iteration]))[0])


def test_a_term_is_constant_by_default() -> None:
    assert value(Term(coefficient=3.0), 12345) == 3.0


@pytest.mark.parametrize(("iteration", "expected"), [(0, 0), (40_000, 0), (45_000, 5), (50_000, 10), (60_000, 10)])
def test_a_ramp_rises_linearly_from_start_to_end(iteration: int, expected: float) -> None:
    assert value(Term(coefficient=10.0, ramp=(40_000, 50_000)), iteration) == expected


def test_an_exponential_schedule_approaches_one() -> None:
    assert value(Term(exponential=1e-5), 100_000) == 1 - np.exp(-1.0)


@pytest.mark.parametrize(
    ("iteration", "expected"),
    [(0, 1e-9), (9_999, 1e-9), (10_000, 1e-8), (19_999, 1e-8), (20_000, 1e-7), (30_000, 1e-7), (50_000, 1e-7)],
)
def test_growth_steps_in_exact_decimals_until_the_end(iteration: int, expected: float) -> None:
    assert value(Term(growth=Growth(start=1e-9, end=1e-7)), iteration) == expected


def test_growth_shrinks_when_the_end_is_below_the_start() -> None:
    growth = Growth(start=10.0, end=0.1, every=5)
    assert growth.values(np.array([0, 5, 10, 15])).tolist() == [10.0, 1.0, 0.1, 0.1]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ramp": [10, 10]}, "0 <= start < end"),
        ({"ramp": [10, 20], "exponential": 1e-5}, "ramp and exponential, expected at most one"),
    ],
)
def test_a_wrong_schedule_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Term.model_validate(fields)
