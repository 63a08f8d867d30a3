"""Executors of other packages, found by entry points."""

import json
import os
from pathlib import Path

import pytest
from tests.execution.processes import launch

import nalm
from nalm.errors import NalmError
from nalm.execution.executors import EXECUTORS
from nalm.execution.executors.settings import _sections

THREADS = """
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from nalm.execution.executors import ExecutorKind
from nalm.execution.executors.kind import Settings


class ThreadSettings(Settings):
    count: int = Field(1, ge=1, description="Number of threads.")
    names: tuple[str, ...] = Field((), description="Name of a thread.")
    limits: dict[str, int] = Field({}, description="Limit of a thread.")
    speed: Literal["fast", "slow"] | None = Field(None, description="Speed of all threads.")


@contextmanager
def open_threads(settings, workers):
    Path("opened.json").write_text(settings.model_dump_json())
    with ThreadPoolExecutor(settings.count) as executor:
        yield executor


EXECUTOR = ExecutorKind(ThreadSettings, open_threads)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package that offers two executors: ``threads``, and ``broken``, which cannot be imported."""
    (tmp_path / "my_threads.py").write_text(THREADS)
    information = tmp_path / "my_threads-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-threads\nVersion: 1.0\n")
    points = "[nalm.executors]\nthreads = my_threads:EXECUTOR\nbroken = my_absent_module:EXECUTOR\n"
    (information / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.processes
def test_an_installed_executor_has_options_and_a_section_of_the_configuration_file(package: Path, tiny: Path) -> None:
    (package / "nalm").mkdir()
    (package / "nalm" / "config.yaml").write_text("executor: threads\nthreads: {count: 5, names: [a, b]}\n")
    paths = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": paths, "XDG_CONFIG_HOME": str(package)}
    options = ("--threads-count", "2", "--threads-limit", "a=3", "--threads-speed", "slow")
    command = launch("-m", "nalm", "run", tiny, "--no-compile", *options, cwd=package, env=environment)
    _, said = command.communicate(timeout=300)
    assert command.returncode == 0, said
    settings = json.loads((package / "opened.json").read_text())
    assert settings == {"count": 2, "names": ["a", "b"], "limits": {"a": 3}, "speed": "slow"}
    assert nalm.load(package / "results").missing == 0


@pytest.mark.usefixtures("package")
def test_an_executor_that_cannot_be_imported_disturbs_nobody_who_does_not_choose_it() -> None:
    assert EXECUTORS.names() == ["local", "slurm", "dask", "broken", "threads"]
    assert list(_sections()) == ["slurm", "dask", "threads"]
    assert nalm.load_settings({"executor": "threads"}).executor == "threads"
    with pytest.raises(NalmError, match="cannot import executor 'my_absent_module:EXECUTOR': No module named"):
        nalm.load_settings({"executor": "broken"})
