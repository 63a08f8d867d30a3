"""Numbers that papers report: which paper, how each number is known, and over how many runs."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from nalm.errors import NalmError
from nalm.spec.document import Document, check

__all__ = ["PROVENANCE", "Published", "published_numbers", "read_publication"]

HERE = Path(str(resources.files("nalm.analysis"))) / "published"

PROVENANCE = {
    "T": "table of the paper",
    "F": "read off a figure that is drawn with lines",
    "D": "computed from the runs published with the paper",
    "A": "abstract or landing page",
    "C": "the paper's code",
}
"""Meanings of the tags that say how a number is known."""

Tag = Literal["T", "F", "D", "A", "C"]
Label = Annotated[str, Field(strict=True, min_length=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(strict=True, ge=0)]
Runs = Annotated[int, Field(strict=True, ge=1)]
Address = Annotated[str, Field(pattern="^https://")]


class Published(BaseModel):
    """Numbers that a paper reports for one variant on one task, or on several tasks together.

    ``experiment`` is the catalog's experiment that repeats them, if there is one. ``task`` is None for all tasks of
    ``over`` together. ``value`` (with its ``spread``) is a number of another kind, named by ``unit``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    title: Label
    year: StrictInt
    url: Address
    setting: Label
    provenance: Tag
    experiment: StrictStr | None = None
    variant: Label
    task: Label | None = None
    over: tuple[Label, ...] | None = None
    runs: Runs | None = None
    solved: Count | None = None
    rate: Rate | None = None
    iterations_median: Positive | None = None
    iterations_mean: Positive | None = None
    sparsity_error: NotNegative | None = None
    value: float | None = None
    spread: NotNegative | None = None
    unit: Label | None = None
    note: StrictStr | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.solved is not None and (self.runs is None or self.solved > self.runs):
            raise ValueError(f"found {self.solved} solved of {self.runs} runs, expected at least as many runs")
        if self.solved is not None and self.runs is not None and self.rate is not None:
            decimals = -int(Decimal(str(self.rate)).as_tuple().exponent)
            if round(self.solved / self.runs, decimals) != self.rate:
                raise ValueError(f"found the rate {self.rate} beside {self.solved} solved of {self.runs} runs")
        if (self.value is None and self.spread is not None) or (self.value is not None and self.unit is None):
            raise ValueError(f"found value {self.value}, spread {self.spread} and unit {self.unit}, expected a value")
        if self.experiment is not None and (self.task is None) != (self.over is not None):
            raise ValueError("expected either a task, or the tasks that the number is over")
        return self

    @property
    def success_rate(self) -> float | None:
        """Solved runs divided by runs, or the rate where only the rate is known."""
        return self.rate if self.solved is None or self.runs is None else self.solved / self.runs

    @property
    def source(self) -> str:
        """Title and year of the paper."""
        return f"{self.title} ({self.year})"


class _Row(BaseModel):
    """Numbers of a variant, one for each task of the table; null where there is none."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    variant: Label
    solved: list[Count | None] = []
    rate: list[float | None] = []
    iterations_median: list[float | None] = []
    iterations_mean: list[float | None] = []
    sparsity_error: list[float | None] = []
    value: list[float | None] = []
    spread: list[float | None] = []

    def numbers(self, position: int) -> dict[str, float]:
        """Return the known numbers of the task at a position."""
        columns = ((name, getattr(self, name)) for name in _Row.model_fields if name != "variant")
        return {name: values[position] for name, values in columns if values and values[position] is not None}


class _Table(BaseModel):
    """Numbers of one kind from one paper; without ``tasks``, each row has one number for all tasks together."""

    model_config = ConfigDict(extra="forbid")

    setting: Label
    provenance: Tag
    experiment: StrictStr | None = None
    tasks: Annotated[list[Label], Field(min_length=1)] | None = None
    over: list[Label] | None = None
    runs: Runs | None = None
    unit: Label | None = None
    note: StrictStr | None = None
    rows: list[_Row] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        expected = len(self.tasks or [None])
        for row in self.rows:
            for name in _Row.model_fields:
                values = getattr(row, name)
                if isinstance(values, list) and len(values) not in (0, expected):
                    raise ValueError(f"{row.variant}: found {len(values)} numbers of {name}, expected {expected}")
        return self


class _Publication(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Label
    year: StrictInt
    url: Address
    tables: list[_Table] = Field(min_length=1)


@cache
def published_numbers() -> tuple[Published, ...]:
    """Return every published number that comes with nalm."""
    return tuple(record for path in sorted(HERE.glob("*.yaml")) for record in read_publication(path))


def read_publication(path: Path) -> list[Published]:
    """Read the file of one publication.

    Raises:
        NalmError: the file is invalid; the sentence names the line, the field, the value found and the value expected.
    """
    document = Document(path)
    records = list(_records(check(_Publication, document.value, document), document))
    counted = Counter((r.setting, r.variant, r.task) for r in records if r.solved is not None or r.rate is not None)
    for (setting, variant, task), count in counted.items():
        if count > 1:
            raise NalmError(f"{path}: found {count} rates of {variant} on {task} ({setting}), expected one")
    return records


def _records(publication: _Publication, document: Document) -> Iterator[Published]:
    paper_fields = publication.model_dump(exclude={"tables"})
    for number, table in enumerate(publication.tables):
        table_fields = table.model_dump(exclude={"tasks", "rows"})
        for index, row in enumerate(table.rows):
            for position, task in enumerate(table.tasks or [None]):
                if numbers := row.numbers(position):
                    fields = {**paper_fields, **table_fields, "variant": row.variant, "task": task, **numbers}
                    yield check(Published, fields, document, [("tables", number, "rows", index), ("tables", number)])
