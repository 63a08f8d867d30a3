"""Results as CSV: a tidy table, or the original's.

Tables are written shard by shard, so that it does not matter how many runs there are.
"""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from nalm.errors import NalmError
from nalm.export.chosen_runs import Place, Selection, select
from nalm.original.files import ORIGINAL_COLUMNS, ORIGINAL_EVALUATION
from nalm.original.write_names import name_form
from nalm.store.columns import EVALUATION_COLUMNS

__all__ = ["TIDY_COLUMNS", "Exported", "Schema", "export_csv"]

Schema = Literal["tidy", "original"]

EVALUATION = tuple(column.name for column in EVALUATION_COLUMNS)
TIDY_COLUMNS = ("experiment", "variant", "task", "seed", *EVALUATION, "key")
"""One row per run and evaluation; labels and seed say which run it is, and ``key`` is its key in the Parquet files."""


@dataclass
class Exported:
    """What an export came to.

    Arguments:
        runs: how many were written; one that several experiments share counts once.
        missing: how many are not in the directory.
        left_out: how many are there but were not written, by the reason.
    """

    runs: int = 0
    missing: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """How many were meant."""
        return self.runs + self.missing + self.left_out.total()


def export_csv(
    directory: Path | str,
    file: TextIO,
    experiment: str | None = None,
    *,
    variants: Sequence[str] | None = None,
    schema: Schema = "tidy",
) -> Exported:
    """Writes results as one CSV table with a row per run and evaluation.

    Rows of a run follow one another in the order of its iterations; runs follow one another as they trained together.
    What is not known (NaN) is empty.

    Arguments:
        directory: a results directory.
        file: where the table goes.
        experiment: one that was run into it; by default all of them.
        variants: labels of variants; by default all of them.
        schema: ``tidy``, with the columns `TIDY_COLUMNS`; or ``original``, with the original's columns and names of
            runs, in which each run is written once, and those are left out that its names cannot express.

    Raises:
        NalmError: there are no such results, or the schema is another.
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
                writer.writerows([*before, *evaluation, *after] for evaluation in evaluations)
            if row["key"] in table.labels:
                exported.runs += 1
            else:
                exported.left_out[table.reasons[row["key"]]] += 1
    exported.missing = len(selection.places) - there
    return exported


class _Table(NamedTuple):
    """How runs become rows: the header, the columns of evaluations, and what stands around them, by a run's key.

    ``labels`` has it once, or several times if a run stands in the table several times; ``reasons`` say why a run does
    not stand in it.
    """

    header: Sequence[str]
    columns: Sequence[str]
    labels: Mapping[str, Sequence[tuple[Sequence[Any], Sequence[Any]]]]
    reasons: Mapping[str, str]


def _tidy(selection: Selection) -> _Table:
    labels = {
        key: [((place.experiment, place.variant, place.task, place.run.seed), (key,)) for place in places]
        for key, places in selection.places.items()
    }
    return _Table(TIDY_COLUMNS, EVALUATION, labels, {})


def _original(selection: Selection) -> _Table:
    forms: dict[tuple[str, str, str], str | ValueError] = {}
    names: dict[str, str] = {}
    reasons: dict[str, str] = {}
    there = selection.store.finished()  # a run that is missing must not take a name from another
    for key, (place, *_) in selection.places.items():
        if key not in there:
            continue
        labels = (place.experiment, place.variant, place.task)
        if labels not in forms:
            forms[labels] = _form(place)
        form = forms[labels]
        name = form.replace("{seed}", str(place.run.seed)) if isinstance(form, str) else ""
        if not isinstance(form, str):
            reasons[key] = f"{place.variant}: {form}"
        elif name in names:
            reasons[key] = f"{place.variant}: the original gives other runs the same names"
        else:
            names[name] = key
    columns = list(ORIGINAL_EVALUATION.values())
    return _Table(ORIGINAL_COLUMNS, columns, {key: [((name,), ())] for name, key in names.items()}, reasons)


def _form(place: Place) -> str | ValueError:
    try:
        return name_form(place.run.recipe, place.run.task)
    except ValueError as error:
        return error


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and math.isnan(value) else value
