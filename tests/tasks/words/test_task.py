import numpy as np
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from nalm.tasks import family_of
from nalm.tasks.words.task import WordTask
from nalm.tasks.words.words import PAD, TOKENS, VOCABULARY, number_words, read_number, split_numbers, tokens

ALL = range(1, 1000)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "one"),
        (19, "nineteen"),
        (20, "twenty"),
        (21, "twenty one"),
        (100, "one hundred"),
        (105, "one hundred and five"),
        (312, "three hundred and twelve"),
        (940, "nine hundred and forty"),
        (999, "nine hundred and ninety nine"),
    ],
)
def test_numbers_are_written_in_english(number: int, words: str) -> None:
    assert " ".join(number_words(number)) == words


def test_words_read_back_are_the_number() -> None:
    assert [read_number(number_words(number)) for number in ALL] == list(ALL)


def test_the_vocabulary_has_30_tokens_and_all_are_used() -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY) == 30
    assert VOCABULARY[PAD] == ""
    assert {word for number in ALL for word in number_words(number)} == set(VOCABULARY) - {""}


def test_tokens_are_the_words_filled_up_at_the_end() -> None:
    found = tokens(np.array(ALL))
    assert found.shape == (999, TOKENS)
    assert [[VOCABULARY[token] for token in row if token != PAD] for row in found] == list(map(number_words, ALL))
    assert all((np.diff((row == PAD).astype(int)) >= 0).all() for row in found)
    assert (found != PAD).sum(1).max() == TOKENS


@given(st.integers(0, 2**32 - 1))
def test_every_word_is_one_to_train_on_and_every_number_is_somewhere_once(seed: int) -> None:
    train, validation, test = split_numbers(seed)
    assert [len(train), len(validation), len(test)] == [169, 200, 630]
    assert sorted([*train, *validation, *test]) == list(ALL)
    assert set(range(1, 20)) <= set(train.tolist())
    assert {word for number in train.tolist() for word in number_words(number)} == set(VOCABULARY) - {""}


def test_numbers_go_to_test_in_the_order_that_the_seed_draws_but_for_those_with_new_words() -> None:
    order = np.random.RandomState(7).permutation(np.arange(20, 1000)).tolist()
    train, validation, test = (numbers.tolist() for numbers in split_numbers(7))
    assert train[19] == order[0]  # there is no number above 19 without a word that those up to it do not have
    later = [number for number in order if number not in train]
    assert [*test, *validation] == later
    assert split_numbers(8).test.tolist() != test


def test_tasks_that_translate_are_on_words() -> None:
    task = WordTask.model_validate({"operation": "translate"})
    assert family_of({"operation": "translate"}) is WordTask
    assert task.model_dump(mode="json", exclude_defaults=True) == {"operation": "translate"}
    assert (task.module_inputs, task.limit, task.label) == (3, 0.25, "1 to 999")
    assert task.model_copy(update={"threshold": 1.0, "judged_rows": 9}).training == task


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"train": [1, 2]}, "Extra inputs are not permitted"),
        ({"input_size": 3}, "Extra inputs are not permitted"),
        ({"operation": "add"}, "Input should be 'translate'"),
        ({"threshold": "perturbed"}, "Input should be a valid number"),
        ({"steps": 3}, "Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        WordTask.model_validate({"operation": "translate"} | fields)
    with pytest.raises(ValueError, match="found number words, expected a task on rows of numbers"):
        WordTask.model_validate({"operation": "translate"}).gold_operands()
