"""Figures that need no training, if they were reproduced into the results directory."""

import shutil
from pathlib import Path

import pandas as pd

from nalm.experiments.index import COMPUTED_FIGURES
from nalm.reports.blocks import Block, Picture, Section, Table
from nalm.reports.source import Source
from nalm.store.inside import files_within, is_within

__all__ = ["computed_section"]


def computed_section(source: Source, name: str) -> Section | None:
    """Return a section with the pictures of a computed figure; None if it was not reproduced into the directory."""
    directory = source.store.path
    found = files_within(directory, ".", f"{name}*.png")
    drawn = [Path(shutil.copy(path, source.picture(path.stem, path.suffix))) for path in found]
    if not drawn:
        return None
    number, title = name.removeprefix("figure-"), COMPUTED_FIGURES[name].title
    blocks: list[Block] = [
        f"Figure {number}. {title}; `nalm reproduce {name}`.",
        *(Picture(path, title) for path in drawn),
    ]
    if name == "figure-5" and is_within(errors := directory / f"{name}.csv", directory):
        blocks.append(_gold_errors(errors))
    return source.section(name, blocks)


def _gold_errors(path: Path) -> Table:
    """Return a table of gold errors, with their largest difference from the published errors."""
    table = pd.read_csv(path)
    ranges = list(table["range"].unique())
    rows = [
        [
            str(module),
            str(task),
            *(f"{error:.3g}" for error in cells.set_index("range")["error"][ranges]),
            f"{cells['relative_difference'].abs().max():.1e}",
        ]
        for (module, task), cells in table.groupby(["module", "task"], sort=False)
    ]
    headers = ["module", "task", *ranges, "largest relative difference from the published errors"]
    return Table("Mean squared errors:", headers, rows)
