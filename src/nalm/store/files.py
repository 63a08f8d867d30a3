"""Read the files of a results directory. What cannot be read is said, and never taken for missing."""

import errno
import os
import stat
from pathlib import Path

from nalm.errors import NalmError
from nalm.log import warn_once

__all__ = ["content_of", "listed", "regular_content", "remove"]

LARGEST = 2**32
"""Bytes. Larger files are refused, since reading them would fill the memory; no file of nalm's comes near."""


def listed(folder: Path, suffix: str, prefix: str = "") -> list[Path]:
    """Return the files of a folder that end with ``suffix``, sorted. Without the folder there are none.

    Hidden files are skipped: other systems leave some beside every file, such as ``._figure-3.json``.

    Raises:
        NalmError: the folder is there and cannot be read.
    """
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not os.path.lexists(folder):
            return []
        raise _unreadable(folder, error) from None
    except OSError as error:
        raise _unreadable(folder, error) from None
    shown = (name for name in sorted(names) if not name.startswith("."))
    return [folder / name for name in shown if name.startswith(prefix) and name.endswith(suffix)]


def content_of(path: Path) -> bytes | None:
    """Return the content of a file; None if there is no such file.

    Raises:
        NalmError: the file is there and cannot be read.
    """
    try:
        return regular_content(path)
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise _unreadable(path, OSError(errno.ENOENT, "it is a link to nothing")) from error
        return None
    except OSError as error:
        raise _unreadable(path, error) from None


def regular_content(path: Path) -> bytes:
    """Return the content of a regular file. Anything else, such as a pipe, might never end.

    Raises:
        OSError: it cannot be read, is too large, or is not a regular file.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_size > LARGEST:
        raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, expected at most {LARGEST:,}", str(path))
    return path.read_bytes()


def remove(path: Path) -> None:
    """Remove a file that is not needed any more; a warning tells if that is impossible."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        warn_once(f"cannot remove {path}: {error.strerror}")


def _unreadable(path: Path, error: OSError) -> NalmError:
    return NalmError(f"cannot read {path}: {error.strerror or error}")
