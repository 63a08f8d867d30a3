"""The page of results in a real browser."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from tests.browser import Browser, browser, missing
from tests.execution.processes import wait_until
from tests.reports.labels import EVIL

import nalm

OPEN = "for (const details of document.querySelectorAll('details')) details.open = true"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.fixture
def page(write_yaml: Callable[..., Path], tmp_path: Path) -> Path:
    """Write the page of an experiment whose title and labels contain scripts."""
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


def headers(window: Browser, table: int) -> list[str]:
    found: list[str] = window.run(
        f"return [...document.querySelectorAll('table')[{table}].tHead.rows[0].cells].map(cell => cell.textContent)"
    )
    return found


def test_the_page_has_no_console_messages_and_no_network_requests(window: Browser, page: Path) -> None:
    assert "Results" in window.text()
    window.run(OPEN)
    assert window.run("return document.images.length") == 3
    broken = "[...document.images].filter(image => !image.complete || image.naturalWidth === 0)"
    wait_until(lambda: window.run(f"return {broken}.length") == 0, seconds=10)
    assert window.console() == []
    asked = [address for address in window.requests() if not address.startswith("data:")]
    assert asked == [page.absolute().as_uri()]


def test_scripts_in_labels_stay_text(window: Browser) -> None:
    assert EVIL in window.text()  # an alert would have stopped us
    assert window.run("return document.scripts.length") == 1


def test_tables_sort_by_the_column_that_is_clicked(window: Browser) -> None:
    window.run(OPEN)
    estimates = next(index for index in range(9) if "sparsity error, 95 %" in headers(window, index))
    click = f"document.querySelectorAll('table')[{estimates}].querySelectorAll('th button')[{{}}].click()"
    ranges = sorted(column(window, estimates, 1), key=str.casefold)
    window.run(click.format(1))
    assert column(window, estimates, 1) == ranges
    window.run(click.format(1))
    assert column(window, estimates, 1) == ranges[::-1]
    window.run(click.format(2))
    solved = [Fraction(cell) for cell in column(window, estimates, 2)]
    assert solved == sorted(solved)
    sorted_by = window.run(
        "return [...document.querySelectorAll('th[aria-sort]')].map(h => [h.textContent, h.ariaSort])"
    )
    assert sorted_by == [["solved", "ascending"]]


@pytest.mark.parametrize(
    ("cells", "ordered"),
    [
        (["12,345", "–", "9", "1,000", "-2"], ["-2", "9", "1,000", "12,345", "–"]),
        (["97/225", "20/25", "0/9"], ["0/9", "97/225", "20/25"]),
        (["43.1% [36.8%, 49.6%]", "100.0% [98.3%, 100.0%]", "9.6% [1.0%, 20.0%]"], None),
        (["1.2e-05", "3e-07", "0.5"], ["3e-07", "1.2e-05", "0.5"]),
        (["4,10,12", "1,3", "24"], ["1,3", "4,10,12", "24"]),
        (["x1/x2", "1/x9", "1"], ["1", "1/x9", "x1/x2"]),
    ],
)
def test_numbers_sort_as_numbers_and_everything_else_as_text(
    page: Path, cells: list[str], ordered: list[str] | None
) -> None:
    with browser() as window:
        window.open(page)
        rows = "".join(f"<tr><td>{cell}</td></tr>" for cell in cells)
        window.run(f"document.querySelector('table').tBodies[0].innerHTML = '{rows}'")
        window.run("document.querySelector('table th button').click()")
        assert column(window, 0, 0) == (ordered or sorted(cells, key=lambda cell: float(cell.partition("%")[0])))


def test_nothing_is_wider_than_the_window(window: Browser) -> None:
    window.run(OPEN)
    assert window.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_text_has_enough_contrast_in_light_and_dark_mode(window: Browser) -> None:
    contrast = """
        const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        const brightness = (colour) => {
            const [red, green, blue] = colour.match(/[0-9.]+/g).map(Number).map(channel);
            return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
        };
        const ground = (element) => {
            const colour = getComputedStyle(element).backgroundColor;
            return colour === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : brightness(colour);
        };
        const contrast = (element, part) => {
            const [text, below] = [brightness(getComputedStyle(element, part).color), ground(element)];
            return (Math.max(text, below) + 0.05) / (Math.min(text, below) + 0.05);
        };
        return Math.min(
            ...[...document.querySelectorAll("p, a, td, caption, button, code, h1, h2, h3")].map((e) => contrast(e)),
            ...[...document.querySelectorAll("th button")].map((e) => contrast(e, "::after")),
        );
    """
    grounds = set()
    for scheme in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        window.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        grounds.add(window.run("return getComputedStyle(document.body).backgroundColor"))
        assert window.run(contrast) >= 4.5  # WCAG 2, level AA
    assert len(grounds) == 2
