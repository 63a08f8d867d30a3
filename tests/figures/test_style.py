"""The look of all figures."""

from nalm.figures.style import COLOURS, LINES, columns_of_panels, page


def test_pages_grow_with_their_panels_and_panels_shrink() -> None:
    sizes = [page(1, columns)[0] / columns for columns in range(1, 12)]
    assert sizes == sorted(sizes, reverse=True)
    assert [columns_of_panels(panels, 5) for panels in range(1, 12)] == [1, 2, 3, 4, 5, 3, 4, 4, 5, 5, 4]


def test_more_variants_than_colours_have_other_lines() -> None:
    assert len({(COLOURS[i % len(COLOURS)], LINES[i % len(LINES)]) for i in range(40)}) == 40
