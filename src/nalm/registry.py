"""One class for every extension point: names that are built in, offered by other packages, or import paths."""

import contextlib
import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

__all__ = ["Registry", "did_you_mean", "import_paths"]

T = TypeVar("T")

_IMPORT_PATHS = ContextVar("import_paths", default=True)


@contextlib.contextmanager
def import_paths(allowed: bool) -> Iterator[None]:
    """Allow or refuse import paths within a ``with`` block; names that installed packages offer always work."""
    token = _IMPORT_PATHS.set(allowed)
    try:
        yield
    finally:
        _IMPORT_PATHS.reset(token)


def did_you_mean(name: str, known: list[str]) -> str:
    """Return ``", did you mean …?"`` with the closest known name, or nothing where none is close.

    >>> did_you_mean("NMRUU", ["NRU", "NMRU"])
    ', did you mean NMRU?'
    """
    folded = {item.casefold(): item for item in known}
    close = difflib.get_close_matches(name.casefold(), folded, 1, cutoff=0.7)
    return f", did you mean {folded[close[0]]}?" if close else ""


class Registry(Generic[T]):
    """The things of one kind that can be named: modules, executors, figures …

    A name is looked for among those that are built in, then among the entry points ``nalm.<plural>`` of installed
    packages. A name with a colon, ``package.module:attribute``, is imported, which runs that package's code;
    :func:`import_paths` can forbid it.

    Arguments:
        kind: what one is called, such as ``module``.
        plural: what several are called; it names the group of entry points.
        built_in: the things by name, or where they are, as ``package.module:attribute``: imported when first used.
        check: raises ValueError for what was imported and is not of this kind.
        example: an import path to show in errors.

    >>> Registry("colour", "colours", {"red": 0xFF0000})["red"]
    16711680
    """

    def __init__(
        self,
        kind: str,
        plural: str,
        built_in: Mapping[str, T | str],
        check: Callable[[str, Any], None] = lambda name, thing: None,
        example: str = "mypackage.mymodule:MyOwn",
    ) -> None:
        self.kind = kind
        self.group = f"nalm.{plural}"
        self._built_in = dict(built_in)
        self._check = check
        self._example = example

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names that are built in."""
        return iter(self._built_in)

    def __contains__(self, name: object) -> bool:
        """Tell whether a name is built in."""
        return name in self._built_in

    def names(self) -> list[str]:
        """Return every name that is known: those built in, then those of installed packages."""
        return [*self, *sorted(point.name for point in entry_points(group=self.group) if point.name not in self)]

    def __getitem__(self, name: str) -> T:
        """Find a thing by its name.

        Raises:
            ValueError: nothing has the name, or it cannot be imported.
        """
        if name in self._built_in:
            thing = self._built_in[name]
            if isinstance(thing, str):
                thing = self._built_in[name] = cast(T, _attribute(thing))
            return thing
        if ":" in name:
            if not _IMPORT_PATHS.get():
                raise ValueError(
                    f"found {self.kind} {name!r}, an import path, whose code would be run: imports are not allowed"
                )
            return self._imported(name)
        for point in entry_points(group=self.group, name=name):
            return self._imported(point.value)
        raise ValueError(
            f"found unknown {self.kind} {name!r}{did_you_mean(name, self.names())}{self._expected()}, "
            f"or an import path such as {self._example}"
        )

    def check_name(self, name: str) -> str:
        """Return a name that can be found; import paths are imported.

        Raises:
            ValueError: as for looking it up.
        """
        self[name]
        return name

    def _expected(self) -> str:
        return f", expected one of: {', '.join(self.names())}"

    def _imported(self, path: str) -> T:
        try:
            thing = _attribute(path)
        except Exception as error:  # whatever the package raises while it is imported
            raise ValueError(f"cannot import {self.kind} {path!r}: {error}") from error
        self._check(path, thing)
        return cast(T, thing)


def _attribute(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
