"""Fixtures of the tests of modules."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeds_end_with_the_test() -> Iterator[None]:
    """Restore torch's random numbers, so that the seed of a test does not reach the next one."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
