"""The figure of two variants on the same seeds."""

from tests.figures.drawing import dots_of, drawn, texts

import nalm
from nalm.analysis.results import Results


def test_pairs_show_counts_differences_and_p_values(found: Results) -> None:
    picture = drawn(nalm.paired_success(found))
    shown = texts(picture)
    assert {"NMRU only", "NRU only", "both", "neither", "NMRU (first) and NRU (second)"} <= set(shown)
    assert [text for text in shown if text in ("3", "6")] == ["3", "3", "6"]
    assert [text for text in shown if text.startswith("p ")] == ["p = 0.25", "p = 0.25", "p = 0.031"]
    assert sorted(x for x, _ in dots_of(picture.axes[1])) == [-1, -1, -1]
    other = texts(drawn(nalm.paired_success(found, ["NRU", "NMRU"], ["negative"])))
    assert "NRU (first) and NMRU (second)" in other
    assert "U[1,2)" not in other
