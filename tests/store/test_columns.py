"""The declaration of columns: what fills them, reads them and shows them follows from it."""

from dataclasses import fields

import pytest

from nalm.original.files import ORIGINAL_EVALUATION, TAGS
from nalm.store.columns import COLUMNS, EVALUATION_COLUMNS, MODULE_COLUMNS, TYPES, run_table
from nalm.training.history import SERIES, History


def test_every_series_of_a_history_has_a_column() -> None:
    assert [column.field for column in EVALUATION_COLUMNS] == ["iterations", "wall_times", *SERIES]


def test_every_column_but_the_identity_of_a_run_is_filled_from_a_field_of_the_history() -> None:
    filled = {column.field for column in (*COLUMNS, *MODULE_COLUMNS) if column.field}
    assert {column.name for column in COLUMNS if not column.field} == {"key", "task", "seed"}
    assert filled | {"stopped_at"} == {field.name for field in fields(History)}


def test_no_two_columns_share_a_name_a_field_or_a_tag() -> None:
    for values in zip(*((column.name, column.field, column.tag) for column in COLUMNS), strict=True):
        given = [value for value in values if value]
        assert len(given) == len(set(given))


@pytest.mark.parametrize("columns", [tuple(ORIGINAL_EVALUATION.values()), tuple(TAGS)])
def test_the_originals_names_stand_for_columns_of_evaluations(columns: tuple[str, ...]) -> None:
    assert set(columns) <= {column.name for column in EVALUATION_COLUMNS}


def test_a_table_without_runs_has_every_column_with_its_type() -> None:
    table = run_table([], {})
    assert table.column_names == [column.name for column in COLUMNS]
    assert list(table.schema.types) == [TYPES[column.type] for column in COLUMNS]
