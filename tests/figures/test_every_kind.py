"""Every kind of figure of results: its content, its errors, and its files."""

import math
import re
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from plotnine import ggplot, labs
from tests.figures.drawing import drawn, texts
from tests.trained import changed

import nalm
from nalm.analysis.results import Results
from nalm.errors import NalmError
from nalm.figures import FIGURES, FigureKind

Cli = Callable[..., CompletedProcess[str]]

ONE = {"weights": (["NMRU"], ["U[1,2)"]), "weight-map": (["NMRU"], [])}
"""Variants and tasks of the kinds that show one variant."""
OF_ANY_TASKS = [kind for kind in FIGURES if kind != "lengths"]
"""The figure of sequences has a test file of its own."""


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        case if ".png" in case or "pairs" in case else pytest.param(*case, marks=pytest.mark.slow)
        for case in product((".pdf", ".png", ".svg"), OF_ANY_TASKS)
    ],
)
def test_every_kind_is_drawn_into_a_whole_file_of_every_format(
    found: Results, tmp_path: Path, kind: str, suffix: str
) -> None:
    path = tmp_path / f"figure{suffix}"
    variants, tasks = ONE.get(kind, ([], []))
    nalm.plot(found, path, kind, variants=variants, tasks=tasks)
    ends = {".pdf": (b"%PDF", b"%%EOF\n"), ".png": (b"\x89PNG", b"IEND\xaeB`\x82"), ".svg": (b"<?xml", b"</svg>\n")}
    assert path.read_bytes().startswith(ends[suffix][0])
    assert path.read_bytes().endswith(ends[suffix][1])


@pytest.mark.parametrize("kind", OF_ANY_TASKS)
def test_every_kind_can_be_restyled(found: Results, kind: str) -> None:
    variants, tasks = ONE.get(kind, ([], []))
    figure = nalm.draw(found, kind, variants=variants, tasks=tasks)
    assert isinstance(figure, ggplot)
    assert "Mine" in texts(drawn(figure + labs(title="Mine")))


@pytest.mark.parametrize("kind", OF_ANY_TASKS)
def test_every_kind_refuses_unknown_variants_and_tasks(found: Results, kind: str) -> None:
    with pytest.raises(NalmError, match=r"^found unknown variant 'nru', expected one of: NMRU, NRU$"):
        nalm.draw(found, kind, variants=["nru", "NRU"])
    with pytest.raises(NalmError, match=r"^found unknown task 'U\[3,4\)', expected one of: U\[1,2\), negative$"):
        nalm.draw(found, kind, tasks=["U[3,4)"])


@pytest.mark.parametrize("kind", OF_ANY_TASKS)
def test_every_kind_draws_one_variant_on_one_task_or_asks_for_another(found: Results, kind: str) -> None:
    if kind == "pairs":
        with pytest.raises(NalmError, match=r"^a pair is two variants: found 1, name two of: NMRU, NRU$"):
            nalm.draw(found, kind, variants=["NRU"])
        return
    assert "nan" not in texts(drawn(nalm.draw(found, kind, variants=["NRU"], tasks=["negative"])))


@pytest.mark.parametrize("kind", OF_ANY_TASKS)
def test_every_kind_is_drawn_when_runs_diverged_and_errors_are_not_finite(found: Results, kind: str) -> None:
    for index, run in enumerate(found.trained):
        weights = {name: np.full_like(values, math.nan) for name, values in run.flat_parameters.items()}
        wrong = {"test_errors": [math.inf], "validation_errors": [math.nan], "sparsity_errors": [math.nan]}
        if run.run.seed:
            found.trained[index] = changed(run, 1, flat_parameters=weights, diverged_at=1, **wrong)
    variants, tasks = ONE.get(kind, ([], []))
    drawn(nalm.draw(found, kind, variants=variants, tasks=tasks))


@pytest.mark.parametrize("kind", OF_ANY_TASKS)
@pytest.mark.parametrize("error", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_every_kind_draws_runs_with_one_evaluation(found: Results, kind: str, error: float) -> None:
    for index, run in enumerate(found.trained):
        found.trained[index] = changed(run, 1, test_errors=[error])
    variants, tasks = ONE.get(kind, ([], []))
    drawn(nalm.draw(found, kind, variants=variants, tasks=tasks))


def test_an_unknown_kind_is_refused_with_the_known_ones(found: Results, tmp_path: Path) -> None:
    with pytest.raises(
        NalmError, match=f"^found unknown kind of figure 'bars', expected one of: {', '.join(FIGURES)}, or "
    ):
        nalm.plot(found, tmp_path / "figure.png", "bars")
    assert not (tmp_path / "figure.png").exists()


@pytest.mark.parametrize("kind", OF_ANY_TASKS)
def test_every_kind_has_a_title_and_a_table_of_what_it_draws(found: Results, kind: str) -> None:
    declared = FIGURES[kind]
    assert re.fullmatch(r"[A-Z].*\.", declared.title)
    assert declared.suits(found.experiment)
    assert len(declared.table(found, *ONE.get(kind, ([], []))))


def test_only_sequences_suit_errors_by_length(found: Results) -> None:
    assert not FIGURES["lengths"].suits(found.experiment)
    assert FIGURES["lengths"].suits(nalm.load_experiment("sequential-mnist-sum"))


# Kinds of other packages

HISTOGRAM = """
from plotnine import aes, geom_histogram, ggplot

from nalm.figures import FigureKind


def errors(results, variants, tasks):
    return results.runs()


def histogram(results, variants, tasks):
    return ggplot(errors(results, variants, tasks), aes("test_error")) + geom_histogram(bins=3)


HISTOGRAM = FigureKind(title="Test errors.", draw=histogram, table=errors)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package that offers a kind of figure."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_figures.py").write_text(HISTOGRAM)
    information = tmp_path / "my_figures-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-figures\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[nalm.figures]\nhistogram = my_figures:HISTOGRAM\n")
    yield
    sys.modules.pop("my_figures", None)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("kind", ["histogram", "my_figures:HISTOGRAM"])
def test_a_kind_of_another_package_is_drawn_by_its_name_or_import_path(
    found: Results, tmp_path: Path, kind: str
) -> None:
    nalm.plot(found, tmp_path / "histogram.png", kind)
    assert (tmp_path / "histogram.png").read_bytes().startswith(b"\x89PNG")
    assert isinstance(FIGURES[kind], FigureKind)
    assert FIGURES.names()[-1] == "histogram"


@pytest.mark.usefixtures("package")
def test_an_object_that_is_not_a_kind_of_figure_is_refused(found: Results) -> None:
    with pytest.raises(NalmError, match=r"^found function at my_figures:errors, expected a nalm\.figures\.FigureKind$"):
        nalm.draw(found, "my_figures:errors")


# The command


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--kind", "bars"), "found unknown kind of figure 'bars', expected one of: panels, curves, weights, "),
        (("--kind", "weights"), "found 2 variants, name one of: NMRU, NRU"),
        (("--variants", "nmru"), "found unknown variant 'nmru', expected one of: NMRU, NRU"),
        (("--kind", "pairs", "--variants", "NRU"), "a pair is two variants: found 1, name two of: NMRU, NRU"),
        (("--kind", "survival", "--tasks", "x"), "found unknown task 'x', expected one of: U[1,2), negative"),
    ],
)
def test_errors_of_the_command_are_one_sentence(
    refused: Callable[..., str], results: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    assert refused("plot", results, *arguments).startswith(sentence)


def test_the_help_of_the_command_lists_every_kind(nalm_cli: Cli) -> None:
    text = nalm_cli("plot", "--help").stdout
    assert all(re.search(rf"\b{kind}\b", text) for kind in FIGURES)


def test_the_command_plots_chosen_variants_and_tasks(nalm_cli: Cli, results: Path, tmp_path: Path) -> None:
    done = nalm_cli(
        *("plot", results, "--kind", "curves", "--variants", "NRU,NMRU", "--tasks", "U[1,2)"),
        *("-o", "curves.png"),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "drew curves.png\n")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
