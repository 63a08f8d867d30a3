"""The numbers from 1 to 999 in words, and their split."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "LARGEST",
    "PAD",
    "TESTED",
    "TOKENS",
    "VALIDATED",
    "VOCABULARY",
    "NumberSplit",
    "number_words",
    "read_number",
    "split_numbers",
    "tokens",
]

TESTED, VALIDATED = 630, 200
"""So many numbers to test and to validate; the 169 others are to train."""
Integers = npt.NDArray[np.int64]


LARGEST = 999


TOKENS = 5
"""Of the longest numbers, as ``nine hundred and ninety nine``; others are filled up with the token ``PAD``."""


PAD = 0


SMALL = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)


TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


VOCABULARY = ("", "and", *SMALL, *TENS, "hundred")
"""Words by token; the first one is none."""


class NumberSplit(NamedTuple):
    """Numbers to train, to validate and to test."""

    train: Integers
    validation: Integers
    test: Integers


def number_words(number: int) -> list[str]:
    """The words of a number from 1 to 999.

    >>> " ".join(number_words(121))
    'one hundred and twenty one'
    """
    hundreds, rest = divmod(number, 100)
    if hundreds:
        return [SMALL[hundreds - 1], "hundred", *(["and", *number_words(rest)] if rest else [])]
    if number <= len(SMALL):
        return [SMALL[number - 1]]
    tens, ones = divmod(number, 10)
    return [TENS[tens - 2], *([SMALL[ones - 1]] if ones else [])]


def read_number(words: Sequence[str]) -> int:
    """The number that words are of.

    >>> read_number(["one", "hundred", "and", "five"])
    105
    """
    number = 0
    for word in words:
        if word == "hundred":
            number *= 100
        elif word in SMALL:
            number += SMALL.index(word) + 1
        elif word in TENS:
            number += 10 * (TENS.index(word) + 2)
    return number


def tokens(numbers: Integers) -> Integers:
    """Tokens of the words of numbers, ``(n)`` to ``(n, 5)``."""
    filled = np.full((len(numbers), TOKENS), PAD, dtype=np.int64)
    for row, number in zip(filled, numbers.tolist(), strict=True):
        words = [VOCABULARY.index(word) for word in number_words(number)]
        row[: len(words)] = words
    return filled


def split_numbers(seed: int) -> NumberSplit:
    """Splits the numbers from 1 to 999 as the original does: every word is one to train on.

    Those up to 19 are to train, which have no word in common, and of the others, in a random order, whatever has a word
    that is not; then 630 are to test, 200 to validate, and what is left is to train.
    """
    train = list(range(1, len(SMALL) + 1))
    validation: list[int] = []
    test: list[int] = []
    seen = set(SMALL)
    for number in np.random.RandomState(seed).permutation(np.arange(len(SMALL) + 1, LARGEST + 1)).tolist():
        words = set(number_words(number))
        if not words <= seen:
            train.append(number)
            seen |= words
        elif len(test) < TESTED:
            test.append(number)
        elif len(validation) < VALIDATED:
            validation.append(number)
        else:
            train.append(number)
    return NumberSplit(*(np.array(numbers, dtype=np.int64) for numbers in (train, validation, test)))
