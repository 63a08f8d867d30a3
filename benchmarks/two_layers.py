"""The least time of an iteration of a two-layer network on this machine, in one thread.

    python benchmarks/two_layers.py

measures the doubles a second of numpy's Mersenne Twister and of the compiled one, and the rate of matrix products.
From these follows the floor of a run with 100 inputs: its share of the random numbers of its seed, and the
multiplications of its first layer, forwards and for the gradient. Everything else (scaling to ranges, targets, the
second layer, optimizer, evaluation) is excluded. `nalm bench --two-layers` measures the ensemble.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from nalm.tasks.subsets.mersenne_twister import Twister, twister_problem
from nalm.workflows.benchmark import TWO_LAYER_OPERATIONS

ROWS, INPUTS, HIDDEN = 128, 100, 2
SECONDS = 1.0


def seconds(call: Callable[[], object]) -> float:
    """Return the shortest time of many calls, because other programs also use the machine."""
    shortest, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - before)
    return shortest


def main() -> None:
    torch.set_num_threads(1)
    numpy_stream = np.random.RandomState(0)
    by_numpy = seconds(lambda: numpy_stream.random_sample((ROWS, INPUTS)))
    print(f"numpy: {ROWS * INPUTS / by_numpy / 1e6:.0f} million doubles a second, {by_numpy * 1e6:.1f} us a batch")
    sampling = by_numpy
    if (problem := twister_problem()) is None:
        stream, drawn = Twister(0), np.empty((1, INPUTS, ROWS))
        sampling = seconds(lambda: stream.fill(drawn))
        print(f"compiled: {ROWS * INPUTS / sampling / 1e6:.0f} million, {sampling * 1e6:.1f} us, transposing included")
    else:
        print(f"compiled: not here ({problem})")
    matrix = torch.randn(1024, 1024)
    rate = 2 * 1024**3 / seconds(lambda: matrix @ matrix)
    flops = 2 * 2 * ROWS * INPUTS * HIDDEN  # forwards, and for the gradient of the weights
    print(f"matrix products: {rate / 1e9:.0f} Gflop a second, {flops / rate * 1e6:.2f} us for the {flops:,} of a run")
    for sharing in (1, len(TWO_LAYER_OPERATIONS)):
        floor = sampling / sharing + flops / rate
        print(f"floor of a run's iteration, {sharing} of one seed: {floor * 1e6:.1f} us")


if __name__ == "__main__":
    main()
