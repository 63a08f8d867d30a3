import numpy as np
import pytest
from pydantic import ValidationError

from nalm.tasks.digits.data import sequences, training_seed
from nalm.tasks.digits.images import Split
from nalm.tasks.digits.task import DigitTask


def _task(**fields: object) -> DigitTask:
    return DigitTask.model_validate({"operation": "add", "length": 2, "test_length": 20} | fields)


@pytest.fixture
def split() -> Split:
    labels = np.arange(50, dtype=np.int64) % 10
    return Split(np.zeros((50, 1, 28, 28), dtype=np.uint8), labels)


@pytest.mark.parametrize(
    ("operation", "targets"),
    [("add", [4, 6, 14, 15]), ("mul", [4, 8, 64, 64]), ("div", [2, 0.25, 0.25])],
)
def test_targets_are_the_results_after_every_image(operation: str, targets: list[float]) -> None:
    task = _task(operation=operation, digits="1-9")
    assert task.targets(np.array([[4, 2, 8, 1]])).tolist() == [targets]


def test_sequences_take_every_image_of_their_digits_once_in_a_random_order(split: Split) -> None:
    made = sequences(_task(digits="1-9"), split, 3, seed=1)
    assert made.images.shape == (15, 3)
    assert sorted(made.images.ravel()) == np.flatnonzero(split.labels).tolist()
    expected = np.random.RandomState(1).permutation(np.flatnonzero(split.labels))
    assert made.images.ravel().tolist() == expected.tolist()


def test_images_return_where_they_do_not_suffice(split: Split) -> None:
    made = sequences(_task(), split, 20, seed=1, images=200)
    assert made.images.shape == (10, 20)
    assert np.bincount(made.images.ravel()).tolist() == [4] * 50
    assert np.array_equal(
        sequences(_task(), split, 5, seed=1, images=10).images, sequences(_task(), split, 5, 1).images
    )


def test_the_seed_of_training_is_the_first_that_the_runs_own_seed_draws() -> None:
    # The original's, of tasks for which nothing else is drawn.
    assert [training_seed(seed) for seed in (0, 1, 2)] == [2357136044, 1791095845, 1872583848]


def test_digits_are_written_as_a_range_or_a_list() -> None:
    assert _task(digits="1-9").digits == tuple(range(1, 10))
    assert _task(digits=[2, 7]).digits == (2, 7)
    assert _task(digits=3).digits == (3,)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"digits": "3-12"}, "expected digits such as 0-9"),
        ({"digits": [1, 1]}, r"found digits \[1, 1\], expected each once"),
        ({"operation": "div"}, "found the digit 0 with div, expected digits from 1 to 9"),
        ({"operation": "div", "digits": "1-9", "test_length": 1}, "found sequences of 1 digit with div"),
        ({"operation": "div", "digits": "1-9", "outputs": 2}, "found 2 outputs with div, expected 1"),
        ({"encoder": "resnet18"}, "found encoder resnet18 for embedded, expected cnn"),
        ({"operation": "root"}, "Input should be 'add', 'mul' or 'div'"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        _task(**fields)
