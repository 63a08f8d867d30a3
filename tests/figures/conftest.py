"""Results that figures are drawn from."""

from pathlib import Path

import pytest

import nalm


@pytest.fixture
def found(results: Path) -> nalm.Results:
    """Return the results of the tiny experiment."""
    return nalm.load(results)
