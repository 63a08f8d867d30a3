"""Pages of loss landscapes: their marks, their cuts, and their files."""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

import nalm
from nalm.errors import NalmError
from nalm.figures.landscapes.pages import draw_landscapes, plot_landscapes, reproduce_landscapes
from nalm.figures.landscapes.table import TARGETS, landscapes

SIGNATURES = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(): axes for part in figure.subfigs for axes in part.axes if axes.get_title()}


def lines(axes: Axes, label: str) -> list[tuple[list[float], list[float]]]:
    return [
        (np.asarray(line.get_xdata(), dtype=float).tolist(), np.asarray(line.get_ydata(), dtype=float).tolist())
        for line in axes.lines
        if str(line.get_label()).startswith(label)
    ]


def ends(axes: Axes, label: str) -> list[tuple[float, float]]:
    """Return the ends of the lines along w1 = 0."""
    found = lines(axes, label)
    assert all(set(w1) == {0.0} for w1, _ in found)
    return [(min(w2), max(w2)) for _, w2 in found]


@pytest.fixture(scope="module")
def products() -> dict[str, Axes]:
    return panels(draw_landscapes(landscapes()))


@pytest.fixture(scope="module")
def quotients() -> dict[str, Axes]:
    return panels(draw_landscapes(landscapes(target="quotient")))


def test_every_module_has_a_panel_that_names_its_fixed_parameters(
    products: dict[str, Axes], quotients: dict[str, Axes]
) -> None:
    titles = [
        "NAC-mul",
        "NMU",
        "NRU, |w| (evaluation)",
        "NRU, tanh (training)",
        "NPU, imaginary exponents 1",
        "Real NPU, gates 0.5",
        "NMRU",
    ]
    assert list(products) == titles
    assert list(quotients) == [title for title in titles if title != "NMU"]
    for axes in products.values():
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("w1", "w2")


def test_singular_lines_are_where_results_or_gradients_grow_without_bound(
    products: dict[str, Axes], quotients: dict[str, Axes]
) -> None:
    assert ends(products["NAC-mul"], "result →") == [(-1, 0)]
    assert ends(products["NAC-mul"], "result bounded") == [(0, 0.5)]
    assert ends(products["NRU, |w| (evaluation)"], "result bounded") == [(0, 0.99)]
    assert ends(quotients["NMRU"], "result →") == [(-1, 0), (0, 0.99)]
    assert ends(quotients["NAC-mul"], "result bounded") == [(-1, 0), (0, 0.99)]
    for name in ("NMU", "Real NPU, gates 0.5"):
        assert not lines(products[name], "result")


def test_the_plateau_of_an_nru_is_marked(products: dict[str, Axes]) -> None:
    for name, axes in products.items():
        flat = lines(axes, "gradient is 0")
        assert bool(flat) == name.startswith("NRU")
        for w1, w2 in flat:
            assert (min(w1), max(w1), set(w2)) == (-1, 0.99, {0.0})


def test_stars_stand_at_gold_weights(products: dict[str, Axes]) -> None:
    gold = {name: lines(axes, "gold") for name, axes in products.items()}
    assert gold["NMRU"] == gold["NMU"] == [([-1], [1]), ([1], [1])]
    assert gold["Real NPU, gates 0.5"] == gold["NPU, imaginary exponents 1"] == []


def test_kinds_of_lines_differ_without_colours(products: dict[str, Axes]) -> None:
    axes = products["NRU, |w| (evaluation)"]
    marks = [line for line in axes.lines if line.get_marker() == "None"]
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in marks}) == 3  # type: ignore[attr-defined]


def test_losses_above_the_scale_are_hatched(products: dict[str, Axes]) -> None:
    def hatched(axes: Axes) -> bool:
        return any(isinstance(drawn, QuadContourSet) and any(drawn.hatches) for drawn in axes.collections)

    assert hatched(products["NAC-mul"])
    assert not hatched(products["NMU"])


def test_levels_are_in_equal_ratios_up_to_the_cut(products: dict[str, Axes]) -> None:
    levels = products["NMU"].collections[0].levels  # type: ignore[attr-defined]
    assert (levels[0], levels[-1]) == pytest.approx((0.3, 30))
    assert np.ptp(levels[1:] / levels[:-1]) < 1e-9


def test_nothing_is_drawn_outside_the_domain_of_a_module() -> None:
    contour: Any = panels(draw_landscapes(landscapes(["NMU"]), "contour"))["NMU"]
    assert contour.collections[0].get_datalim(contour.transData).ymin == 0
    surface: Any = panels(draw_landscapes(landscapes(["NMU"]), "surface"))["NMU"]
    assert surface.xy_dataLim.intervaly.tolist() == [0, 1]


def test_a_surface_is_cut_and_seen_as_in_the_original() -> None:
    axes: Any = panels(draw_landscapes(landscapes(["NACMul"]), "surface"))["NAC-mul"]
    assert (axes.elev, axes.azim) == (45, -45)
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()) == ("w1", "w2", "loss")
    low, high = axes.zz_dataLim.intervalx
    assert 0 <= low < 1
    assert high == 30
    (facets,) = axes.collections
    grey = matplotlib.colors.to_rgba("0.85")
    assert any(np.allclose(colour, grey) for colour in facets.get_facecolor())


def test_targets_stand_below_each_other_with_modules_in_the_same_places() -> None:
    table = pd.concat([landscapes(["NACMul", "NMU"]), landscapes(["NACMul"], "quotient")])
    figure = draw_landscapes(table)

    def place(axes: Axes) -> int:
        spec = axes.get_subplotspec()
        assert spec is not None
        return spec.num1

    above, below = ({axes.get_title(): axes for axes in part.axes} for part in figure.subfigs)
    for name in ("NAC-mul", "NMU"):
        assert place(above[name]) == place(below[name])
    assert [text.get_text() for text in below["NMU"].texts] == ["computes no quotient"]


@pytest.mark.parametrize("kind", ["contour", "surface"])
@pytest.mark.parametrize("modules", [["NMU"], ["NACMul", "NMRU"], []])
def test_the_legend_fits_on_the_page(kind: str, modules: list[str]) -> None:
    figure = draw_landscapes(landscapes(modules), kind)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("contour", ".svg"),
        ("surface", ".png"),
        pytest.param("contour", ".pdf", marks=pytest.mark.slow),
        pytest.param("contour", ".png", marks=pytest.mark.slow),
        pytest.param("surface", ".pdf", marks=pytest.mark.slow),
        pytest.param("surface", ".svg", marks=pytest.mark.slow),
    ],
)
def test_landscapes_are_saved_silently_in_the_format_of_the_suffix(
    tmp_path: Path, kind: str, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"landscape{suffix}"
    plot_landscapes(path, ["NMRU"], target="quotient", kind=kind, epsilon=1e-7)
    assert path.read_bytes().startswith(SIGNATURES[suffix])
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


def test_figure_9_is_a_table_and_two_pages(tmp_path: Path) -> None:
    files = reproduce_landscapes(tmp_path / "new")
    names = [
        "figure-9.csv",
        *(f"figure-9-{kind}.{suffix}" for kind in ("contour", "surface") for suffix in ("pdf", "png")),
    ]
    assert [path.name for path in files] == names
    assert sorted((tmp_path / "new").iterdir()) == sorted(files)
    for path in files[1:]:
        assert path.read_bytes().startswith(SIGNATURES[path.suffix])
        assert path.stat().st_size < 5e6
    table = pd.read_csv(files[0])
    assert len(table) == 13 * 20 * 20
    assert sorted(set(table["w2"])) == [index / 10 for index in range(-10, 10)]
    whole = pd.concat([landscapes(target=target) for target in TARGETS])
    both = table.merge(whole, on=["module", "target", "w1", "w2"], suffixes=("", "_whole"))
    assert len(both) == len(table)
    np.testing.assert_allclose(both["loss"], both["loss_whole"], rtol=1e-12)


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NalmError, match=r"cannot write .*figure-9\.csv"):
        reproduce_landscapes(tmp_path / "file" / "results")


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NalmError, match=r"^found unknown kind 'map', expected one of: contour, surface$"):
        nalm.plot_landscapes(tmp_path / "landscape.png", kind="map")
    assert list(tmp_path.iterdir()) == []


def test_without_plotting_libraries_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotnine", None)
    with pytest.raises(NalmError, match=r"^figures need plotnine: pip install 'nalm\[figures\]'$"):
        reproduce_landscapes(tmp_path)
    assert list(tmp_path.iterdir()) == []
