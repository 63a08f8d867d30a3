"""Commands that train nothing answer at once: they import no library that they do not need."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
sys.argv = ["nalm", *json.loads(sys.argv[1])]
from nalm.cli import main
try:
    main()
except SystemExit as end:
    code = end.code or 0
print(json.dumps([code, sorted(set(sys.modules))]), file=sys.stderr)
"""
HEAVY = (
    "torch",
    "pandas",
    "scipy.stats",
    "scipy.optimize",
    "pyarrow",
    "plotnine",
    "matplotlib",
    "sympy",
    "numpy",
    "rich",
)
"""Libraries that take long to import, the longest first."""
DATA = {"numpy", "pyarrow"}
TABLES = {"numpy", "pyarrow", "pandas", "rich"}

ALLOWED: dict[str, set[str]] = {
    "--version": set(),
    "--help": set(),
    "list": {"rich"},
    "list --json": set(),
    "modules": {"rich"},
    "modules NMRU": set(),
    "run --help": set(),
    "run figure-3 --dry-run": DATA,
    "script figure-3 --scheduler lsf": DATA,
    "status RESULTS": {*DATA, "rich"},
    "runs RESULTS": TABLES,
    "summary RESULTS": {*TABLES, "scipy.stats", "scipy.optimize"},
    "show RESULTS --variant NRU --task negative --seed 0": TABLES,
    "plot --help": set(),
    "landscape --help": set(),
    "report --help": set(),
    "train --help": set(),
    "bench --help": set(),
}
"""What each command may import of the heavy libraries."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _imported(arguments: list[str], cache: Path, directory: Path) -> set[str]:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", SCRIPT, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=directory, check=False)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules) & set(HEAVY)


@pytest.mark.parametrize("command", ALLOWED)
def test_a_command_imports_no_library_that_it_does_not_need(
    command: str, cache: Path, results: Path, tmp_path: Path
) -> None:
    arguments = command.replace("RESULTS", str(results)).split()
    if (found := _imported(arguments, cache, tmp_path)) - ALLOWED[command]:
        found = _imported(arguments, cache, tmp_path)  # the first call may find out what later ones remember
    assert found <= ALLOWED[command]


def test_the_index_of_the_catalog_is_read_without_torch(tmp_path: Path) -> None:
    assert _imported(["list"], tmp_path / "new", tmp_path) <= {"numpy", "rich"}
