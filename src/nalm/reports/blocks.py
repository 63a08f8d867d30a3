"""Parts of a page, whatever format it is written in: sections of sentences, tables and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Block", "Link", "Picture", "Section", "Table", "minutes"]


@dataclass(frozen=True)
class Link:
    """A table cell that links to a section."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Table:
    """Rows of cells with headers and a caption."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str | Link]]


@dataclass(frozen=True)
class Picture:
    """An image file, and a text for readers who cannot see it."""

    path: Path
    alt: str


Block = str | Table | Picture
"""A paragraph, a table or a picture. In paragraphs and captions, text between backticks is code."""


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Arguments:
        anchor: target of links to the section.
        title: heading of the section.
        blocks: content of the section.
        details: further content that readers can open, by heading.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]
    details: Mapping[str, Sequence[Block]] = field(default_factory=dict)

    @property
    def pictures(self) -> list[Path]:
        """Files of the pictures in its blocks."""
        return [block.path for block in self.blocks if isinstance(block, Picture)]


def minutes(seconds: float) -> str:
    """Format a time in minutes; an unknown time, 0, is a dash."""
    return f"{seconds / 60:,.1f}" if seconds else "–"
