"""Files of a results directory. Nothing outside it is read or written through links that lead out of it."""

import stat
from pathlib import Path

from nalm.errors import NalmError
from nalm.log import warn_once

__all__ = ["check_folder", "files_within", "is_within"]


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

    Others are left out with a warning: links that lead out of the directory or nowhere, pipes, devices.

    Arguments:
        directory: the results directory.
        folder: the folder in it; ``.`` stands for the directory itself.
        pattern: pattern of the files' names, or of their paths within the folder.

    Raises:
        NalmError: the folder is a link that leads out of the directory, or nowhere.
    """
    found = check_folder(directory, folder).glob(pattern)
    return [path for path in sorted(found) if is_within(path, directory)]


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
