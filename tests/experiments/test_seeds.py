"""Parsing and formatting of lists of seeds."""

import pytest
from hypothesis import given, strategies as st

from nalm.errors import NalmError
from nalm.experiments.seeds import parse_seeds, show_seeds


@given(st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=30))
def test_seeds_that_are_shown_are_read_again(seeds: set[int]) -> None:
    assert parse_seeds(show_seeds(list(seeds))) == tuple(sorted(seeds))


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", [7]), ("0-3", [0, 1, 2, 3]), ("4,0-2", [4, 0, 1, 2]), ("0-2,1-3,2", [0, 1, 2, 3]), (" 1 , 3 ", [1, 3])],
)
def test_seeds_are_numbers_and_ranges_each_once(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == tuple(seeds)


@pytest.mark.parametrize(
    "text", ["", "a", "0-", "-1", "1,,2", "0.5", "1-2-3", "4294967296", "5-2", "0-2000000", "9" * 5000]
)
def test_other_seeds_are_refused_and_named(text: str) -> None:
    part = text.partition(",")[0][:60]
    with pytest.raises(NalmError, match=rf"^found seeds '{part}.*', expected "):
        parse_seeds(text)
