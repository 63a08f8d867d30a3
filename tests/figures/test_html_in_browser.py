"""The page of results in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.browser import Browser, browser, missing
from tests.figures.test_html import EVIL

import nalm

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.fixture
def page(write_yaml: Callable[..., Path], tmp_path: Path) -> Path:
    """Of an experiment whose title and one of whose labels are no friends of ours."""
    variants = f'variants: [{{label: "{EVIL}", recipe: {{base: nmru}}}}, {{label: NRU, recipe: {{base: nru}}}}]'
    ranges = "ranges: [{train: [1, 2], test: [2, 6]}, {train: [-2, -1], test: [-6, -2]}]"
    experiment = write_yaml(title=f'title: "{EVIL}"', variants=variants, ranges=ranges, seeds="seeds: 0-2")
    nalm.run(str(experiment), tmp_path / "results", workers=0, compiled=False)
    (path,) = nalm.report(tmp_path / "results", tmp_path / "report.html")
    return path


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def window(request: pytest.FixtureRequest, page: Path) -> Iterator[Browser]:
    with browser() as opened:
        opened.resize(*request.param)
        opened.open(page)
        yield opened


def column(window: Browser, table: int, index: int) -> list[str]:
    rows = f"[...document.querySelectorAll('table')[{table}].tBodies[0].rows]"
    cells: list[str] = window.run(f"return {rows}.map(row => row.cells[{index}].textContent)")
    return cells


def test_the_page_has_nothing_to_complain_about_and_asks_the_network_for_nothing(window: Browser, page: Path) -> None:
    assert "Results" in window.text()
    assert window.console() == []
    asked = [address for address in window.requests() if not address.startswith("data:")]
    assert asked == [page.absolute().as_uri()]
    broken = "return [...document.images].filter(image => !image.complete || image.naturalWidth === 0).length"
    window.run("for (const details of document.querySelectorAll('details')) details.open = true")
    assert window.run(broken) == 0


def test_what_looks_like_a_script_stays_text(window: Browser) -> None:
    assert EVIL in window.text()  # an alert would have stopped us
    assert window.run("return document.scripts.length") == 1


def test_tables_sort_by_the_column_that_is_clicked(window: Browser) -> None:
    window.run("for (const details of document.querySelectorAll('details')) details.open = true")
    click = "document.querySelectorAll('table')[2].querySelectorAll('th button')[{}].click()"
    ranges = sorted(column(window, 2, 1), key=str.casefold)
    window.run(click.format(1))
    assert column(window, 2, 1) == ranges
    window.run(click.format(1))
    assert column(window, 2, 1) == ranges[::-1]
    window.run(click.format(2))
    solved = [int(cell.partition("/")[0]) for cell in column(window, 2, 2)]
    assert solved == sorted(solved)
    headers = "[...document.querySelectorAll('th[aria-sort]')]"
    assert window.run(f"return {headers}.map(header => [header.textContent, header.ariaSort])") == [
        ["solved", "ascending"]
    ]


def test_nothing_is_wider_than_the_window(window: Browser) -> None:
    window.run("for (const details of document.querySelectorAll('details')) details.open = true")
    assert window.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_text_can_be_read_by_day_and_by_night(window: Browser) -> None:
    contrast = """
        const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        const brightness = (colour) => {
            const [red, green, blue] = colour.match(/[0-9.]+/g).map(Number).map(channel);
            return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        };
        const ground = brightness(getComputedStyle(document.body).backgroundColor);
        return Math.min(...[...document.querySelectorAll('body, a, caption, button, code')].map((element) => {
            const text = brightness(getComputedStyle(element).color);
            return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
        }));
    """
    grounds = set()
    for scheme in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        grounds.add(window.run("return getComputedStyle(document.body).backgroundColor"))
        assert window.run(contrast) >= 4.5  # WCAG 2, level AA
    assert len(grounds) == 2
