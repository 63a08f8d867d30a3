"""A results directory that a page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nalm.reports.blocks import Block, Section
from nalm.store.store import Store

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """A results directory that a page shows, possibly beside others.

    Arguments:
        store: the directory.
        pictures: directory for the pictures.
        suffix: format of the pictures, such as ``.png``.
        prefix: prefix that makes anchors and file names unique among several directories.
        where: added to titles to name the directory, if there are several.
    """

    store: Store
    pictures: Path
    suffix: str
    prefix: str = ""
    where: str = ""

    def section(
        self, name: str, blocks: Sequence[Block], details: Mapping[str, Sequence[Block]] | None = None, title: str = ""
    ) -> Section:
        """Make a section of a name that is unique within the directory; by default, the name is its title."""
        return Section(self.prefix + name, (title or name) + self.where, blocks, details or {})

    def picture(self, name: str, suffix: str = "") -> Path:
        """Return the path of a picture; by default in the format of the page."""
        return self.pictures / f"{self.prefix}{name}{suffix or self.suffix}"
