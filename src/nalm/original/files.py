"""Read files of the original research code: the CSV files that it exports, and its TensorBoard logs."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nalm.errors import NalmError
from nalm.original.event_records import DamagedFileError, read_records
from nalm.store.columns import EVALUATION_COLUMNS

__all__ = ["ORIGINAL_COLUMNS", "ORIGINAL_EVALUATION", "TAGS", "Series", "read_csv", "read_tensorboard"]

ORIGINAL_EVALUATION = {
    "metric.valid.interpolation": "validation_error",
    "step": "iteration",
    "wall.time": "wall_time",
    "metric.test.extrapolation": "test_error",
    "sparse.error.max": "sparsity_error",
}
"""Our columns by those of the original's export, in its order."""
ORIGINAL_COLUMNS = ("name", *ORIGINAL_EVALUATION)
"""Columns of the original's export, which has one row per run and evaluation."""

TAGS = {
    "validation_error": "metric/valid/interpolation",
    "test_error": "metric/test/extrapolation",
    "criterion": "loss/train/critation",
    "penalty": "loss/train/regualizer",
}
"""Tags of the original's TensorBoard logs by our columns."""
SPARSITY = ("W/sparsity_error", "W_real/sparsity_error")
IMAGINARY = "W_im/sparsity_error"
"""Ends of the tags of weights. The original's export adds the imaginary one to the largest of the others."""


MOST_ITERATIONS = 10**15
"""The last iteration at most, which float64 holds exactly."""
LATEST = 253_402_300_799
"""The last second of the year 9999, after which there are no dates."""


@dataclass(frozen=True)
class Series:
    """The evaluations of one run.

    Arguments:
        name: the original's name of the run.
        source: the file or folder that has it.
        origin: the file or folder that was asked for.
        values: one number per evaluation, by our columns; NaN where it is not known.
    """

    name: str
    source: str
    origin: Path
    values: dict[str, list[float]] = field(default_factory=lambda: {column.name: [] for column in EVALUATION_COLUMNS})

    @property
    def iterations(self) -> list[int]:
        """Iterations of the evaluations."""
        return [int(iteration) for iteration in self.values["iteration"]]

    def add(self, evaluation: Mapping[str, float]) -> None:
        """Add an evaluation.

        Arguments:
            evaluation: numbers by our columns; those that are not known may be missing.

        Raises:
            NalmError: the iteration is negative, or not greater than that of the last evaluation.
        """
        iteration, known = evaluation["iteration"], self.values["iteration"]
        if iteration < 0 or (known and iteration <= known[-1]):
            after = f"one after {known[-1]}" if known else "one from 0"
            hint = " (--sort reads rows in any order)" if known and iteration not in known else ""
            raise NalmError(f"{self.source}: found step {iteration}, expected {after}{hint}: {self.name}")
        if iteration > MOST_ITERATIONS:
            raise NalmError(f"{self.source}: found step {iteration}, expected at most {MOST_ITERATIONS}: {self.name}")
        time = evaluation.get("wall_time", math.nan)
        if not math.isnan(time) and not 0 <= time <= LATEST:
            raise NalmError(
                f"{self.source}: found the wall time {time:g}, expected seconds from 0 (1970) to {LATEST} (9999): "
                f"{self.name}"
            )
        for column, values in self.values.items():
            values.append(evaluation.get(column, math.nan))


def read_csv(path: Path, *, sort: bool = False) -> list[Series]:
    """Read a CSV file that the original's export has written; its columns for weights and gates are ignored.

    Arguments:
        path: the file.
        sort: whether to sort the rows of each run by step.

    Raises:
        NalmError: the file cannot be read, or is not such a file.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, [])
            missing = [column for column in ORIGINAL_COLUMNS if column not in header]
            if missing:
                raise NalmError(f"{path}:1: found no column {missing[0]!r}, expected {', '.join(ORIGINAL_COLUMNS)}")
            indices = [header.index(column) for column in ORIGINAL_COLUMNS]
            series = _series(rows, indices, path, len(header), sort)
    except OSError as error:
        raise NalmError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NalmError(f"{path}: found bytes that are not text, expected UTF-8") from None
    except csv.Error as error:
        raise NalmError(f"{path}: not valid CSV: {error}") from None
    if not series:
        raise NalmError(f"{path}: found no rows, expected at least one")
    return series


def _series(rows: Iterator[list[str]], indices: Sequence[int], source: Path, width: int, sort: bool) -> list[Series]:
    by_name: dict[str, Series] = {}
    unsorted: dict[str, list[dict[str, float]]] = defaultdict(list)
    for line, row in enumerate(rows, 2):
        where = f"{source}:{line}"
        if len(row) != width:
            raise NalmError(f"{where}: found {len(row)} cells, expected {width} as in the header")
        name, *cells = (row[index] for index in indices)
        evaluation = {
            column: _number(text, original, where)
            for text, (original, column) in zip(cells, ORIGINAL_EVALUATION.items(), strict=True)
        }
        if not evaluation["iteration"].is_integer():
            raise NalmError(f"{where}: found step {evaluation['iteration']}, expected an integer")
        evaluation["iteration"] = int(evaluation["iteration"])
        series = by_name.setdefault(name, Series(name, str(source), source))
        if sort:
            unsorted[name].append(evaluation)
        else:
            series.add(evaluation)
    for name, evaluations in unsorted.items():
        for evaluation in sorted(evaluations, key=lambda evaluation: evaluation["iteration"]):
            by_name[name].add(evaluation)
    return list(by_name.values())


def _number(text: str, column: str, where: str) -> float:
    if text in ("", "NA"):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise NalmError(f"{where}: found {text[:40]!r} as {column}, expected a number") from None


def read_tensorboard(folder: Path, damaged: list[Path] | None = None) -> list[Series]:
    """Read the TensorBoard logs of runs: the folders with event files in a folder, or the folder itself.

    Arguments:
        folder: the folder.
        damaged: collects damaged files, whose runs are then left out; by default such a file is refused.

    Raises:
        NalmError: there are none, they cannot be read, are damaged or are not the original's, or TensorBoard is not
            installed.
    """
    files: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*tfevents*")):
        files[path.parent].append(path)
    if not files:
        raise NalmError(f"found no event files of TensorBoard in {str(folder)!r}, expected a folder for each run")
    for run, found in files.items():
        if len(found) > 1:
            raise NalmError(f"found {len(found)} event files in {str(run)!r}, expected one, as the original writes")
    series = []
    for (path,) in files.values():
        try:
            series.append(_read_events(path, folder))
        except DamagedFileError as error:
            if damaged is None:
                raise NalmError(f"{error} (--skip-damaged leaves such runs out)") from None
            damaged.append(path)
    return series


def _read_events(path: Path, origin: Path) -> Series:
    values: dict[str, dict[int, float]] = defaultdict(dict)
    wall_times: dict[int, float] = {}
    for tag, step, wall_time, value in _scalars(path):
        values[tag][step] = value
        if tag == TAGS["validation_error"]:
            wall_times[step] = wall_time
    needed = [TAGS["validation_error"], TAGS["test_error"]]
    for tag in needed:
        if not values[tag]:
            raise NalmError(f"{path}: found no scalars {tag!r}, expected those that the original writes")
    series = Series(path.parent.name, str(path.parent), origin)
    for step in sorted(wall_times):
        if all(step in values[tag] for tag in needed):  # the log may end between the two
            scalars = {column: values[tag][step] for column, tag in TAGS.items() if step in values[tag]}
            known = {"iteration": step, "wall_time": wall_times[step], "sparsity_error": _sparsity_error(values, step)}
            series.add(known | scalars)
    if not series.iterations:
        raise NalmError(f"{path}: found no step with both {needed[0]!r} and {needed[1]!r}, expected one")
    return series


def _sparsity_error(values: Mapping[str, Mapping[int, float]], step: int) -> float:
    found = [known[step] for tag, known in values.items() if tag.endswith(SPARSITY) and step in known]
    imaginary = sum(known.get(step, 0.0) for tag, known in values.items() if tag.endswith(IMAGINARY))
    return max(found) + imaginary if found else math.nan


def _scalars(path: Path) -> Iterator[tuple[str, int, float, float]]:
    """Yield tag, step, wall time and value of every scalar that is needed; the log has many more."""
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from tensorboard.compat.proto.event_pb2 import Event
    except ImportError:
        raise NalmError("reading TensorBoard's files needs `pip install 'nalm[tensorboard]'`") from None
    wanted = (*TAGS.values(), *SPARSITY, IMAGINARY)
    try:
        for record in read_records(path):
            event = Event.FromString(record)
            for value in event.summary.value:
                if value.tag.endswith(wanted) and value.WhichOneof("value") == "simple_value":
                    yield value.tag, event.step, event.wall_time, value.simple_value
    except OSError as error:
        raise NalmError(f"cannot read {path}: {error.strerror}") from None
    except DecodeError as error:  # the checksums were right
        raise NalmError(f"{path}: not an event file of TensorBoard: {error}") from None
