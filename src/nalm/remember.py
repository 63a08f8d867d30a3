"""Remember answers between processes: what takes seconds to find out, and follows from code that is installed.

The checks of recipes, the options of modules and computed thresholds need torch. Commands that train nothing ask for
the same answers again and again, so these are kept in a file of the user's cache. The file is named after the
:func:`fingerprint` of everything that could change an answer, and holds the hash of its own content: what is stale or
damaged is never read.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar, cast

from nalm.errors import NalmError
from nalm.paths import content_hash, user_directory, write_atomically
from nalm.registry import names_other_code

__all__ = ["Memory", "fingerprint", "remembered"]

T = TypeVar("T")

LIBRARIES = ("torch", "numpy", "scipy", "pydantic", "torchvision")
"""Libraries whose version can change an answer."""
KEPT = 8
"""Number of files of other fingerprints that are kept: those of other environments and versions."""


@functools.cache
def fingerprint() -> str:
    """Return the hash of this package's code, of the versions of the libraries that it uses, and of the processor."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.suffix in (".py", ".yaml"):
            found.update(path.read_bytes())
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found.update(f"{library} {version(library)}".encode())
    found.update(f"{platform.python_version()} {platform.machine()} {_processor()}".encode())
    return found.hexdigest()[:32]


def _processor() -> str:
    """Return what the system says about the processor: sums are rounded differently on others."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return line
    return platform.processor()


class Memory:
    """Answers in a file, which is read when the first is asked for, and written when the process ends.

    Arguments:
        path: returns the path of the file, or None to remember nothing.
    """

    def __init__(self, path: Callable[[], Path | None]) -> None:
        self._path = path
        self._known: dict[str, Any] | None = None
        self._new: dict[str, Any] = {}

    def __contains__(self, question: str) -> bool:
        """Tell whether the answer is known."""
        return question in self._answers()

    def __getitem__(self, question: str) -> Any:
        """Return the answer."""
        return self._answers()[question]

    def __setitem__(self, question: str, answer: Any) -> None:
        """Remember an answer."""
        if not self._new:
            atexit.register(self.write)
        self._answers()[question] = self._new[question] = answer

    def _answers(self) -> dict[str, Any]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[str, Any]:
        path = self._path()
        with contextlib.suppress(OSError, ValueError, TypeError):
            digest, _, content = path.read_bytes().partition(b"\n") if path else (b"", b"", b"")
            if digest == content_hash(content).encode():
                return dict(json.loads(content))
        return {}

    def write(self) -> None:
        """Add new answers to the file. Other processes may have added some, too; nothing depends on the file."""
        path = self._path()
        if path is None or not self._new:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            content = json.dumps(self._read() | self._new).encode()
            write_atomically(path, content_hash(content).encode() + b"\n" + content, durable=False)
            others = sorted(path.parent.glob("*.json"), key=lambda other: other.stat().st_mtime)
            for old in others[: -KEPT - 1]:
                old.unlink()
        self._new = {}


def _path() -> Path | None:
    try:
        return user_directory("XDG_CACHE_HOME", ".cache") / "answers" / f"{fingerprint()}.json"
    except (OSError, NalmError):  # the code cannot be read, or the user has no home
        return None


MEMORY = Memory(_path)


def remembered(question: str, about: str, find: Callable[[], T]) -> T:
    """Return the answer to a question, from memory if it is known there.

    Nothing is remembered about what code of other packages decides, since that code can change: where an import path is
    named, or a package with entry points of nalm is installed. Answers that JSON cannot hold are found anew each time.

    Arguments:
        question: the question.
        about: what it is asked about, as JSON or as a name.
        find: finds the answer. What it raises is not remembered.

    >>> remembered("how much is", "1 + 1", lambda: 1 + 1)
    2
    """
    text = f"{question}: {about}"
    if names_other_code(about):
        return find()
    if text in MEMORY:
        return cast(T, MEMORY[text])
    answer = find()
    with contextlib.suppress(TypeError):
        if json.loads(json.dumps(answer)) == answer:
            MEMORY[text] = answer
    return answer
