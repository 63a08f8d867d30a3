"""What the documents tell people to do works."""

import contextlib
import io
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import nalm
from nalm.analysis.selection import labels
from nalm.experiments.catalog import load_experiment
from nalm.figures import FIGURES
from nalm.modules import MODULES, describe
from nalm.spec.recipe import Recipe, Restart
from tests.documents import ROOT, blocks


def test_the_example_of_the_readme_learns_to_divide() -> None:
    (example,) = blocks("README.md", "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {})
    assert "[x1/x2]" in printed.getvalue()
    assert "-42.857" in printed.getvalue()


def test_the_experiment_of_the_documentation_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = type(sys)("mypackage.layers")
    layers.MyUnit = nn.Linear  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mypackage", type(sys)("mypackage"))
    monkeypatch.setitem(sys.modules, "mypackage.layers", layers)
    example, _ = blocks("docs/experiments.md", "yaml")
    path = tmp_path / "division.yaml"
    path.write_text(example, encoding="utf-8")
    experiment = load_experiment(str(path))
    assert list(experiment.variants) == ["NMRU", "no sign", "mine", "NRU, rate 0.001", "NRU, rate 0.01"]
    assert experiment.runs == 5 * 2 * 25


def test_the_recipe_of_the_documentation_is_valid() -> None:
    _, example = blocks("docs/experiments.md", "yaml")
    recipe = Recipe.model_validate(yaml.safe_load(example)["recipe"])
    assert recipe.module.name == "INALU"
    assert recipe.reinitialize == Restart()


def test_the_table_of_modules_lists_every_module_with_its_operations() -> None:
    table = (ROOT / "docs/modules.md").read_text(encoding="utf-8").split("## All modules")[1]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    listed = {name: operations.strip() for names, operations in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed.keys() == MODULES.keys()
    for name, operations in listed.items():
        assert set(operations.replace("none", "").split(", ")) - {""} == set(describe(name).operations), name


def test_the_model_of_the_documentation_trains_and_has_an_expression() -> None:
    example, _ = blocks("docs/modules.md", "python")
    torch.manual_seed(0)
    exec(compile(example, "docs/modules.md", "exec"), {})


def test_the_own_module_of_the_documentation_keeps_every_promise() -> None:
    _, example = blocks("docs/modules.md", "python")
    exec(compile(example, "docs/modules.md", "exec"), {})


def test_the_executor_of_the_documentation_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example, _ = blocks("docs/clusters.md", "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "docs/clusters.md", "exec"), {})
    assert printed.getvalue() == 4 * "one more shard\n"
    assert nalm.load(tmp_path / "results").missing == 0


def test_the_executor_that_the_documentation_declares_opens() -> None:
    _, example = blocks("docs/clusters.md", "python")
    found: dict[str, Any] = {}
    exec(compile(example, "docs/clusters.md", "exec"), found)
    kind = found["EXECUTOR"]
    with kind.open(kind.settings(count=2), None) as executor:
        assert executor.submit(abs, -1).result() == 1


def test_the_settings_of_the_documentation_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (example,) = blocks("docs/clusters.md", "yaml")
    (tmp_path / "nalm").mkdir()
    (tmp_path / "nalm" / "config.yaml").write_text(example, encoding="utf-8")
    settings = nalm.load_settings()
    assert (settings.executor, settings.slurm.partition, settings.slurm.options["exclusive"]) == ("slurm", "main", None)


def test_the_commands_of_the_documentation_of_clusters_are_understood(
    nalm_cli: Callable[..., CompletedProcess[str]], results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is given to the command line; where it would train, the functions that train are stand-ins."""
    opened: list[str] = []

    def open_executor(settings: nalm.ExecutorSettings, workers: int | None) -> contextlib.AbstractContextManager[None]:
        opened.append(settings.executor)
        return contextlib.nullcontext()

    monkeypatch.setattr("nalm.execution.executors.settings.open_executor", open_executor)
    monkeypatch.setattr(nalm, "run", lambda *_, **__: None, raising=False)
    monkeypatch.setattr(nalm, "reproduce", lambda *_, **__: [], raising=False)
    for name in ("node1", "node2"):
        shutil.copytree(results, tmp_path / name)
    commands = [line for block in blocks("docs/clusters.md", "sh") for line in block.splitlines()]
    for command in commands:
        name, *arguments = shlex.split(command.partition(" > ")[0])
        assert name == "nalm"
        done = nalm_cli(*arguments)
        assert done.returncode == 0, (command, done.stderr)
    assert opened == ["slurm"] * 3 + ["dask"] * 2 + ["local"]
    assert nalm.load(tmp_path / "all").missing == 0


def test_the_commands_of_the_documentation_of_figures_draw_every_kind(
    nalm_cli: Callable[..., CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure_3 = load_experiment("figure-3").narrowed(seeds=[0]).changed({"iterations": 0})
    sums = load_experiment("sequential-mnist-sum").narrowed(seeds=[0], variants=["NAU", "solved"])
    nalm.run([figure_3, sums.changed({"iterations": 0})], tmp_path / "results", workers=0, compiled=False)
    drawn: list[str] = []

    def plot(results: nalm.Results, output: Path, kind: str, variants: Sequence[str], tasks: Sequence[str]) -> None:
        labels(results, variants, tasks)
        drawn.append(kind)

    monkeypatch.setattr(nalm, "plot", plot, raising=False)
    for command in (line for block in blocks("docs/figures.md", "sh") for line in block.splitlines()):
        done = nalm_cli(*shlex.split(command)[1:])
        assert done.returncode == 0, (command, done.stderr)
    text = (ROOT / "docs/figures.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `([a-z-]+)` \| (.*) \| `nalm\.(\w+)` \|$", text, re.MULTILINE)
    assert drawn == [kind for kind, *_ in table] == list(FIGURES)
    for kind, title, name in table:
        assert (title, getattr(nalm, name)) == (FIGURES[kind].title.removesuffix("."), FIGURES[kind].draw)


def test_the_notebook_of_the_documentation_of_figures_runs(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results.parent)
    notebook, kind = blocks("docs/figures.md", "python")
    exec(compile(notebook, "docs/figures.md", "exec"), {})
    names: dict[str, Any] = {}
    exec(compile(kind, "docs/figures.md", "exec"), names)
    assert names["HISTOGRAM"].draw(nalm.load(results)).draw(show=False).axes


def test_what_sweeps_need_on_paper_follows_from_the_costs_beside_it() -> None:
    scale = runpy.run_path(str(ROOT / "benchmarks" / "scale.py"))
    text = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    costs, needs = ([line[2:-2].split(" | ") for line in table.splitlines()[2:]] for table in text.split("\n\n")[2:4])
    known = scale["Costs"](**{name.replace(" ", "_"): float(value.replace(",", "")) for name, value in costs})
    columns = [scale["needs"](known, *sweep) for sweep in ((1, 25), (1, 10_000), (1_000, 10_000))]
    assert needs == [[name, *(column[name] for column in columns)] for name in columns[0]]


@pytest.mark.parametrize(
    "document", sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("**/*.md") if ".venv" not in path.parts)
)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / document).parent / target).exists(), target
