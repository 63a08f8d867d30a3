"""The Mersenne Twister, compiled for this machine: numpy's uniform numbers, drawn several times as fast.

It updates the whole state at once with vector instructions; numpy goes word by word.
"""

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nalm.paths import first_line
from nalm.training.compiling import load_cpp

__all__ = ["Twister", "twister_problem"]

_SOURCE = r"""
#include <cstdint>

#pragma GCC optimize("tree-loop-vectorize")  // torch's compiler writes its own vector code, and has gcc's turned off

namespace {

constexpr int N = 624, M = 397, BLOCK = 16;

inline uint32_t mix(uint32_t upper, uint32_t lower, uint32_t other) {
    const uint32_t y = (upper & 0x80000000u) | (lower & 0x7fffffffu);
    return other ^ (y >> 1) ^ ((0u - (lower & 1u)) & 0x9908b0dfu);
}

// In three parts, none of which needs what it makes itself.
void twist(uint32_t* k) {
    for (int i = 0; i < N - M; i++) k[i] = mix(k[i], k[i + 1], k[i + M]);
    for (int i = N - M; i < 2 * (N - M); i++) k[i] = mix(k[i], k[i + 1], k[i + M - N]);
    for (int i = 2 * (N - M); i < N - 1; i++) k[i] = mix(k[i], k[i + 1], k[i + M - N]);
    k[N - 1] = mix(k[N - 1], k[0], k[M - 1]);
}

void temper(const uint32_t* k, uint32_t* tempered) {
    for (int i = 0; i < N; i++) {
        uint32_t y = k[i];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        tempered[i] = y ^ (y >> 18);
    }
}

inline double from_words(uint32_t a, uint32_t b) {
    return ((double)(int32_t)(a >> 5) * 67108864.0 + (double)(int32_t)(b >> 6)) * (1.0 / 9007199254740992.0);
}

}  // namespace

// Draws batches of (rows, columns), and stores each transposed, as (columns, rows), `stride` numbers after the one
// before. `state` is 624 words, `scratch` holds 16 rows.
extern "C" int64_t draw(uint32_t* state, int64_t position, double* out, int64_t batches, int64_t stride, int64_t rows,
                        int64_t columns, double* scratch) {
    uint32_t tempered[N];
    temper(state, tempered);
    int64_t at = position;
    for (int64_t batch = 0; batch < batches; batch++, out += stride) {
        for (int64_t first = 0; first < rows; first += BLOCK) {
            const int64_t height = rows - first < BLOCK ? rows - first : BLOCK, wanted = height * columns;
            for (int64_t done = 0; done < wanted;) {
                if (at >= N - 1) {
                    const uint32_t last = tempered[N - 1];
                    const bool half = at == N - 1;
                    twist(state);
                    temper(state, tempered);
                    at = half ? 1 : 0;
                    if (half) scratch[done++] = from_words(last, tempered[0]);
                    continue;
                }
                const int64_t there = (N - at) / 2, count = there < wanted - done ? there : wanted - done;
                for (int64_t i = 0; i < count; i++)
                    scratch[done + i] = from_words(tempered[at + 2 * i], tempered[at + 2 * i + 1]);
                done += count;
                at += 2 * count;
            }
            for (int64_t column = 0; column < columns; column++)
                for (int64_t row = 0; row < height; row++)
                    out[column * rows + first + row] = scratch[row * columns + column];
        }
    }
    return at;
}
"""
_BLOCK = 16


@cache
def _library() -> ctypes.CDLL:
    library = load_cpp(_SOURCE)
    library.draw.restype = ctypes.c_int64
    library.draw.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, *[ctypes.c_int64] * 4, ctypes.c_void_p]
    return library


@cache
def twister_problem() -> str | None:
    """Return why the Mersenne Twister cannot be used here (no compiler, or other numbers than numpy's), or None."""
    try:
        ours, theirs = Twister(7), np.random.RandomState(7)
        for _ in range(3):
            drawn = np.empty((2, 5, 33))
            ours.fill(drawn)
            if not np.array_equal(drawn, theirs.random_sample((2, 33, 5)).swapaxes(1, 2)):
                return "it does not draw numpy's numbers"
    except Exception as error:  # any error of the tool chain
        return first_line(error)
    return None


class Twister:
    """A random stream with the uniform numbers of ``numpy.random.RandomState``.

    Arguments:
        seed: seed of the ``RandomState``.
    """

    def __init__(self, seed: int) -> None:
        self._scratch = np.empty(0)
        self.set_state(np.random.RandomState(seed).get_state())

    def get_state(self) -> tuple[str, npt.NDArray[np.uint32], int, int, float]:
        """Return the state in numpy's format."""
        return "MT19937", self._words.copy(), self._position, 0, 0.0

    def set_state(self, state: Any) -> None:
        """Set the state from numpy's format; a cached normal number is ignored."""
        _, words, position, *_ = state
        self._words = np.array(words, dtype=np.uint32)
        self._position = int(position)

    def fill(self, out: npt.NDArray[np.float64]) -> None:
        """Fill ``(batches, columns, rows)`` with the numbers of ``random_sample((batches, rows, columns))``.

        Every batch must be contiguous.
        """
        batches, columns, rows = out.shape
        if len(self._scratch) < _BLOCK * columns:
            self._scratch = np.empty(_BLOCK * columns)
        assert out.dtype == np.float64
        assert out.strides[1:] == (8 * rows, 8)
        self._position = _library().draw(
            self._words.ctypes.data,
            self._position,
            out.ctypes.data,
            batches,
            out.strides[0] // 8,
            rows,
            columns,
            self._scratch.ctypes.data,
        )
