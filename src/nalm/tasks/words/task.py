"""The task of translating numbers from words, such as ``one hundred and five``, and these words."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, StrictFloat

from nalm.spec.ranges import Interval, Range
from nalm.spec.thresholds import JUDGED_ROWS
from nalm.tasks.recurrent import OF_INPUTS, RecurrentTask

__all__ = [
    "LARGEST",
    "PAD",
    "TOKENS",
    "VOCABULARY",
    "NumberSplit",
    "WordTask",
    "number_words",
    "read_number",
    "split_numbers",
    "tokens",
]

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
TESTED, VALIDATED = 630, 200
"""So many numbers to test and to validate; the 169 others are to train."""

REFUSED = ("input_size", *(name for name in OF_INPUTS if name != "hidden_size"))
"""Fields of tasks whose inputs are drawn."""

Integers = npt.NDArray[np.int64]


class WordTask(RecurrentTask):
    """What is to be learnt from the words of the numbers from 1 to 999: the number.

    A network reads one word after the other, with embeddings and a cell of ``hidden_size``; what it says after the last
    is the result. ``operation: translate`` is what tells the task from others.

    The threshold of 0.25 is that of a typical error (the root of their mean square) below one half, with which a number
    is rounded to the right one. It is a choice of this library: the original has none.

    References:
        Neural Arithmetic Logic Units (Trask et al., 2018), https://arxiv.org/abs/1808.00508, of which this is the task
        as the code of Neural Arithmetic Units (Madsen & Johansen, ICLR 2020), https://arxiv.org/abs/2001.05016, has it
    """

    learnt_from: ClassVar[str] = "number words"
    operation: Literal["translate"]
    train: Range = Interval(intervals=((1, LARGEST + 1),))
    test: Range = Interval(intervals=((1, LARGEST + 1),))
    threshold: Annotated[StrictFloat, Field(gt=0)] = 0.25

    def _check_sizes(self) -> None:
        if found := [name for name in REFUSED if name in self.model_fields_set]:
            raise ValueError(f"found {found[0]} with number words, expected none: their inputs are not drawn")

    @property
    def label(self) -> str:
        """Which numbers."""
        return f"1 to {LARGEST}"

    @property
    def trained_on(self) -> str:
        """For people: how many numbers."""
        return f"{LARGEST - TESTED - VALIDATED} numbers"

    @property
    def tested_on(self) -> str:
        """For people: how many numbers."""
        return f"{TESTED} others"

    @property
    def module_inputs(self) -> int:
        """Inputs of what learns: what is said of a word, and the last result."""
        return self.hidden_size + 1

    def gold_operands(self) -> list[int]:
        """None: there is no operation on inputs.

        Raises:
            ValueError: always.
        """
        raise ValueError("found number words, expected a task on numbers for gold weights")

    @property
    def training(self) -> Self:
        """What tasks have in common that one network learns."""
        return self.model_copy(update={"threshold": 0.25, "judged_rows": JUDGED_ROWS})

    @property
    def limit(self) -> float:
        """The threshold."""
        return self.threshold

    @property
    def training_steps(self) -> int:
        """Words of a number, or what they are filled up with."""
        return TOKENS

    @property
    def numbers_per_step(self) -> int:
        """What is said of a word, and the last result."""
        return self.module_inputs


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
