"""Files that are there whole or not at all."""

import contextlib
import errno
import hashlib
import os
import uuid
from pathlib import Path

__all__ = ["cache_directory", "content_hash", "disk_is_full", "last_line", "write_atomically"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a system says when there is no room: on the disk, in the user's quota, under ``ulimit -f``."""


def content_hash(content: bytes) -> str:
    """What tells whether a file is whole."""
    return hashlib.sha256(content).hexdigest()[:32]


def last_line(text: str) -> str:
    """The last line of a log or traceback that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it gave no reason")


def disk_is_full(error: BaseException) -> bool:
    """Whether something failed because there is no room."""
    return isinstance(error, OSError) and error.errno in FULL


def write_atomically(path: Path, content: bytes, beside: Path | None = None, durable: bool = True) -> None:
    """Writes a file beside its place and renames it, so that it is there whole or not at all.

    Arguments:
        path: its place.
        content: what it holds.
        beside: the directory it is written in first, on the same disk; by default its own.
        durable: whether it must survive a power failure, which takes some milliseconds.

    Raises:
        OSError: it cannot be written; nothing is left behind.
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
        with contextlib.suppress(OSError):  # what failed before is what matters
            first.unlink(missing_ok=True)


def cache_directory() -> Path:
    """Return the user's directory for what can be fetched or computed again: ``nalm`` in ``$XDG_CACHE_HOME``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nalm"
