"""Fixture for tests that start processes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.execution.processes import Process, launch


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start processes that are killed after the test."""
    started: list[Process] = []

    def call(*command: object, **options: Any) -> Process:
        process = launch(*command, **options)
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()
