"""The figures of weights over iterations and after training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from tests.figures.drawing import drawn, lines_of, texts
from tests.trained import without_parameters

import nalm
from nalm.analysis.results import Results
from nalm.errors import NalmError

Write = Callable[..., Path]


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
