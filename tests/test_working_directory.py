"""The working directory: nothing in it is imported, except what an import path names where that is allowed."""

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nalm
from nalm.modules import resolve
from nalm.registry import SAFE_PATH, children_without_working_directory, import_paths
from tests.fixture_types import Cli

COMMAND = "import sys\nfrom nalm.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
"""What the installer writes as the command ``nalm``."""
ABSENT = {"sitecustomize", "usercustomize", "__main__"}
UNIT = """
from torch import nn

class Unit(nn.Linear):
    def forward(self, x):
        import own_helper  # only now, while it trains
        return super().forward(x) * own_helper.ONE
"""

Nalm = Callable[..., str]


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def command(tmp_path: Path) -> Nalm:
    """The installed command, called in a directory."""
    script = tmp_path / "bin" / "nalm"
    script.parent.mkdir()
    script.write_text(COMMAND)
    return lambda *arguments, cwd: run(script, *arguments, cwd=cwd)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A directory with a file for every module that Python knows here, which leaves a trace when it is imported."""
    directory = tmp_path / "planted"
    directory.mkdir()
    names = {*sys.stdlib_module_names, *importlib.metadata.packages_distributions(), "nalm"} - ABSENT
    for name in filter(str.isidentifier, names):
        (directory / f"{name}.py").write_text(
            f"open({str(tmp_path / 'trace')!r}, 'a').write('{name} ')\nraise SystemExit(3)\n"
        )
    return directory


def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace"
    return path.read_text() if path.exists() else ""


@pytest.mark.processes
def test_training_and_its_workers_import_nothing_from_the_working_directory(
    command: Nalm, planted: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    command("run", tiny, "--no-imports", "--no-compile", "--workers", 1, "--out", out, cwd=planted)
    assert trace(tmp_path) == ""
    assert nalm.load(out).missing == 0


@pytest.mark.slow
def test_compiling_imports_nothing_from_the_working_directory(
    command: Nalm, planted: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    command("run", tiny, "--no-imports", "--workers", 1, "--out", tmp_path / "results", cwd=planted)
    command("train", "NMRU", "--iterations", 10, cwd=planted)
    assert trace(tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    ["list", "summary RESULTS", "report RESULTS -o ../page.html", "plot RESULTS -o ../figure.svg"],
)
def test_commands_import_nothing_from_the_working_directory(
    command: Nalm, planted: Path, results: Path, tmp_path: Path, arguments: str
) -> None:
    command(*(results if argument == "RESULTS" else argument for argument in arguments.split()), cwd=planted)
    assert trace(tmp_path) == ""


def test_jobs_of_scripts_start_without_the_working_directory(nalm_cli: Cli, tiny: Path) -> None:
    printed = nalm_cli("script", tiny, "--scheduler", "slurm").stdout.splitlines()[-1]
    assert printed.startswith(f"exec {sys.executable} -P -m nalm shard ")


def test_an_import_path_is_found_in_the_working_directory_behind_everything_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    (tmp_path / "here_only.py").write_text("from torch.nn import Linear as Unit")
    (tmp_path / "torch.py").write_text("raise SystemExit('code of somebody else was run')")
    with pytest.raises(ValueError, match=r"cannot import module 'here_only:Unit': .*set PYTHONPATH=\. if you trust"):
        resolve("here_only:Unit")
    assert str(tmp_path) not in sys.path
    with import_paths(False), pytest.raises(ValueError, match="imports are not allowed"):
        resolve("here_only:Unit")
    assert str(tmp_path) not in sys.path
    with import_paths(True):
        assert resolve("here_only:Unit").__name__ == "Linear"
        assert resolve("torch.nn:Linear").__name__ == "Linear"
    assert sys.path[-1] == str(tmp_path)
    sys.modules.pop("here_only")


@pytest.mark.slow
def test_a_module_beside_the_experiment_trains_in_workers_and_imports_its_neighbours_late(
    command: Nalm, write_yaml: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "own_units.py").write_text(UNIT)
    (tmp_path / "own_helper.py").write_text("ONE = 1.0")
    path = write_yaml(variants="variants: [{label: A, recipe: {module: 'own_units:Unit'}}]")
    command("run", path, "--no-compile", "--workers", 1, cwd=tmp_path)
    assert nalm.load(tmp_path / "results").missing == 0


def test_python_m_nalm_forgets_the_working_directory_and_the_metadata_of_packages_in_it(tmp_path: Path) -> None:
    about = tmp_path / "evil-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[nalm.modules]\nEvil = evil:Unit\n[nalm.executors]\nevil = evil:KIND\n")
    for name in ("evil", "typer"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('code of somebody else was run')")
    assert "Evil" not in run("-m", "nalm", "modules", cwd=tmp_path)


def test_the_environment_is_restored_after_processes_were_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in (None, "0"):
        monkeypatch.delenv(SAFE_PATH, raising=False)
        if before is not None:
            monkeypatch.setenv(SAFE_PATH, before)
        with children_without_working_directory():
            assert os.environ[SAFE_PATH] == "1"
        assert os.environ.get(SAFE_PATH) == before
