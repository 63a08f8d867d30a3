"""The three panels: their content and its order."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from plotnine import ggplot
from tests.figures.drawing import dots_of, drawn, texts

import nalm
from nalm.analysis.results import Results
from nalm.errors import NalmError
from nalm.figures.panels import PANELS, three_panels
from nalm.figures.saving import save
from nalm.figures.style import COLOURS, SHAPES, task_axis

VARIANTS = ["Real NPU (modified)", "NRU", "NMRU"]
TASKS = ["U[-20,-10)", "U[-2,2)", "U[0.1,0.2)", "U[10,20)"]
SIGNATURES = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}


@pytest.fixture
def table() -> pd.DataFrame:
    frame = pd.DataFrame([(variant, task) for variant in VARIANTS for task in TASKS], columns=["variant", "task"])
    values = np.linspace(0.1, 0.5, len(frame))
    for (value, low, high), scale in zip(PANELS.values(), (1, 50_000, 1e-3), strict=True):
        frame[value], frame[low], frame[high] = values * scale, values * scale * 0.9, values * scale * 1.2
    return frame


@pytest.fixture
def figure(table: pd.DataFrame) -> ggplot:
    return three_panels(table, title="Division")


def positions_of(axes: Axes) -> list[float]:
    return [round(x, 6) for x, _ in dots_of(axes)]


def test_the_axis_says_whether_tasks_are_ranges() -> None:
    assert task_axis(["U[1,2)", "negative"]) == "Interpolation range"
    assert task_axis(["add", "sub"]) == "Task"


def test_there_are_three_panels_named_as_in_the_paper(figure: ggplot) -> None:
    picture = drawn(figure)
    assert len(picture.axes) == 3
    shown = texts(picture)
    assert [text for text in shown if text in PANELS] == ["Success rate", "Solved at iteration step", "Sparsity error"]
    assert {"Division", "Interpolation range", *VARIANTS} <= set(shown)
    assert not {"variant", "value", "edge"} & set(shown)


def test_variants_and_tasks_keep_the_order_in_which_they_come(figure: ggplot) -> None:
    picture = drawn(figure)
    for axes in picture.axes:
        assert [label.get_text() for label in axes.get_xticklabels()] == TASKS
    assert [text for text in texts(picture) if text in VARIANTS] == VARIANTS


def test_a_table_of_categories_is_drawn_in_the_order_of_its_rows(table: pd.DataFrame) -> None:
    alphabetical = table.astype({"variant": "category", "task": "category"})
    picture = drawn(three_panels(alphabetical))
    assert [label.get_text() for label in picture.axes[0].get_xticklabels()] == TASKS
    assert [text for text in texts(picture) if text in VARIANTS] == VARIANTS


def test_every_axis_starts_at_zero_and_the_rate_reaches_one(figure: ggplot) -> None:
    limits = [axes.get_ylim() for axes in drawn(figure).axes]
    for low, high in limits:
        assert -0.06 * high < low <= 0
    assert 1 <= limits[0][1] < 1.1
    assert limits[1][1] > 10_000
    assert limits[2][1] < 1e-3


def test_a_panel_in_which_everything_is_0_starts_at_0_too(table: pd.DataFrame) -> None:
    table[list(PANELS["Sparsity error"])] = 0.0
    low, high = drawn(three_panels(table)).axes[2].get_ylim()
    assert -0.06 * high < low <= 0
    assert high >= 1


def test_every_variant_and_task_has_a_point(figure: ggplot) -> None:
    assert [len(positions_of(axes)) for axes in drawn(figure).axes] == [12, 12, 12]


def test_missing_values_are_not_drawn_and_the_rest_is(table: pd.DataFrame) -> None:
    unsolved = [column for columns in list(PANELS.values())[1:] for column in columns]
    table.loc[[0, 5], unsolved] = np.nan
    table.loc[1, ["iterations_low", "iterations_high"]] = np.nan  # one run: a value without an interval
    assert [len(positions_of(axes)) for axes in drawn(three_panels(table)).axes] == [12, 10, 10]


def test_a_missing_point_does_not_move_its_neighbours(table: pd.DataFrame) -> None:
    whole = set(positions_of(drawn(three_panels(table)).axes[1]))
    table.loc[0, list(PANELS["Solved at iteration step"])] = np.nan
    rest = set(positions_of(drawn(three_panels(table)).axes[1]))
    assert rest < whole
    assert len(whole - rest) == 1


def test_a_figure_without_any_solved_run_is_drawn(table: pd.DataFrame, tmp_path: Path) -> None:
    table[[column for columns in list(PANELS.values())[1:] for column in columns]] = np.nan
    figure = three_panels(table)
    assert [axes.get_ylim()[0] > -0.1 for axes in drawn(figure).axes] == [True] * 3
    save(figure, tmp_path / "unsolved.png")


def test_more_variants_than_colours_still_differ(table: pd.DataFrame) -> None:
    assert len({(COLOURS[i % len(COLOURS)], SHAPES[i % len(SHAPES)]) for i in range(72)}) == 72
    many = pd.concat([table.assign(variant=f"variant {i}") for i in range(10)])
    assert "variant 9" in texts(drawn(three_panels(many)))


def test_a_missing_column_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(NalmError, match=r"lacks sparsity_low: found variant, task, success_rate"):
        three_panels(table.drop(columns="sparsity_low"))


def test_a_table_without_rows_is_refused(table: pd.DataFrame) -> None:
    with pytest.raises(NalmError, match="has no rows"):
        three_panels(table.head(0))


def test_without_plotnine_the_error_says_what_to_install(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotnine", None)
    with pytest.raises(NalmError, match=r"^figures need plotnine: pip install 'nalm\[figures\]'$"):
        three_panels(table)


def test_panels_show_only_the_chosen_variants_and_tasks(found: Results) -> None:
    shown = texts(drawn(nalm.summary_panels(found, ["NRU"], ["negative"])))
    assert {"NRU", "negative"} <= set(shown)
    assert not {"NMRU", "U[1,2)"} & set(shown)
