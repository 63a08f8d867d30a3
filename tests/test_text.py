"""Texts of any kind go out so that a terminal, a spreadsheet, a browser and an XML reader show them as text."""

import csv
import io
import json
import math
import re
import sys
from pathlib import Path
from xml.dom import minidom

import pandas as pd
import pytest
from hypothesis import given, strategies as st

import nalm
from nalm.text import UNSAFE, csv_cell, csv_table, json_text, markdown, markdown_cell, one_line, visible
from tests.fixture_types import Cli

NASTY = "\x1b]0;title\a \0 \x9b31m \ufffe \u202e <script>alert(1)</script> | ` [a](javascript:b)"
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\x1b\0\x9b\ufffe\ud800\u202e<>&|`\\[]()=+-@\n\t\r'\"")))


@given(TEXTS)
def test_nothing_that_commands_a_terminal_is_left(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert not UNSAFE.search(shown)
    assert visible(shown) == shown
    assert "\n" not in one_line(text)
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in one_line(text))


@given(TEXTS.filter(lambda text: not UNSAFE.search(text)))
def test_everyday_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_labels_of_the_catalog_stay_as_they_are() -> None:
    for name in nalm.experiment_names():
        experiment = nalm.load_experiment(name)
        for label in (experiment.title, *experiment.variants, *experiment.tasks):
            assert one_line(label) == label
            assert csv_cell(label) == label


@given(st.recursive(TEXTS, lambda values: st.lists(values) | st.dictionaries(TEXTS, values)))
def test_json_means_what_it_meant(value: object) -> None:
    written = json_text(json.dumps(value, ensure_ascii=False))
    written.encode()
    assert not UNSAFE.search(written)
    assert json.dumps(json.loads(written)) == json.dumps(value)


@pytest.mark.parametrize("formula", ["=cmd()|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\n=1", "＝1"])
def test_a_spreadsheet_calculates_nothing(formula: str) -> None:
    assert csv_cell(formula) == f"'{formula}"


@pytest.mark.parametrize("value", ["-1.5", "+3", "-1e-300", "-inf", -1.5, 0, None, "U[-2,-1)", "a=b", "", " x"])
def test_numbers_and_everyday_cells_are_not_spoilt(value: object) -> None:
    assert csv_cell(value) == value


def test_a_table_has_its_numbers_and_harmless_texts() -> None:
    table = pd.DataFrame({"=a": ["=1", None, "b"], "n": [-1.5, math.nan, 2.0], "i": pd.array([-1, None, 3], "Int64")})
    file = io.StringIO(csv_table(table).to_csv(index=False))
    assert list(csv.reader(file)) == [["'=a", "n", "i"], ["'=1", "-1.5", "-1"], ["", "", ""], ["b", "2.0", "3"]]
    categories = csv_table(table.astype({"=a": "category"}))
    assert list(categories["'=a"].dropna()) == ["'=1", "b"]


@given(TEXTS)
def test_markdown_has_no_tags_links_lines_or_cells_of_its_own(text: str) -> None:
    cell = markdown_cell(text)
    assert "\n" not in cell
    assert not re.search(r"(?<!\\)\|", cell.replace("\\\\", ""))
    code = re.findall(r"(?<!`)`(?!`)[^`]+(?<!`)`(?!`)", cell)
    outside = re.sub(r"(?<!`)`(?!`)[^`]+(?<!`)`(?!`)", "", cell)
    assert "<" not in outside
    assert not re.search(r"(?<!\\)\][(\[:]", outside.replace("\\\\", ""))
    assert all("\n" not in part for part in code)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("`nalm run` a_b", "`nalm run` a_b"),
        ("U[1,2)", "U[1,2)"),
        ("p < 0.05 & x", "p &lt; 0.05 &amp; x"),
        ("\\`<b>`", "\\\\`<b>`"),  # the backslash is text, so the backtick begins code
        ("```<script>``", "```&lt;script>``"),  # no code for a reader of Markdown
        ("![x](http://track.er)", "![x\\](http://track.er)"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, written: str) -> None:
    assert markdown(text) == written


@pytest.fixture
def nasty(tmp_path: Path, nalm_cli: Cli) -> Path:
    """Results of an experiment whose labels are as bad as a file can make them."""
    label = json.dumps(NASTY)
    path = tmp_path / "nasty.yaml"
    path.write_text(
        f"title: {label}\ntask: {{operation: div}}\n"
        'ranges:\n- {train: [1, 2], test: [2, 6], label: "=a|\\nb"}\n'
        f"- {{train: [1, 3], test: [3, 6], label: {label}}}\n"
        "seeds: 0-1\nrecipe: {iterations: 2, evaluate_every: 1}\n"
        f'variants: [{{label: {label}, recipe: {{base: nmru}}}}, {{label: "$\\\\foo{{$", recipe: {{base: nru}}}}]\n'
    )
    assert nalm_cli("run", path, "--out", "results", "--no-compile", "--workers", 0).returncode == 0
    return tmp_path / "results"


def test_every_output_shows_nasty_labels_as_text(nasty: Path, nalm_cli: Cli, tmp_path: Path) -> None:
    shown = r"\x1b]0;title\x07 \x00 \x9b31m \ufffe \u202e <script>alert(1)</script> |"
    printed = nalm_cli("summary", nasty)
    assert shown in printed.stdout
    assert r"=a|\nb" in printed.stdout
    for command in ("summary", "runs"):
        table = nalm_cli(command, nasty, "--csv").stdout
        assert {"'=a|\nb"} < set(pd.read_csv(io.StringIO(table))["task"].dropna())
        assert not UNSAFE.search(table)
    tidy = nalm_cli("export", nasty, "--csv").stdout
    assert not UNSAFE.search(tidy)
    assert "'=a|\nb" in {row["task"] for row in csv.DictReader(io.StringIO(tidy))}
    variants = {row["variant"] for row in json.loads(nalm_cli("runs", nasty, "--json").stdout)}
    assert NASTY in variants
    assert not UNSAFE.search(nalm_cli("runs", nasty, "--json").stdout)
    for suffix in ("svg", "png"):
        assert nalm_cli("plot", nasty, "-o", f"x.{suffix}").stderr == f"drew x.{suffix}\n"
    minidom.parse(str(tmp_path / "x.svg"))


def test_reports_show_nasty_labels_as_text(nasty: Path, nalm_cli: Cli, tmp_path: Path) -> None:
    for name in ("r.html", "r.md"):
        done = nalm_cli("report", nasty, "-o", name)
        assert done.returncode == 0
        assert not UNSAFE.search(done.stderr)
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not UNSAFE.search(text)
        assert "<script>alert" not in text
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in tables[-4:]}) == 1
    assert not re.search(r"(?<!\\)\]\(javascript", re.sub(r"`[^`]*`", "", text))  # code is no link


def test_messages_show_names_of_files_as_text(nalm_cli: Cli) -> None:
    done = nalm_cli("summary", "\x1b]0;x\a\udcff")
    assert done.returncode == 2
    assert "\\x1b]0;x\\x07\\udcff" in done.stderr
    assert not UNSAFE.search(done.stderr)


def test_usage_errors_show_arguments_as_text(nalm_cli: Cli) -> None:
    done = nalm_cli("summary", "--\x1b]0;x\a")
    assert done.returncode == 2
    assert not UNSAFE.search(done.stderr)


def test_texts_leave_through_one_place() -> None:
    """Consoles, streams and tables of text are written by the modules that escape, and by no others."""
    source = Path(sys.modules["nalm"].__path__[0])
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(source))
        if not name.startswith("cli/"):
            assert not re.search(r"^\s*print\(", text, re.MULTILINE), name
        if name != "cli/console.py":
            assert not re.search(r"\bConsole\(", text), name
        for call in re.findall(r"[\w.()]*\.to_(?:csv|markdown|html|latex)\(", text):
            assert call.startswith("csv_table("), (name, call)
