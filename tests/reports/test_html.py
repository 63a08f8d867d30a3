"""The page of results as one HTML file."""

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.reports.labels import EVIL

import nalm
from nalm.experiments.experiment import Experiment
from nalm.experiments.seeds import parse_seeds


class Page(HTMLParser):
    """Content of a page: its text, its tags with their attributes, and its tables as rows of cells."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.tables: list[list[list[str]]] = []
        self._in_cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._in_cell:
            self.tables[-1][-1][-1] += data.strip()

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, header: str) -> list[list[str]]:
        """The rows of the first table that has this header."""
        return next(rows for headers, *rows in self.tables if header in headers)


@pytest.fixture
def page(results: Path, tmp_path: Path) -> Page:
    (path,) = nalm.report(results, tmp_path / "out.html")
    return Page(path)


def test_the_page_is_one_file_that_loads_nothing_else(results: Path, tmp_path: Path) -> None:
    (path,) = nalm.report(results, tmp_path / "report.html")
    addresses = re.findall(r"""(?:src|href)=["']([^"']*)""", path.read_text(encoding="utf-8"))
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "http" not in re.sub(r"data:[^\"]*", "", path.read_text(encoding="utf-8")).replace("http-equiv", "")
    assert sorted(item.name for item in tmp_path.iterdir() if item.name != "results") == ["report.html"]


def test_its_tables_agree_with_the_summary(results: Path, page: Page) -> None:
    summary = nalm.load(results).summary()
    rows = page.table("sparsity error, 95 %")
    assert [row[0] for row in rows] == summary["variant"].tolist()
    assert [row[2] for row in rows] == [f"{row.solved}/{row.runs}" for row in summary.itertuples()]


def test_every_failed_run_is_listed_with_its_expression(results: Path, page: Page) -> None:
    failed = nalm.load(results).runs().query("not solved")
    rows = page.table("learnt instead")
    assert sum(int(row[4]) for row in rows) == len(failed) > 0
    for variant, task, learnt, seeds, _, _ in rows:
        for seed in parse_seeds(seeds):
            assert ((failed["variant"] == variant) & (failed["task"] == task) & (failed["seed"] == seed)).sum() == 1
            assert nalm.load(results).run(variant, task, seed).description()["expression"] == learnt


def test_it_shows_recipes_and_tasks(page: Page) -> None:
    assert [row[:3] for row in page.table("recipe")] == [["NMRU", "NMRU", "20"], ["NRU", "NRU", "20"]]
    assert page.table("tested on") == [
        ["U[1,2)", "div", "2", "U[1,2)", "U[2,6)", "1e-05"],
        ["negative", "div", "2", "U[-2,-1)", "U[-6,-2)", "1e-05"],
    ]


def test_of_many_failed_runs_only_some_expressions_are_computed(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nalm.reports.failures.MOST_EXPRESSIONS", 1)
    rows = Page(nalm.report(results, tmp_path / "out.html")[0]).table("learnt instead")
    places = {(row[0], row[1]) for row in rows}
    assert {
        place: sum((row[0], row[1]) == place and row[2] != "…" for row in rows) for place in places
    } == dict.fromkeys(places, 1)
    assert any(row[2] == "…" for row in rows)


def test_it_shows_the_provenance_of_results(results: Path, page: Page) -> None:
    about = dict(page.table("found"))
    provenance = nalm.load(results).trained[0].provenance
    assert about["torch"] == provenance["versions"]["torch"]
    assert about["host"] == provenance["host"]
    assert about["shards"] == "2"


def test_a_page_is_accessible_to_screen_readers(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)] == ["h1", "h2"] + ["h3"] * 5
    pictures = page.all("img")
    assert len(pictures) == 3
    assert all((picture["alt"] or "").startswith("Tiny: ") for picture in pictures)
    assert "nalm report" in page.text[page.text.index("This page: ") + 1]
    assert len(page.all("code")) == 2
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(header["scope"] == "col" for header in page.all("th"))
    assert page.all("meta")[1]["content"] == "width=device-width, initial-scale=1"


def test_links_lead_somewhere(page: Page) -> None:
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [link["href"] or "" for link in page.all("a")]
    assert links == ["#tiny"]
    assert {link.removeprefix("#") for link in links} <= anchors


def test_labels_and_titles_stay_text(write_yaml: Callable[..., Path], tmp_path: Path) -> None:
    variants = f'variants: [{{label: "{EVIL}", recipe: {{base: nmru}}}}]'
    path = write_yaml(title=f'title: "{EVIL} & `{EVIL}`"', variants=variants)
    nalm.run(str(path), tmp_path / "results", workers=0, compiled=False)
    page = Page(nalm.report(tmp_path / "results", tmp_path / "report.html")[0])
    assert len(page.all("script")) == 1
    assert any(EVIL in row[0] for row in page.table("median iteration"))
    assert sum(EVIL in text for text in page.text) >= 2


def test_several_directories_are_one_page(results: Path, tiny_experiment: Experiment, tmp_path: Path) -> None:
    more = nalm.run(tiny_experiment.narrowed([7]), tmp_path / "more", workers=0, compiled=False).path
    page = Page(nalm.report([results, more], tmp_path / "report.html")[0])
    assert [link["href"] for link in page.all("a")] == ["#tiny", "#1-tiny"]
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers)) == 4
    assert any(str(more) in text for text in page.text)


def test_computed_figures_are_those_of_their_own_directory(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(results, other)
    for number, directory in enumerate((results, other)):
        (directory / "figure-9.png").write_bytes(bytes([number]))
    page = Page(nalm.report([results, other], tmp_path / "report.html")[0])
    drawn = [picture["src"] for picture in page.all("img") if "landscape" in (picture["alt"] or "").lower()]
    assert drawn == ["data:image/png;base64,AA==", "data:image/png;base64,AQ=="]


def test_sections_are_announced(results: Path, tmp_path: Path) -> None:
    told: list[str] = []
    nalm.report(results, tmp_path / "report.html", on_section=told.append)
    assert told == ["tiny"]
