"""The heat map of solved runs."""

from tests.figures.drawing import drawn, texts

import nalm
from nalm.analysis.results import Results


def test_cells_show_solved_runs_and_all_runs(found: Results) -> None:
    picture = drawn(nalm.success_map(found))
    axes = picture.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["U[1,2)", "negative", "all of these"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["NRU", "NMRU"]  # from below
    assert sorted(text for text in texts(picture) if "/" in text) == sorted(["0/3", "0/3", "0/6", "3/3", "3/3", "6/6"])
