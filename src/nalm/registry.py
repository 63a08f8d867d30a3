"""One class for every extension point: built-in names, names of installed packages, and import paths.

What may be imported is decided here. Nothing is imported from the working directory, except what an import path names
where these are allowed.
"""

import ast
import contextlib
import difflib
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

__all__ = [
    "SAFE_PATH",
    "LazyMapping",
    "Registry",
    "children_without_working_directory",
    "did_you_mean",
    "import_paths",
    "names_in_stub",
    "names_other_code",
]

T = TypeVar("T")

SAFE_PATH = "PYTHONSAFEPATH"
"""The environment variable that keeps the working directory off Python's module path, as ``python -P`` does."""

IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]")

LOOKS_NOT_HERE = " (only what trains looks in the working directory; set PYTHONPATH=. if you trust the code there)"

_IMPORT_PATHS: ContextVar[bool | None] = ContextVar("import_paths", default=None)
"""Whether import paths are allowed, or forbidden. None: only those of what Python finds without our help."""


@contextlib.contextmanager
def import_paths(allowed: bool) -> Iterator[None]:
    """Allow or forbid import paths within a ``with`` block. Names of installed packages always work.

    Where they are allowed, Python looks in the working directory too, behind everything installed. Outside such blocks
    (commands that only read results) it looks only in what is installed.
    """
    token = _IMPORT_PATHS.set(allowed)
    try:
        yield
    finally:
        _IMPORT_PATHS.reset(token)


@contextlib.contextmanager
def children_without_working_directory() -> Iterator[None]:
    """Keep the working directory off the module path of Python processes that are started within a ``with`` block.

    Python puts it first for ``-c`` and ``-m``, so a file ``random.py`` there would replace the standard library's.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SAFE_PATH, None)
        else:
            os.environ[SAFE_PATH] = before


def names_other_code(text: str) -> bool:
    """Tell whether code of other packages may stand behind the names in a text.

    It may where an import path is named, and everywhere once a package with entry points of nalm is installed.
    """
    found = _installed(_search_path()).groups
    return IMPORT_PATH.search(text) is not None or any(group.startswith("nalm.") for group in found)


def _search_path() -> tuple[tuple[str, int], ...]:
    """Return the directories that packages are found in, and when something was last added to each."""
    found = []
    for directory in sys.path:
        with contextlib.suppress(OSError):
            found.append((directory, os.stat(directory or ".").st_mtime_ns))
    return tuple(found)


@lru_cache(maxsize=1)
def _installed(search_path: tuple[tuple[str, int], ...]) -> Any:
    """Return the entry points of all installed packages. Reading them takes a while, so it is done once."""
    return entry_points()


def did_you_mean(name: str, known: list[str]) -> str:
    """Return ``" (did you mean …?)"`` with the closest known name, or an empty string if none is close.

    >>> did_you_mean("NMRUU", ["NRU", "NMRU"])
    ' (did you mean NMRU?)'
    """
    folded = {item.casefold(): item for item in known}
    close = difflib.get_close_matches(name.casefold(), folded, 1, cutoff=0.7)
    return f" (did you mean {folded[close[0]]}?)" if close else ""


def names_in_stub(package_file: str) -> dict[str, list[str]]:
    """Return the public names that a package's stub, ``__init__.pyi``, imports, by the submodule that has them.

    Star imports are left out.

    Arguments:
        package_file: the ``__file__`` of the package.
    """
    stub = Path(package_file).with_suffix(".pyi").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for node in ast.parse(stub).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            found.setdefault(node.module, []).extend(alias.name for alias in node.names if alias.name != "*")
    return found


class LazyMapping(Mapping[str, T]):
    """Objects by name. A string ``package.module:attribute`` is imported when its name is first looked up."""

    def __init__(self, items: Mapping[str, T | str]) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> T:
        """Return the object with this name."""
        found = self._items[name]
        if isinstance(found, str):
            found = self._items[name] = cast(T, _attribute(found))
        return found

    def __contains__(self, name: object) -> bool:
        """Tell whether a name is known, without importing its object."""
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._items)


class Registry(Generic[T]):
    """The objects of one kind that people choose by name: modules, executors, kinds of figures …

    A name is looked up among the built-in names, then among the entry points ``nalm.<plural>`` of installed packages.
    An import path, ``package.module:attribute``, is imported, which runs that package's code; :func:`import_paths` can
    forbid it. Iterating gives every name, the built-in ones first.

    Arguments:
        kind: the word for one of them in error messages, such as ``module``.
        plural: the plural of that word, which names the group of entry points.
        built_in: the objects by name. A string ``package.module:attribute`` is imported when it is first used.
        check: raises ValueError for an imported object that is not of this kind.
        example: the import path that error messages show.

    >>> Registry("colour", "colours", {"red": 0xFF0000})["red"]
    16711680
    """

    def __init__(
        self,
        kind: str,
        plural: str,
        built_in: Mapping[str, T | str],
        check: Callable[[str, Any], None] = lambda path, found: None,
        example: str = "mypackage.mymodule:MyOwn",
    ) -> None:
        self.kind = kind
        self.group = f"nalm.{plural}"
        self._built_in = built_in if isinstance(built_in, LazyMapping) else LazyMapping(built_in)
        self._check = check
        self._example = example

    def __iter__(self) -> Iterator[str]:
        """Iterate over every name, as ``names`` lists them."""
        return iter(self.names())

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        """Tell whether a name is known. Import paths are not names."""
        return name in self._built_in or name in self._points().names

    def names(self) -> list[str]:
        """Return every name: the built-in ones in their order, then those of installed packages, sorted."""
        installed = {point.name for point in self._points()}
        return [*self._built_in, *sorted(installed - set(self._built_in))]

    def __getitem__(self, name: str) -> T:
        """Return the object with this name or import path.

        Raises:
            ValueError: the name is unknown, the import fails or is forbidden, or the object is of another kind.
        """
        if name in self._built_in:
            return self._built_in[name]
        if ":" in name:
            if _IMPORT_PATHS.get() is False:
                raise ValueError(
                    f"found {self.kind} {name!r}, an import path, whose code would be run: imports are not allowed"
                )
            if _IMPORT_PATHS.get():
                _look_in_working_directory()
            return self._imported(name)
        for point in self._points().select(name=name):
            return self._imported(point.value)
        raise ValueError(
            f"found unknown {self.kind} {name!r}{did_you_mean(name, self.names())}, "
            f"expected one of: {', '.join(self)}, or an import path such as {self._example}"
        )

    def check_name(self, name: str) -> str:
        """Return the name if an object has it. An import path is imported to find out.

        Raises:
            ValueError: as for looking it up.
        """
        self[name]
        return name

    def _points(self) -> EntryPoints:
        return cast(EntryPoints, _installed(_search_path()).select(group=self.group))

    def _imported(self, path: str) -> T:
        try:
            found = _attribute(path)
        except Exception as error:  # importing runs the package's code, which can raise anything
            hint = "" if _IMPORT_PATHS.get() is not None or not _is_here(path) else LOOKS_NOT_HERE
            raise ValueError(f"cannot import {self.kind} {path!r}: {error}{hint}") from error
        self._check(path, found)
        return cast(T, found)


def _look_in_working_directory() -> None:
    """Put the working directory behind everything on the module path.

    It stays there, because the imported code may import its neighbours later, while it trains.
    """
    with contextlib.suppress(OSError):  # somebody removed the directory
        if not {"", os.getcwd()} & set(sys.path):
            sys.path.append(os.getcwd())


def _is_here(path: str) -> bool:
    """Tell whether the working directory has the package or module of an import path."""
    name = path.partition(":")[0].partition(".")[0]
    return os.path.isdir(name) or os.path.isfile(f"{name}.py")


def _attribute(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
