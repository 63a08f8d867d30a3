"""NRU, NMRU and Real NPU: initial parameters."""

import math
from functools import partial

import pytest
import torch
from tests.modules.division.helpers import (
    Build,
)

from nalm.modules import NMRU, NRU, RealNPU


@pytest.mark.parametrize("module", [RealNPU(3, 2), NMRU(3, 2, sign="gated")], ids=["RealNPU", "NMRU"])
def test_gates_start_half_open(module: RealNPU | NMRU) -> None:
    assert module.gate is not None
    assert set(module.gate.tolist()) == {0.5}
    with torch.no_grad():
        module.gate.fill_(0.9)
    module.reset_parameters()
    assert set(module.gate.tolist()) == {0.5}


def test_a_real_npu_draws_its_weights_input_by_input() -> None:
    torch.manual_seed(3)
    module = RealNPU(3, 2)
    torch.manual_seed(3)
    limit = math.sqrt(6 / 5)
    assert torch.equal(module.weight, torch.empty(3, 2).uniform_(-limit, limit).T)


@pytest.mark.parametrize(
    ("build", "size", "low", "high"),
    [
        (NRU, (20, 50), -math.sqrt(6 / 70), math.sqrt(6 / 70)),
        (NRU, (2, 20), -0.5, 0.5),
        (NMRU, (20, 50), 0.25, 0.75),
        (RealNPU, (20, 50), -math.sqrt(6 / 70), math.sqrt(6 / 70)),
        (RealNPU, (2, 2), -math.sqrt(1.5), math.sqrt(1.5)),
        (partial(RealNPU, init="constrained"), (2, 20), -0.5, 0.5),
        (partial(RealNPU, init="constrained"), (20, 50), -math.sqrt(6 / 70), math.sqrt(6 / 70)),
    ],
)
def test_initial_weights_fill_their_interval(build: Build, size: tuple[int, int], low: float, high: float) -> None:
    torch.manual_seed(0)
    modules = [build(*size) for _ in range(100)]
    weights = torch.cat([module.get_parameter("weight").detach().flatten() for module in modules])
    # Extremes of 400 or more draws come within 5 % of the ends (but for one seed in 10^4; this one is fixed).
    margin = 0.05 * (high - low)
    assert low <= weights.min() < low + margin
    assert high - margin < weights.max() <= high


def test_beta_weights_lie_strictly_between_the_signs_and_spread_as_they_should() -> None:
    torch.manual_seed(0)
    weight = NRU(100, 20, init="beta").weight.detach()
    assert weight.shape == (20, 100)
    assert ((weight > -1) & (weight < 1)).all()
    assert len(set(weight.flatten().tolist())) > 1900
    # Beta(7, 7) has variance 1 / 60, twice it has 1 / 15; 5 % are over three standard errors of 2,000 draws.
    assert weight.std().item() == pytest.approx(math.sqrt(1 / 15), rel=0.05)
    assert weight.mean().item() == pytest.approx(0, abs=0.02)


def test_beta_weights_come_from_torchs_generator_in_one_draw() -> None:
    torch.manual_seed(5)
    module = NRU(3, 2, init="beta")
    torch.manual_seed(5)
    seven = torch.tensor([7.0])
    assert torch.equal(module.weight, 2 * torch.distributions.Beta(seven, seven).sample((2, 3))[..., 0] - 1)
