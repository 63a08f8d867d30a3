"""Every kind of figure of results: what is in it, what is refused, and that its file is whole."""

import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from plotnine import ggplot, labs
from tests.trained import changed, without_parameters

import nalm
from nalm.analysis.results import Results
from nalm.errors import NalmError
from nalm.figures.results import FIGURES
from nalm.figures.style import COLOURS, LINES, in_a_row, page

Cli = Callable[..., CompletedProcess[str]]
Write = Callable[..., Path]

ONE = {"weights": (["NMRU"], ["U[1,2)"]), "weight-map": (["NMRU"], [])}
"""Variants and tasks of the kinds that are of one variant."""
OF_ANY_TASKS = [kind for kind in FIGURES if kind != "lengths"]
"""That of sequences has a test file of its own."""


@pytest.fixture
def found(results: Path) -> Results:
    return nalm.load(results)


def drawn(figure: ggplot) -> Figure:
    picture = figure.draw()
    picture.canvas.draw()
    plt.close(picture)
    return picture


def texts(picture: Figure) -> list[str]:
    return [text.get_text() for text in picture.findobj(Text) if isinstance(text, Text) and text.get_text()]


def lines_of(axes: Axes) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Every line, ``(points, 2)``; those that go straight through the whole panel are not among them."""
    found = [np.asarray(line.get_xydata()) for line in axes.lines]
    found += [
        np.asarray(part)
        for lines in axes.collections
        if isinstance(lines, LineCollection)
        for part in lines.get_segments()
    ]
    return [line for line in found if len(line) > 2]


def dots_of(axes: Axes) -> list[list[float]]:
    dots = [group for group in axes.collections if isinstance(group, PathCollection)]
    return [list(map(float, point)) for group in dots for point in np.asarray(group.get_offsets())]


# Every kind


@pytest.mark.parametrize("kind", OF_ANY_TASKS)
@pytest.mark.parametrize("suffix", [".pdf", ".png", ".svg"])
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
def test_every_kind_says_which_variants_and_tasks_there_are(found: Results, kind: str) -> None:
    with pytest.raises(NalmError, match=r"^found unknown variant 'nru', expected one of: NMRU, NRU$"):
        nalm.draw(found, kind, variants=["nru", "NRU"])
    with pytest.raises(NalmError, match=r"^found unknown task 'U\[3,4\)', expected one of: U\[1,2\), negative$"):
        nalm.draw(found, kind, tasks=["U[3,4)"])


@pytest.mark.parametrize("kind", OF_ANY_TASKS)
def test_every_kind_is_drawn_of_one_variant_on_one_task_or_asks_for_another(found: Results, kind: str) -> None:
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
@pytest.mark.parametrize("error", [0.0, 1.0])
def test_every_kind_is_drawn_of_runs_that_were_looked_at_once(found: Results, kind: str, error: float) -> None:
    for index, run in enumerate(found.trained):
        found.trained[index] = changed(run, 1, test_errors=[error])
    variants, tasks = ONE.get(kind, ([], []))
    drawn(nalm.draw(found, kind, variants=variants, tasks=tasks))


def test_an_unknown_kind_is_refused_with_those_that_there_are(found: Results, tmp_path: Path) -> None:
    with pytest.raises(NalmError, match=f"^found unknown kind 'bars', expected one of: {', '.join(FIGURES)}$"):
        nalm.plot(found, tmp_path / "figure.png", "bars")
    assert not (tmp_path / "figure.png").exists()


def test_pages_grow_with_their_panels_and_panels_shrink() -> None:
    sizes = [page(1, columns)[0] / columns for columns in range(1, 12)]
    assert sizes == sorted(sizes, reverse=True)
    assert [in_a_row(panels, 5) for panels in range(1, 12)] == [1, 2, 3, 4, 5, 3, 4, 4, 5, 5, 4]


# One by one


def test_panels_show_what_is_asked_for(found: Results) -> None:
    shown = texts(drawn(nalm.summary_panels(found, ["NRU"], ["negative"])))
    assert {"NRU", "negative"} <= set(shown)
    assert not {"NMRU", "U[1,2)"} & set(shown)


def test_curves_have_a_panel_per_variant_and_task_with_both_medians_and_the_threshold(found: Results) -> None:
    picture = drawn(nalm.training_curves(found))
    assert len(picture.axes) == 4
    table = nalm.error_quantiles(found, ["NMRU"], ["U[1,2)"])
    shown = [line.ravel().tolist() for line in lines_of(picture.axes[0])]
    for error in ("validation", "test"):
        of = table[table["error"] == error]
        median = np.column_stack([of["iteration"], np.log10(of["median"])]).ravel()
        assert any(line == pytest.approx(median) for line in shown if len(line) == 6)
    flat = [np.asarray(line.get_ydata()).tolist() for line in picture.axes[0].lines]
    flat += [
        part[:, 1].tolist()
        for lines in picture.axes[0].collections
        if isinstance(lines, LineCollection)
        for part in map(np.asarray, lines.get_segments())
    ]
    assert [-5, -5] in flat


def test_errors_of_0_are_drawn_at_the_lower_edge_and_infinite_ones_at_the_upper(found: Results) -> None:
    for index, run in enumerate(found.trained):
        found.trained[index] = changed(run, test_errors=[math.inf, 1.0, 0.0])
    axes = drawn(nalm.training_curves(found, ["NRU"], ["negative"])).axes[0]
    test = next(line[:, 1] for line in lines_of(axes) if len(line) == 3 and line[1, 1] == 0)
    low, high = axes.get_ylim()
    assert low < test[2] < test[1] < test[0] < high
    assert np.isfinite([low, high]).all()


def test_curves_that_are_never_finite_are_drawn(found: Results) -> None:
    for index, run in enumerate(found.trained):
        errors = {
            name: [math.nan] * 3 if run.variant == "NRU" else [0.1, 3.7, 77.7]
            for name in ("test_errors", "validation_errors")
        }
        found.trained[index] = changed(run, None, **errors)
    for axes in drawn(nalm.training_curves(found)).axes:
        heights = {float(y) for line in lines_of(axes) if len(line) == 3 for y in line[:, 1]}
        assert np.isfinite(list(heights)).all()
        assert max(heights) < axes.get_ylim()[1]


def test_survival_has_a_panel_per_task_and_one_for_all_and_a_step_per_variant(found: Results) -> None:
    picture = drawn(nalm.survival_curves(found))
    shown = texts(picture)
    assert [text for text in shown if text in ("U[1,2)", "negative", "all of these")] == [
        "U[1,2)",
        "negative",
        "all of these",
    ]
    assert {"NMRU", "NRU"} <= set(shown)
    for axes in picture.axes:
        ends = {float(line[-1, 1]) for line in lines_of(axes)}
        assert ends == {0.0, 1.0}  # the NRU's runs are all solved, the NMRU's are not
        assert len(dots_of(axes)) == 1  # and so only the NRU has a median


def test_survival_of_one_task_has_no_panel_for_all(found: Results) -> None:
    assert "all of these" not in texts(drawn(nalm.survival_curves(found, tasks=["negative"])))


def test_more_variants_than_colours_have_other_lines() -> None:
    assert len({(COLOURS[i % len(COLOURS)], LINES[i % len(LINES)]) for i in range(40)}) == 40


def test_trajectories_are_a_line_per_seed_with_gold_values_marked(found: Results) -> None:
    picture = drawn(nalm.weight_trajectories(found, ["NMRU"], ["U[1,2)"]))
    assert [text for text in texts(picture) if text.startswith("weight.")] == [f"weight.{i}" for i in range(4)]
    for index, axes in enumerate(picture.axes):
        histories = [found.run("NMRU", "U[1,2)", seed).history()[f"weight.{index}"].tolist() for seed in range(3)]
        lines = [line[:, 1].tolist() for line in lines_of(axes) if len(line) == 3]
        assert sorted(lines) == pytest.approx(np.array(sorted(histories)))
    assert "not solved: 3 of 3 runs" in texts(picture)


def test_trajectories_need_one_variant_and_one_task(found: Results) -> None:
    with pytest.raises(NalmError, match=r"^found 2 variants, name one of: NMRU, NRU$"):
        nalm.weight_trajectories(found)
    with pytest.raises(NalmError, match=r"^found 2 tasks, name one of: U\[1,2\), negative$"):
        nalm.weight_trajectories(found, ["NRU"])
    with pytest.raises(NalmError, match=r"^found 2 variants, name one of: NMRU, NRU$"):
        nalm.weight_map(found)


def test_many_weights_are_drawn_by_their_gold_values(write_yaml: Write, tmp_path: Path) -> None:
    path = write_yaml(task="task: {operation: div, input_size: 10, subset_ratio: 0.1}")
    nalm.run(str(path), tmp_path / "results", workers=0, compiled=False)
    found = nalm.load(tmp_path / "results")
    for figure in (nalm.weight_trajectories(found), nalm.weight_map(found)):
        parts = [text for text in texts(drawn(figure)) if text.startswith("weight, ")]
        assert set(parts) == {"weight, gold 0", "weight, gold 1"}


def test_many_weights_without_gold_values_are_drawn_by_their_parameter(write_yaml: Write, tmp_path: Path) -> None:
    sums = "task: {operation: add, input_size: 12, subset_ratio: 0.25}"
    path = write_yaml(task=sums, variants="variants: [{label: two, recipe: {module: Linear, second: Linear}}]")
    nalm.run(str(path), tmp_path / "results", workers=0, compiled=False)
    found = nalm.load(tmp_path / "results")
    for figure in (nalm.weight_trajectories(found, tasks=[next(iter(found.experiment.tasks))]), nalm.weight_map(found)):
        assert any(text.startswith("first.weight") for text in texts(drawn(figure)))


def test_a_map_has_a_cell_per_weight_and_seed_gold_values_above_and_crosses(found: Results) -> None:
    picture = drawn(nalm.weight_map(found, ["NMRU"], ["negative"]))
    axes = picture.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["2", "1", "0", "gold"]
    cells = [len(tiles.get_paths()) for tiles in axes.collections if isinstance(tiles, PolyCollection)]
    assert cells == [4 * 4]
    shown = texts(picture)
    assert shown.count("×") == 3
    module = found.module("NMRU", "negative", 0)
    assert f"{module.get_parameter('weight')[0, 0].item():.2g}" in shown


def test_runs_without_weights_have_no_map(found: Results) -> None:
    found.trained[:] = [without_parameters(run) for run in found.trained]
    with pytest.raises(NalmError, match=r"^found no weights in the runs of tiny, expected runs that kept them$"):
        nalm.weight_map(found, ["NMRU"])


def test_the_map_of_success_has_its_numbers_in_the_cells(found: Results) -> None:
    picture = drawn(nalm.success_map(found))
    axes = picture.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["U[1,2)", "negative", "all of these"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["NRU", "NMRU"]  # from below
    assert sorted(text for text in texts(picture) if "/" in text) == sorted(["0/3", "0/3", "0/6", "3/3", "3/3", "6/6"])


def test_pairs_show_counts_differences_and_p_values(found: Results) -> None:
    picture = drawn(nalm.paired_success(found))
    shown = texts(picture)
    assert {"NMRU only", "NRU only", "both", "neither", "NMRU (first) and NRU (second)"} <= set(shown)
    assert [text for text in shown if text in ("3", "6")] == ["3", "3", "6"]
    assert [text for text in shown if text.startswith("p ")] == ["p = 0.25", "p = 0.25", "p = 0.031"]
    assert sorted(x for x, _ in dots_of(picture.axes[1])) == [-1, -1, -1]
    other = texts(drawn(nalm.paired_success(found, ["NRU", "NMRU"], ["negative"])))
    assert "NRU (first) and NMRU (second)" in other
    assert "U[1,2)" not in other


# The command


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--kind", "bars"), "found unknown kind 'bars', expected one of: panels, curves, weights, "),
        (("--kind", "weights"), "found 2 variants, name one of: NMRU, NRU"),
        (("--variants", "nmru"), "found unknown variant 'nmru', expected one of: NMRU, NRU"),
        (("--kind", "pairs", "--variants", "NRU"), "a pair is two variants: found 1, name two of: NMRU, NRU"),
        (("--kind", "survival", "--tasks", "x"), "found unknown task 'x', expected one of: U[1,2), negative"),
    ],
)
def test_what_cannot_be_plotted_is_one_sentence(
    refused: Callable[..., str], results: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    assert refused("plot", results, *arguments).startswith(sentence)


def test_a_kind_of_some_variants_and_tasks_is_plotted(nalm_cli: Cli, results: Path, tmp_path: Path) -> None:
    done = nalm_cli(
        *("plot", results, "--kind", "curves", "--variants", "NRU,NMRU", "--tasks", "U[1,2)"),
        *("-o", "curves.png"),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "drew curves.png\n")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
