"""One file of a shard, whose content is checked against its name and its metadata before it is used."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from nalm.experiments.runs import key_of, shard_name
from nalm.paths import content_hash
from nalm.spec.names import STORED
from nalm.spec.recipe import Recipe
from nalm.store.columns import BUFFER, COLUMNS, EVALUATION_COLUMNS, PARAMETER, TYPES
from nalm.store.schema import check_schema, upgraded

__all__ = ["DamagedFile", "ShardFile"]

IDENTITY = ["key", "task", "seed"]
BYTES_PER_ROW = 16
"""Least size of a row in a file, since keys are random. Files with more rows than that allows are not nalm's."""
MOST_BYTES = 2**32
"""Greatest size of all columns together, uncompressed."""
LISTS = {"restarts", "iteration", "wall_time", "validation_error", "test_error", "sparsity_error"}
"""Lists that every run has; imported runs lack others."""
REPEATING = {column.name for column in EVALUATION_COLUMNS}

# What pyarrow, json and pydantic raise on wrong content; their own errors are among these.
WRONG = (ValueError, TypeError, LookupError, AttributeError, OSError, ArithmeticError, RuntimeError)


class DamagedFile(Exception):  # noqa: N818 – not an error: the file is left out
    """The content of a shard's file is not what nalm has written; says why, after "is damaged"."""


class ShardFile:
    """A file of a shard.

    Attributes ``keys``, ``recipe``, ``first_task`` and ``about`` are the keys of its runs, their recipe, the stored
    fields of the first one's task, and what it says about how they were made, as far as the latest schema knows it.

    Arguments:
        path: its path, whose name has the shard's and the content's hash.
        content: its content.

    Raises:
        DamagedFile: the content is not what nalm has written.
        NalmError: it was written by a later version of nalm.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        name, _, digest = path.stem.rpartition("-")
        if digest != content_hash(content):
            raise DamagedFile("its content does not have the hash in its name")
        try:
            self._file = pq.ParquetFile(pa.BufferReader(content))
            schema = self._file.schema_arrow
            about = json.loads(schema.metadata[b"nalm"])
        except WRONG as error:  # files without metadata have None
            raise DamagedFile("it is no Parquet file of nalm") from error
        if not isinstance(about, dict) or not isinstance(about.get("schema"), int):
            raise DamagedFile("its metadata are not those of nalm")
        check_schema(path, about)
        self.recipe = _checked_recipe(about)
        _check_columns(self._file, schema, len(content))
        identity = self._read(IDENTITY)
        _check_identity(identity, about["recipe"])
        self.keys: list[str] = identity["key"].to_pylist()
        if name and name != shard_name(self.keys):
            raise DamagedFile("its rows are those of another shard")
        self.first_task: dict[str, Any] = json.loads(identity["task"][0].as_py())
        try:
            self.about: dict[str, Any] = upgraded(about, identity)
        except WRONG as error:
            raise DamagedFile("its tasks are not those of nalm") from error

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return its rows.

        Arguments:
            columns: names of the columns to read; by default all.

        Raises:
            DamagedFile: they are not what nalm has written.
        """
        table = self._read(columns)
        lengths = []
        for name in table.column_names:
            column = table[name]
            if name in LISTS and column.null_count:
                raise DamagedFile(f"its column {name} lacks values")
            if name in REPEATING and not column.null_count:
                lengths.append(pc.list_value_length(column))
        if any(not one.equals(lengths[0]) for one in lengths[1:]):
            raise DamagedFile("its columns have different numbers of evaluations")
        if "iteration" in table.column_names and pc.list_flatten(table["iteration"]).null_count:
            raise DamagedFile("its column iteration lacks values")
        return table

    def _read(self, columns: Sequence[str] | None) -> pa.Table:
        try:
            return self._file.read(columns, use_threads=False)
        except WRONG as error:
            raise DamagedFile("its rows cannot be read") from error


class _Versions(BaseModel):
    model_config = ConfigDict(strict=True)

    nalm: str
    torch: str
    numpy: str


class _About(BaseModel):
    """Types of what files of all versions say about how they were made. Imported runs lack some."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    recipe: dict[str, Any]
    spec: dict[str, Any] = {}
    versions: _Versions
    host: str | None
    hosts: list[str] = []
    device: str | None = None
    threads: int | None = None
    compiled: bool | None = None
    started: float = 0.0
    seconds: float = Field(0.0, ge=0)
    resumed_at: list[int] = []
    imported: list[str] = []


def _checked_recipe(about: dict[str, Any]) -> Recipe:
    """Check what a file says about how its runs were made, and return their recipe.

    Raises:
        DamagedFile: something is missing or has a wrong type, or the recipe is none.
    """
    try:
        _About.model_validate(about)
        return _recipe(json.dumps(about["recipe"]))
    except WRONG as error:
        raise DamagedFile("its metadata are not those of nalm") from error


@lru_cache
def _recipe(fields: str) -> Recipe:
    """Return a stored recipe. Shards of one variant share it."""
    return Recipe.model_validate_json(fields, context=STORED)


def _check_columns(file: pq.ParquetFile, schema: pa.Schema, size: int) -> None:
    """Check types and sizes, before any rows are read.

    Raises:
        DamagedFile: a column is missing or has a wrong type, or the size of the file does not explain its rows.
    """
    rows = file.metadata.num_rows
    if not 1 <= rows <= size // BYTES_PER_ROW:
        raise DamagedFile(f"it has {rows:,} rows")
    types = dict(zip(schema.names, schema.types, strict=True))
    for column in COLUMNS:
        allowed = [column.arrow_type, pa.string()] if column.name == "task" else [column.arrow_type]
        if types.get(column.name) not in allowed:
            found = types.get(column.name, "nothing")
            raise DamagedFile(f"its column {column.name} holds {found}, expected {column.type}")
    for name, found in types.items():
        if name.startswith((PARAMETER, BUFFER)) and found != TYPES["list of float64"]:
            raise DamagedFile(f"its column {name} holds {found}, expected list of float64")
    if not len(types) == len(schema.names) == file.metadata.num_columns:
        raise DamagedFile("it has columns that are not those of nalm")
    sizes = (file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups))
    if sum(sizes) > MOST_BYTES:
        raise DamagedFile("it has more bytes than fit into the memory")


def _check_identity(rows: pa.Table, recipe: dict[str, Any]) -> None:
    """Check that the keys follow from recipe, tasks and seeds.

    Raises:
        DamagedFile: they do not.
    """
    keys, tasks, seeds = (rows[name].to_pylist() for name in IDENTITY)
    if None in keys or None in seeds or None in tasks:
        raise DamagedFile("its runs lack keys, tasks or seeds")
    try:
        if not all(isinstance(json.loads(task), dict) for task in set(tasks)):
            raise ValueError("not fields")
    except WRONG as error:
        raise DamagedFile("its tasks are not those of nalm") from error
    fields = json.dumps(recipe, sort_keys=True)
    if _recipe(json.dumps(recipe)).stop_when_solved:  # keys depend on thresholds, too, which files do not have
        return
    if any(key != key_of(fields, task, seed) for key, task, seed in zip(keys, tasks, seeds, strict=True)):
        raise DamagedFile("its keys do not follow from its recipe, tasks and seeds")
