"""Results of other versions of nalm: older ones are read, later ones are refused, mixed ones are reported."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import nalm
from nalm.errors import NalmError
from nalm.store.schema import SCHEMA_VERSION
from nalm.store.store import Store

Contents = dict[str, bytes | None]


def rewrite(path: Path, update: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """Has a shard's file say something else of how it came to be, under the name that its content then has."""
    table = pq.read_table(path)
    about = update(json.loads(table.schema.metadata[b"nalm"]))
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"nalm": json.dumps(about)}), sink)
    content = sink.getvalue().to_pybytes()
    path.unlink()
    new = path.with_name(f"{hashlib.sha256(content).hexdigest()[:32]}.parquet")
    new.write_bytes(content)
    return new


def as_in_schema_1(about: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in about.items() if name not in ("spec", "hosts", "resumed_at")} | {"schema": 1}


def test_results_of_an_older_schema_are_read_as_if_written_today(
    results: Path, tiny: Path, contents: Callable[[Path], Contents], caplog: pytest.LogCaptureFixture
) -> None:
    runs, shown = nalm.load(results).runs(), nalm.load(results).run("NMRU", "negative", 1).description()
    spec = shown["provenance"]["spec"]
    for path in list((results / "shards").iterdir()):
        rewrite(path, as_in_schema_1)
    before = contents(results)
    assert nalm.load(results).runs().equals(runs)
    provenance = nalm.load(results).run("NMRU", "negative", 1).description()["provenance"]
    assert provenance == shown["provenance"]
    assert provenance["spec"] == spec
    assert provenance["resumed_at"] == []
    nalm.run(str(tiny), results, workers=0, compiled=False)
    assert contents(results) == before
    assert caplog.messages == []


def test_results_of_a_later_schema_are_refused_in_one_sentence(results: Path) -> None:
    later = {"schema": SCHEMA_VERSION + 1, "versions": {"nalm": "9.0"}}
    path = rewrite(sorted((results / "shards").iterdir())[0], lambda about: about | later)
    sentence = (
        f"{path} was written by nalm 9.0 in schema {SCHEMA_VERSION + 1}, and this is nalm {nalm.__version__}, "
        f"which reads up to {SCHEMA_VERSION}: update nalm"
    )
    for read in (lambda: nalm.load(results).runs(), lambda: Store(results).finished()):
        with pytest.raises(NalmError) as error:
            read()
        assert str(error.value) == sentence


def test_results_of_different_versions_are_read_together_and_a_warning_says_so_once(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = {"nalm": nalm.__version__, "torch": "1.13.1", "numpy": "1.26.0", "python": "3.8.0"}
    rewrite(sorted((results / "shards").iterdir())[0], lambda about: about | {"versions": other})
    for _ in range(2):
        assert nalm.load(results).missing == 0
    here = f"torch 1.13.1 and {torch.__version__}, numpy 1.26.0 and {np.__version__}"
    assert caplog.messages == [f"{results} holds results of different versions: {here}"]
