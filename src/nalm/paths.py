"""Files that are written completely or not at all, and what goes wrong with files."""

import contextlib
import errno
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from nalm.errors import NalmError

__all__ = [
    "cache_directory",
    "content_hash",
    "disk_is_full",
    "first_line",
    "last_line",
    "user_directory",
    "write_atomically",
    "writing",
]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Error numbers of a system without room: on the disk, in the user's quota, under ``ulimit -f``."""


def content_hash(content: bytes) -> str:
    """Return the hash that tells whether a file is damaged."""
    return hashlib.sha256(content).hexdigest()[:32]


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def last_line(text: str) -> str:
    """Return the last line of a log or traceback that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it gave no reason")


def disk_is_full(error: BaseException) -> bool:
    """Tell whether an error means that there is no room on the disk."""
    return isinstance(error, OSError) and error.errno in FULL


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn errors of the system within a ``with`` block into sentences.

    Raises:
        NalmError: ``what`` cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise NalmError(f"cannot write {what}: {error.strerror}") from None


def write_atomically(path: Path, content: bytes, beside: Path | None = None, durable: bool = True) -> None:
    """Write a file under another name and rename it, so that it is complete or absent.

    Arguments:
        path: the path of the file.
        content: the content of the file.
        beside: the directory to write it in first, on the same disk; by default that of the file.
        durable: whether the file must survive a power failure, which takes some milliseconds.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    first = (beside or path.parent) / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with first.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        first.replace(path)
    finally:
        with contextlib.suppress(OSError):  # the error that came before is the one to report
            first.unlink(missing_ok=True)


def user_directory(variable: str, fallback: str) -> Path:
    """Return nalm's own directory in one of the user's base directories (XDG).

    Arguments:
        variable: the environment variable that names the base directory, such as ``XDG_CACHE_HOME``.
        fallback: the base directory within the home directory, where the variable is not set.

    Raises:
        NalmError: the variable is not set, and this user has no home directory.
    """
    base = os.environ.get(variable)
    try:
        return (Path(base) if base else Path.home() / fallback) / "nalm"
    except RuntimeError:
        raise NalmError(f"found no home directory, expected HOME or {variable} in the environment") from None


def cache_directory() -> Path:
    """Return nalm's directory for what can be made again; a temporary one for users without a home directory."""
    try:
        return user_directory("XDG_CACHE_HOME", ".cache")
    except NalmError:
        return Path(tempfile.gettempdir()) / f"nalm-{os.getuid()}"
