"""A page of results, as Markdown with its figures beside it, or as one HTML file that contains everything."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from nalm.errors import NalmError
from nalm.paths import write_atomically
from nalm.reports.blocks import Block, Link, Picture, Section, Table
from nalm.reports.contents import contents
from nalm.reports.html import html
from nalm.text import markdown, markdown_cell

__all__ = ["report"]


def report(
    directories: Path | str | Sequence[Path | str],
    output: Path | str,
    on_section: Callable[[str], None] | None = None,
) -> list[Path]:
    """Write a page about everything in results directories.

    A Markdown page (``.md``) has its figures in ``figures/`` beside it. An HTML page (``.html``) is one file that needs
    no network. It also lists failed seeds with the expressions that they learnt instead, and the results' provenance.

    Arguments:
        directories: one results directory or several.
        output: the file.
        on_section: called with the title of each section that takes time, just before it is made.

    Returns:
        The files, the page first.

    Raises:
        NalmError: there are no results, the file has another suffix, a file cannot be written, or plotnine is not
            installed.
    """
    several = [directories] if isinstance(directories, Path | str) else directories
    sources, page = [Path(directory) for directory in several], Path(output)
    if page.suffix not in (".md", ".html"):
        raise NalmError(f"found {page.suffix or 'no suffix'!r} in {page}, expected .html or .md")
    try:
        if page.suffix == ".html":
            with tempfile.TemporaryDirectory() as directory:
                sections = contents(sources, Path(directory), ".svg", details=True, on_section=on_section)
                write_atomically(page, html(sections).encode())
            return [page]
        pictures = page.parent / "figures"
        pictures.mkdir(parents=True, exist_ok=True)
        sections = contents(sources, pictures, ".png", details=False, on_section=on_section)
        write_atomically(page, "\n".join(_markdown(sections)).encode())
    except OSError as error:
        raise NalmError(f"cannot write {page}: {error.strerror}") from None
    return [page, *(path for section in sections for path in section.pictures)]


def _markdown(sections: Iterable[Section]) -> Iterator[str]:
    for number, section in enumerate(sections):
        yield from [f"{'##' if number else '#'} {markdown(section.title)}", ""]
        for block in section.blocks:
            yield from [*_lines(block), ""]


def _lines(block: Block) -> list[str]:
    match block:
        case Picture(path, alt):
            return [f"![{markdown(alt)}](figures/{quote(path.name)})"]
        case Table(caption, headers, rows):
            return [markdown(caption), "", _row(headers), _row(["---"] * len(headers)), *map(_row, rows)]
    return [markdown(block)]


def _row(cells: Iterable[str | Link]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(cell: str | Link) -> str:
    if isinstance(cell, Link):
        return f"[{markdown_cell(cell.text)}](#{quote(cell.anchor)})"
    return markdown_cell(cell)
