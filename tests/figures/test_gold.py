"""Figure 5: what it shows, and what is written."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

import nalm
from nalm.errors import NalmError
from nalm.figures.gold import gold_error_figure, reproduce_gold_errors

PANELS = ["Input: [a]; Output: 1/a", "Input: [a,b]; Output: 1/a", "Input: [a,b]; Output: a/b"]
MODULES = ["RealNPU", "RealNPU (eps=0)", "NRU", "NMRU"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return nalm.gold_errors()


@pytest.fixture(scope="module")
def picture(frame: pd.DataFrame) -> Figure:
    drawn = gold_error_figure(frame).draw()
    drawn.canvas.draw()
    plt.close(drawn)
    return drawn


def texts(picture: Figure) -> list[str]:
    return [text.get_text() for text in picture.findobj(Text) if isinstance(text, Text) and text.get_text()]


def heights(axes: Axes) -> list[float]:
    dots = [collection for collection in axes.collections if isinstance(collection, PathCollection)]
    return [float(point[1]) for points in dots for point in np.asarray(points.get_offsets())]


def test_panels_and_modules_are_named_and_ordered_as_in_the_paper(picture: Figure) -> None:
    shown = texts(picture)
    assert [text for text in shown if text in PANELS] == PANELS
    assert [text for text in shown if text in MODULES] == MODULES
    assert {"Data sample range", "Test error (log scale)"} <= set(shown)
    assert "module" not in shown


def test_ranges_stand_in_the_order_of_their_size(picture: Figure) -> None:
    for axes in picture.axes:
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels == [f"U[0,1e{exponent})" for exponent in (-8, -7, -6, -5, -4, -3, -2, -1, "+0")]


def test_every_error_is_drawn_at_its_logarithm(picture: Figure, frame: pd.DataFrame) -> None:
    for axes, task in zip(picture.axes, ("easy", "medium", "hard"), strict=True):
        logarithms = [math.log10(error) for error in frame[frame["task"] == task]["error"]]
        assert sorted(heights(axes)) == pytest.approx(sorted(logarithms))
        low, high = axes.get_ylim()
        assert low < min(logarithms)
        assert high > max(logarithms)


def test_the_figure_and_its_numbers_are_written(tmp_path: Path, frame: pd.DataFrame) -> None:
    files = reproduce_gold_errors(tmp_path / "new" / "results")
    assert files == [tmp_path / "new" / "results" / f"figure-5.{suffix}" for suffix in ("csv", "pdf", "png")]
    table, pdf, png = files
    pd.testing.assert_frame_equal(pd.read_csv(table), frame, rtol=1e-12)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NalmError, match=r"^cannot write .*file/results/figure-5.csv: Not a directory$"):
        reproduce_gold_errors(tmp_path / "file" / "results")
