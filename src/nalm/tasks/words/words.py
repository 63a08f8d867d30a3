"""The numbers from 1 to 999 in English words, and their split into training, validation and test data."""

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
"""How many numbers are for testing and for validation; the other 169 are for training."""
Integers = npt.NDArray[np.int64]
LARGEST = 999
TOKENS = 5
"""Words of the longest numbers, such as ``nine hundred and ninety nine``; others are padded with the token ``PAD``."""
PAD = 0
SMALL = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
VOCABULARY = ("", "and", *SMALL, *TENS, "hundred")
"""Words by token; the first token is padding."""


class NumberSplit(NamedTuple):
    """Numbers for training, validation and testing."""

    train: Integers
    validation: Integers
    test: Integers


def number_words(number: int) -> list[str]:
    """Return the words of a number from 1 to 999.

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
    """Return the number that words stand for.

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
    """Return the tokens of the words of numbers, ``(n)`` to ``(n, 5)``."""
    padded = np.full((len(numbers), TOKENS), PAD, dtype=np.int64)
    for row, number in zip(padded, numbers.tolist(), strict=True):
        words = [VOCABULARY.index(word) for word in number_words(number)]
        row[: len(words)] = words
    return padded


def split_numbers(seed: int) -> NumberSplit:
    """Split the numbers from 1 to 999 as the original does, so that every word occurs in training.

    The numbers up to 19, which share no word, are for training. The others follow in random order: numbers with a word
    that has not occurred in training yet are for training, the next 630 for testing, the next 200 for validation, and
    the rest for training.
    """
    train = list(range(1, len(SMALL) + 1))
    validation: list[int] = []
    test: list[int] = []
    known = set(SMALL)
    for number in np.random.RandomState(seed).permutation(np.arange(len(SMALL) + 1, LARGEST + 1)).tolist():
        words = set(number_words(number))
        if not words <= known:
            train.append(number)
            known |= words
        elif len(test) < TESTED:
            test.append(number)
        elif len(validation) < VALIDATED:
            validation.append(number)
        else:
            train.append(number)
    return NumberSplit(*(np.array(numbers, dtype=np.int64) for numbers in (train, validation, test)))
