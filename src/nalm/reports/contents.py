"""Sections of a page of results, whatever format it is written in."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nalm.analysis.results import load
from nalm.experiments.index import COMPUTED_FIGURES, in_the_papers_order
from nalm.reports.blocks import Section
from nalm.reports.computed import computed_section
from nalm.reports.details import details_of
from nalm.reports.experiment import experiment_section
from nalm.reports.overview import overview_section
from nalm.reports.source import Source
from nalm.store.store import Store

__all__ = ["contents"]


def contents(
    directories: Sequence[Path],
    pictures: Path,
    suffix: str,
    details: bool,
    on_section: Callable[[str], None] | None = None,
) -> list[Section]:
    """Return the sections of a page about everything in results directories, each after an overview.

    Arguments:
        directories: the results directories.
        pictures: directory for the pictures.
        suffix: format of the pictures, such as ``.png``.
        details: whether sections have details.
        on_section: called with the title of each section that takes time, just before it is made.

    Raises:
        NalmError: there are no results, or plotnine is not installed.
    """
    stores = [Store.existing(directory) for directory in directories]
    sources = [
        Source(store, pictures, suffix, f"{number}-" if number else "", f" in {store.path}" if len(stores) > 1 else "")
        for number, store in enumerate(stores)
    ]
    return [section for source in sources for section in _sections(source, details, on_section)]


def _sections(source: Source, details: bool, on_section: Callable[[str], None] | None) -> Iterator[Section]:
    names = in_the_papers_order([*source.store.experiments.names(), *COMPUTED_FIGURES])
    yield overview_section(source, [name for name in names if name not in COMPUTED_FIGURES])
    for name in names:
        if name in COMPUTED_FIGURES:
            section = computed_section(source, name)
        else:
            if on_section is not None:
                on_section(name + source.where)
            results = load(source.store.path, name)
            section = experiment_section(source, results, details_of if details else None)
        if section is not None:
            yield section
