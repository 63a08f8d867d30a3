"""Somebody else's files: what they may do, and what they may not."""

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import nalm
from nalm.errors import NalmError
from nalm.modules import Linear, resolve
from nalm.registry import import_paths

Cli = Callable[..., CompletedProcess[str]]
WriteModule = Callable[[str, str], None]
EVIL = "raise SystemExit('code of somebody else was run')"
SENTENCE = "found module 'evil_layers:Unit', an import path, whose code would be run: imports are not allowed"


@pytest.fixture
def evil(write_yaml: Callable[..., Path], user_module: WriteModule) -> Path:
    user_module("evil_layers", EVIL)
    return write_yaml("evil", variants="variants: [{label: A, recipe: {module: 'evil_layers:Unit'}}]")


@pytest.mark.parametrize("command", ["run", "reproduce"])
def test_import_paths_can_be_refused(refused: Callable[..., str], evil: Path, command: str) -> None:
    assert refused(command, evil, "--no-imports") == f"{evil}:6: variants[0].recipe.module: {SENTENCE}"
    assert "evil_layers" not in sys.modules


def test_import_paths_are_refused_in_options_too(
    refused: Callable[..., str], write_yaml: Callable[..., Path], user_module: WriteModule
) -> None:
    user_module("evil_layers", EVIL)
    said = refused("run", write_yaml(), "--no-imports", "--set", "NMRU.module=evil_layers:Unit")
    assert said == f"NMRU: module: {SENTENCE}"


def test_the_function_refuses_import_paths_too(evil: Path, tmp_path: Path) -> None:
    with pytest.raises(NalmError, match="imports are not allowed"):
        nalm.run(str(evil), tmp_path / "results", imports=False)
    assert not (tmp_path / "results").exists()
    assert "evil_layers" not in sys.modules


def test_an_experiment_that_was_read_before_is_refused_too(
    write_yaml: Callable[..., Path], user_module: WriteModule, tmp_path: Path
) -> None:
    user_module("own_layers", "from torch.nn import Linear as Unit")
    path = write_yaml(variants="variants: [{label: A, recipe: {module: 'own_layers:Unit'}}]")
    experiment = nalm.load_experiment(str(path))
    with pytest.raises(NalmError, match=r"^A: found module 'own_layers:Unit', an import path"):
        nalm.run(experiment, tmp_path / "results", imports=False)
    nalm.run(experiment, tmp_path / "results", workers=0, compiled=False)
    assert nalm.load(tmp_path / "results").missing == 0


def test_names_of_modules_are_never_refused(tiny: Path, nalm_cli: Cli) -> None:
    done = nalm_cli("run", tiny, "--no-imports", "--no-compile", "--workers", 0)
    assert (done.returncode, nalm.load("results").missing) == (0, 0)


def test_import_paths_are_allowed_again_after_the_context() -> None:
    with import_paths(False):
        assert resolve("Linear") is Linear
        with pytest.raises(ValueError, match="imports are not allowed"):
            resolve("nalm.modules:Linear")
    assert resolve("nalm.modules:Linear") is Linear


def test_results_are_summarized_without_importing_their_modules(
    nalm_cli: Cli, results: Path, user_module: WriteModule
) -> None:
    user_module("evil_layers", EVIL)
    path = results / "experiments" / "tiny.json"
    text = path.read_text()
    assert '"module": "NRU"' in text
    path.write_text(text.replace('"module": "NRU"', '"module": "evil_layers:Unit"'))
    done = nalm_cli("summary", results)
    assert done.returncode == 0
    assert "evil_layers" not in sys.modules


@pytest.mark.parametrize("name", ["..yaml", "...yaml", ".hidden.yaml"])
def test_an_experiment_is_not_named_after_files_that_are_not_its_own(
    refused: Callable[..., str], write_yaml: Callable[..., Path], name: str
) -> None:
    path = write_yaml()
    odd = path.rename(path.with_name(name))
    assert refused("run", odd, "--no-compile").startswith(f"{odd}:1: name: found ")
