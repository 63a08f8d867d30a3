"""Saving figures as files."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from plotnine import ggplot

from nalm.errors import NalmError
from nalm.figures.saving import save
from nalm.figures.style import plotnine

SIGNATURES = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}


@pytest.fixture
def figure() -> ggplot:
    p9 = plotnine()
    plot: ggplot = p9.ggplot(pd.DataFrame({"x": [1, 2], "y": [3, 4]}), p9.aes("x", "y")) + p9.geom_point()
    return plot


@pytest.mark.parametrize("suffix", [".pdf", ".png", ".svg", ".PNG"])
def test_a_figure_is_saved_silently_in_the_format_of_its_suffix(
    figure: ggplot, tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"figure{suffix}"
    save(figure, path)
    assert path.read_bytes().startswith(SIGNATURES[suffix.lower()])
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "found"), [("figure.bmp", "'.bmp'"), ("figure", "'no suffix'")])
def test_another_format_is_refused(figure: ggplot, tmp_path: Path, name: str, found: str) -> None:
    with pytest.raises(NalmError, match=rf"\.pdf, \.png, \.svg: found {found}"):
        save(figure, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["plotnine", "matplotlib"])
def test_a_failure_leaves_the_old_figure_and_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: ggplot, library: str
) -> None:
    path = tmp_path / "figure.svg"
    path.write_text("old")

    def fail(self: object, fname: Path, **options: object) -> None:
        fname.write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(NalmError, match=r"cannot write .*no space left"):
        save(figure if library == "plotnine" else Figure(), path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"
