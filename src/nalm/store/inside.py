"""Files of a results directory: the one place that looks for them and reads them.

Nothing outside the directory is read or written through links that lead out of it. What cannot be read is said, and
never taken for missing.
"""

import errno
import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path

from nalm.errors import NalmError
from nalm.log import warn_once

__all__ = ["check_folder", "content_of", "entries", "files_within", "is_within", "regular_content", "remove"]

LARGEST = 2**32
"""Bytes. Larger files are refused, since reading them would fill the memory. No file of nalm comes near."""


def check_folder(directory: Path, name: str) -> Path:
    """Return the path of a folder in a results directory, which need not exist.

    Raises:
        NalmError: it is a link that leads out of the directory, or nowhere.
    """
    folder = directory / name
    if not _leads_inside(folder, directory):
        raise NalmError(
            f"{folder} is a link that leads out of the results directory, or nowhere: expected a folder in it "
            "(the whole directory may be a link)"
        )
    return folder


def files_within(directory: Path, folder: str, pattern: str) -> list[Path]:
    """Return the regular files in a folder of a results directory that match a pattern, sorted.

    Others are left out with a warning: links that lead out of the directory or nowhere, pipes, devices. Hidden files
    are left out without: other systems put some beside every file, such as ``._figure-3.json``.

    Arguments:
        directory: the results directory.
        folder: the folder in it; ``.`` stands for the directory itself.
        pattern: pattern of the files' names.

    Raises:
        NalmError: the folder cannot be read, or is a link that leads out of the directory, or nowhere.
    """
    found = entries(check_folder(directory, folder))
    return [path for path in found if fnmatchcase(path.name, pattern) and is_within(path, directory)]


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, without hidden files, sorted. In a folder that is not there is nothing.

    Raises:
        NalmError: the folder is there and cannot be read.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        if not os.path.lexists(folder):
            return []
        raise _unreadable(folder, error) from None
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def is_within(path: Path, directory: Path) -> bool:
    """Tell whether a path leads to a regular file in a results directory; warn if it leads to anything else."""
    try:
        kind = path.lstat().st_mode
    except OSError:
        return False  # it is not there, or not any more
    if not _leads_inside(path, directory):
        problem = "is a link that leads out of the results directory, or nowhere"
    elif not stat.S_ISREG(path.stat().st_mode if stat.S_ISLNK(kind) else kind):
        problem = "is no regular file"
    else:
        return True
    warn_once(f"{path} {problem}: it is left out")
    return False


def _leads_inside(path: Path, directory: Path) -> bool:
    """Tell whether a path leads to something in a directory, through whatever links."""
    below = [path, *path.parents][: len(path.relative_to(directory).parts)]
    if not any(part.is_symlink() for part in below):
        return True
    try:
        return path.resolve(strict=True).is_relative_to(directory.resolve())
    except (OSError, RuntimeError):  # nothing is there, or the links go in circles
        return False


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
