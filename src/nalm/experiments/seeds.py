"""Parsing and formatting of lists of seeds."""

import re
from collections.abc import Sequence

from nalm.errors import NalmError

__all__ = ["parse_seeds", "show_seeds"]

LARGEST_SEED = 2**32 - 1


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse ``0-24``, ``7`` or ``0-4,10,12``; keep the order, and each seed once.

    Raises:
        NalmError: the text has another form, or a seed is too large.

    >>> parse_seeds("0-2,7")
    (0, 1, 2, 7)
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,20})(?:-(\d{1,20}))?\s*", part)
        if match is None:
            raise NalmError(f"found seeds {text[:60]!r}, expected numbers and ranges such as 0-24 or 0-4,10")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last <= LARGEST_SEED:
            raise NalmError(f"found seeds {part.strip()!r}, expected first <= last <= {LARGEST_SEED}")
        if last - first >= 1_000_000:
            raise NalmError(f"found seeds {part.strip()!r}, expected at most a million")
        seeds |= dict.fromkeys(range(first, last + 1))
    return tuple(seeds)


def show_seeds(seeds: Sequence[int]) -> str:
    """Format seeds for :func:`parse_seeds`, sorted.

    >>> show_seeds([0, 1, 2, 7])
    '0-2,7'
    """
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and runs[-1][1] == seed - 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)
