"""Write results as CSV: a tidy table, or the original's.

Tables are written shard by shard, so memory doesn't limit the number of runs.
"""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from nalm.errors import NalmError
from nalm.export.chosen_runs import LabelledRun, Selection, select
from nalm.original.files import ORIGINAL_COLUMNS, ORIGINAL_EVALUATION
from nalm.original.write_names import name_form
from nalm.store.columns import EVALUATION_COLUMNS
from nalm.text import csv_cell

__all__ = ["TIDY_COLUMNS", "Exported", "Schema", "export_csv"]

Schema = Literal["tidy", "original"]

EVALUATION = tuple(column.name for column in EVALUATION_COLUMNS)
TIDY_COLUMNS = ("experiment", "variant", "task", "seed", *EVALUATION, "key")
"""Columns of the tidy table, which has one row per run and evaluation. ``key`` is the run's key in Parquet files."""


@dataclass
class Exported:
    """The outcome of an export.

    Arguments:
        runs: number of runs that were written; one that several experiments share counts once.
        missing: number of runs that are not in the directory.
        left_out: number of runs that are in the directory but were not written, by reason.
    """

    runs: int = 0
    missing: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Number of runs that were asked for."""
        return self.runs + self.missing + self.left_out.total()


def export_csv(
    directory: Path | str,
    file: TextIO,
    experiment: str | None = None,
    *,
    variants: Sequence[str] | None = None,
    schema: Schema = "tidy",
) -> Exported:
    """Write results as one CSV table with a row per run and evaluation.

    Rows of a run follow one another in the order of its iterations. Runs follow one another by shard. Unknown numbers
    (NaN) are empty cells.

    Arguments:
        directory: a results directory.
        file: the file to write to.
        experiment: name of an experiment that was run into the directory; by default all of them.
        variants: labels of variants; by default all of them.
        schema: ``tidy`` for the columns `TIDY_COLUMNS`, or ``original`` for the original's columns and names of runs.
            The original's table has each run once, and skips runs that the original's names cannot express.

    Raises:
        NalmError: there are no such results, or the schema is unknown.
    """
    if schema not in ("tidy", "original"):
        raise NalmError(f"found schema {schema!r}, expected one of: tidy, original")
    selection = select(directory, experiment, variants)
    table = _tidy(selection) if schema == "tidy" else _original(selection)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.header)
    exported, there = Exported(), 0
    for shard, _ in selection.shards():
        for row in shard.select(["key", *table.columns]).to_pylist():
            there += 1
            evaluations = list(zip(*(map(_cell, row[column]) for column in table.columns), strict=True))
            for before, after in table.labels.get(row["key"], ()):
                before, after = list(map(csv_cell, before)), list(map(csv_cell, after))
                writer.writerows([*before, *evaluation, *after] for evaluation in evaluations)
            if row["key"] in table.labels:
                exported.runs += 1
            else:
                exported.left_out[table.reasons[row["key"]]] += 1
    exported.missing = len(selection.labelled) - there
    return exported


class _Table(NamedTuple):
    """How runs become rows.

    Arguments:
        header: the columns of the table.
        columns: the columns of evaluations among them, as the store names them.
        labels: cells before and after those of the evaluations, by the key of a run; several pairs if the run is
            written several times.
        reasons: why a run is skipped, by its key.
    """

    header: Sequence[str]
    columns: Sequence[str]
    labels: Mapping[str, Sequence[tuple[Sequence[Any], Sequence[Any]]]]
    reasons: Mapping[str, str]


def _tidy(selection: Selection) -> _Table:
    labels = {
        key: [((*labelled[:3], labelled.run.seed), (key,)) for labelled in several]
        for key, several in selection.labelled.items()
    }
    return _Table(TIDY_COLUMNS, EVALUATION, labels, {})


def _original(selection: Selection) -> _Table:
    forms: dict[tuple[str, str, str], str | ValueError] = {}
    names: dict[str, str] = {}
    reasons: dict[str, str] = {}
    there = selection.store.finished()  # missing runs must not take names from finished ones
    for key, (labelled, *_) in selection.labelled.items():
        if key not in there:
            continue
        labels = labelled[:3]
        if labels not in forms:
            forms[labels] = _form(labelled)
        form = forms[labels]
        name = form.replace("{seed}", str(labelled.run.seed)) if isinstance(form, str) else ""
        if not isinstance(form, str):
            reasons[key] = f"{labelled.variant}: {form}"
        elif name in names:
            reasons[key] = f"{labelled.variant}: the original gives other runs the same names"
        else:
            names[name] = key
    columns = list(ORIGINAL_EVALUATION.values())
    return _Table(ORIGINAL_COLUMNS, columns, {key: [((name,), ())] for name, key in names.items()}, reasons)


def _form(labelled: LabelledRun) -> str | ValueError:
    try:
        return name_form(labelled.run.recipe, labelled.run.task)
    except ValueError as error:
        return error


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value
