"""The look of all figures."""

from pathlib import Path

import pandas as pd
import pytest

from nalm.figures.saving import save
from nalm.figures.style import COLOURS, LINES, columns_of_panels, page, plotnine, theme


def test_pages_grow_with_their_panels_and_panels_shrink() -> None:
    sizes = [page(1, columns)[0] / columns for columns in range(1, 12)]
    assert sizes == sorted(sizes, reverse=True)
    assert [columns_of_panels(panels, 5) for panels in range(1, 12)] == [1, 2, 3, 4, 5, 3, 4, 4, 5, 5, 4]


def test_more_variants_than_colours_have_other_lines() -> None:
    assert len({(COLOURS[i % len(COLOURS)], LINES[i % len(LINES)]) for i in range(40)}) == 40


@pytest.mark.parametrize("label", [r"$\foo{$", "$x$ and $y$", r"\$5"])
def test_text_is_text_and_no_formula(label: str, tmp_path: Path) -> None:
    p9 = plotnine()
    table = pd.DataFrame({"x": [1, 2], "y": [1, 2], "label": [label, "b"]})
    figure = p9.ggplot(table, p9.aes("x", "y", colour="label")) + p9.geom_point() + p9.facet_wrap("label") + theme()
    save(figure, tmp_path / "text.svg")
    assert (tmp_path / "text.svg").stat().st_size
