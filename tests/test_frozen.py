"""What people's files and results depend on is what it was before the package was redesigned (see tests/frozen)."""

import json
from pathlib import Path
from typing import Any

import pytest

import nalm
from tests.frozen.describe import UNUSUAL, column_types, commands, key_of, public_names, run_keys

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "frozen" / "golden.json").read_text(encoding="utf-8"))


def test_every_run_of_the_catalog_has_the_key_it_had() -> None:
    assert set(GOLDEN["run_keys"]) <= set(nalm.experiment_names())
    assert run_keys(list(GOLDEN["run_keys"])) == GOLDEN["run_keys"]


def test_runs_with_unusual_options_have_the_keys_they_had() -> None:
    assert [key_of(*fields) for fields in UNUSUAL] == GOLDEN["unusual_keys"]


def test_shards_have_the_columns_and_metadata_they_had() -> None:
    assert column_types() == GOLDEN["columns"]


def test_every_command_has_the_options_it_had() -> None:
    found = commands()
    for name, parameters in GOLDEN["commands"].items():
        known = {tuple(parameter["names"]): parameter for parameter in found[name]}
        for parameter in parameters:
            assert known[tuple(parameter["names"])] == parameter, name


@pytest.mark.parametrize("package", ["nalm", "nalm.modules"])
def test_every_public_name_is_what_it_was(package: str) -> None:
    found = public_names()[package]
    for name, known in GOLDEN["names"][package].items():
        if known is not None and any(": " in item for item in known):
            assert found[name] == known, name
        else:
            assert set(known or ()) <= set(found[name] or ()), name
