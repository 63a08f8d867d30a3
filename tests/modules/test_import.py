"""Layers must be cheap to import: they depend on torch alone."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Top-level names of what Python imports for the layers."""
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from nalm.modules import *"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    return {row.rpartition("|")[2].strip().partition(".")[0] for row in rows}


def test_layers_import_torch(imported: set[str]) -> None:
    assert {"nalm", "torch"} <= imported


@pytest.mark.parametrize(
    "package",
    ["matplotlib", "pandas", "plotnine", "pyarrow", "pydantic", "rich", "scipy", "sympy", "typer", "yaml"],
)
def test_layers_import_nothing_of_the_laboratory(imported: set[str], package: str) -> None:
    assert package not in imported
