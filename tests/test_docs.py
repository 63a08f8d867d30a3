"""What the documents tell people to do works."""

import contextlib
import io
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from nalm.experiments.catalog import load_experiment
from nalm.modules import MODULES, describe
from nalm.training.recipe import Recipe
from nalm.training.restarts import Restart

ROOT = Path(__file__).parent.parent


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


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
    (example,) = blocks("docs/modules.md", "python")
    torch.manual_seed(0)
    exec(compile(example, "docs/modules.md", "exec"), {})


@pytest.mark.parametrize(
    "document", sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("**/*.md") if ".venv" not in path.parts)
)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / document).parent / target).exists(), target
