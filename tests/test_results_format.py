"""The page docs/results-format.md is right about files, and its examples run."""

import contextlib
import hashlib
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pyarrow.parquet as pq
import pytest

import nalm
from nalm.export.csv_files import TIDY_COLUMNS
from nalm.original.files import ORIGINAL_COLUMNS
from nalm.store.columns import COLUMNS, MODULE_COLUMNS
from tests.documents import ROOT, blocks

DOCUMENT = "docs/results-format.md"
TYPES = {
    "string": "string",
    "dictionary of strings": "dictionary<values=string, indices=int32, ordered=0>",
    "int64": "int64",
    "float64": "double",
    "list of int64": "list<element: int64>",
    "list of float64": "list<element: double>",
}
"""Types of columns as the page names them, and as the schema of a file does."""
PANDAS, DUCKDB, POLARS, METADATA = blocks(DOCUMENT, "python")


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table below a heading, by their first cells."""
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    rows = re.findall(r"^\| (`.+) \|$", text.partition("\n## ")[0], re.MULTILINE)
    return {cells[0]: cells for cells in (row.split(" | ") for row in rows)}


def printed(example: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(example, DOCUMENT, "exec"), {})
    return out.getvalue()


@pytest.fixture
def schemas(results: Path) -> list[pq.ParquetFile]:
    return [pq.ParquetFile(path) for path in sorted((results / "shards").iterdir())]


def test_every_column_is_documented_with_its_type(schemas: list[pq.ParquetFile]) -> None:
    documented = {name.strip("`"): TYPES[cells[1]] for name, cells in table("Columns of a shard").items()}
    patterns = {name: documented.pop(name) for name in ("parameter.NAME", "buffer.NAME")}
    for file in schemas:
        found = {field.name: str(field.type) for field in file.schema_arrow}
        assert found.pop("parameter.weight") == patterns["parameter.NAME"] == patterns["buffer.NAME"]
        assert found == documented


def test_the_table_of_columns_is_the_declared_one() -> None:
    rows = [(f"`{column.name}`", column.type, column.unit, column.meaning) for column in (*COLUMNS, *MODULE_COLUMNS)]
    declared = [" ".join(["|", *(f"{cell} |" if cell else "|" for cell in row)]) for row in rows]
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8").partition("## Columns of a shard\n")[2]
    assert re.findall(r"^\| `.+ \|$", text.partition("\n## ")[0], re.MULTILINE) == declared


def test_every_tag_of_a_column_is_documented() -> None:
    documented = " ".join(table("TensorBoard"))
    assert [column.tag for column in COLUMNS if f"`{column.tag}`" not in documented and column.tag] == []


def test_every_field_of_the_metadata_is_documented(schemas: list[pq.ParquetFile]) -> None:
    documented = set(re.findall(r"`(\w+)`", " ".join(table("Metadata of a shard"))))
    for file in schemas:
        about = json.loads(file.schema_arrow.metadata[b"nalm"])
        assert list(file.schema_arrow.metadata) == [b"nalm"]
        assert set(about) | {"imported"} == documented
        assert about["versions"].keys() == {"nalm", "torch", "numpy", "python"}


def test_imported_runs_have_the_same_columns_without_parameters(results: Path, tiny: Path, tmp_path: Path) -> None:
    with (tmp_path / "old.csv").open("w", encoding="utf-8") as file:
        nalm.export_csv(results, file, schema="original")
    nalm.import_results([tmp_path / "old.csv"], tmp_path / "new", str(tiny))
    trained, imported = (
        pq.read_schema(next((directory / "shards").iterdir())) for directory in (results, tmp_path / "new")
    )
    assert {field.name: str(field.type) for field in imported} == {
        field.name: str(field.type) for field in trained if not field.name.startswith("parameter.")
    }
    assert set(json.loads(imported.metadata[b"nalm"])) - set(json.loads(trained.metadata[b"nalm"])) == {"imported"}


def test_names_and_keys_are_the_documented_hashes(results: Path) -> None:
    def half(content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()[:32]

    for path in (results / "shards").iterdir():
        file = pq.ParquetFile(path)
        about, rows = json.loads(file.schema_arrow.metadata[b"nalm"]), file.read().to_pylist()
        shard, content = path.stem.split("-")
        assert shard == half(json.dumps([row["key"] for row in rows]).encode())
        assert content == half(path.read_bytes())
        for row in rows:
            decides = {"recipe": about["recipe"], "seed": row["seed"], "task": json.loads(row["task"])}
            assert row["key"] == half(json.dumps(decides, sort_keys=True).encode())


@pytest.mark.parametrize("example", [PANDAS, DUCKDB, POLARS], ids=["pandas", "duckdb", "polars"])
def test_other_tools_find_the_same_median_errors(results: Path, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results.parent)
    errors = np.array([trained.test_errors for trained in nalm.load(results).trained])
    expected = dict(zip((0, 10, 20), np.median(errors, axis=0).tolist(), strict=True))
    found = eval(printed(example), {})
    assert found.keys() == expected.keys()
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-12)  # another order of sums


def test_weights_after_the_last_update_are_found(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results.parent)
    lines = dict(line.split(f" {nalm.__version__} ") for line in printed(METADATA).splitlines())
    for variant in ("NMRU", "NRU"):
        expected = [
            trained.module().get_parameter("weight").flatten().tolist()
            for trained in nalm.load(results).trained
            if trained.variant == variant
        ]
        assert sorted(json.loads(lines[variant])) == sorted(expected)


def test_columns_of_tables_are_documented() -> None:
    text = " ".join((ROOT / DOCUMENT).read_text(encoding="utf-8").partition("## CSV\n")[2].split())
    places = [text.index(f"`{column}`") for column in TIDY_COLUMNS]
    assert places == sorted(places)
    assert ", ".join(f"`{column}`" for column in ORIGINAL_COLUMNS) in text


def test_commands_of_the_page_are_understood(
    nalm_cli: Callable[..., CompletedProcess[str]], results: Path, tmp_path: Path
) -> None:
    """Each is given to the command line, with the tiny experiment in place of Figure 3; training is a dry run."""
    tiny = nalm.load(results).experiment.model_copy(update={"name": "figure-3"})
    (results / "experiments" / "figure-3.json").write_text(tiny.model_dump_json())
    for command in [line for block in blocks(DOCUMENT, "sh") for line in block.splitlines()]:
        words, _, target = command.partition(" > ")
        name, *arguments = shlex.split(words)
        if name == "tensorboard":
            assert (tmp_path / arguments[1]).is_dir()
            continue
        done = nalm_cli(*arguments, *["--dry-run", "--out=new"] * (arguments[0] == "run"))
        assert (name, done.returncode) == ("nalm", 0), (command, done.stderr)
        if target:
            (tmp_path / target).write_text(done.stdout, encoding="utf-8")
    assert len(nalm.load(tmp_path / "old", "figure-3").trained) == 12
