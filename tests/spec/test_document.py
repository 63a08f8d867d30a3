"""Experiment files: numbers and booleans of YAML 1.2, and mistakes named by line and field."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import pytest
import yaml
from hypothesis import example, given, strategies as st

import nalm
from nalm.errors import NalmError
from nalm.spec.document import Document, parse_value

WriteYaml = Callable[..., Path]


def as_yaml(number: float) -> str:
    """Format a float as Python writes it, except that YAML's infinities and NaN begin with a dot."""
    return repr(number) if math.isfinite(number) else repr(number).replace("inf", ".inf").replace("nan", ".nan")


@given(st.floats())
@example(5e-3)
@example(1e22)
@example(5e-324)
def test_any_float_comes_back(number: float) -> None:
    found = parse_value(as_yaml(number))
    assert isinstance(found, float)
    assert found == number or (math.isnan(found) and math.isnan(number))


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([json.dumps, yaml.safe_dump, "{:.17e}".format])
)
def test_any_float_comes_back_however_it_was_written(number: float, write: Callable[[float], str]) -> None:
    assert parse_value(write(number)) == number


@given(st.integers())
def test_any_integer_comes_back(number: int) -> None:
    assert parse_value(str(number)) == number


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_any_quoted_text_comes_back(text: str) -> None:
    assert parse_value(json.dumps(text, ensure_ascii=False)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-3", 0.005),
        ("1e5", 100_000.0),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("1.E+2", 100.0),
        ("010", 10),
        ("-7", -7),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("off", "off"),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("n", "n"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("<<", "<<"),
        ("=", "="),
        ("e5", "e5"),
        (".", "."),
        ("U[1,2)", "U[1,2)"),
    ],
)
def test_plain_values_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = parse_value(text)
    assert (type(found), found) == (type(value), value)


def test_numbers_of_a_file_reach_the_recipe(write_yaml: WriteYaml) -> None:
    path = write_yaml(
        variants="variants: [{label: off, recipe: {module: NRU, learning_rate: 5e-3, clip_gradient_norm: 1}}]"
    )
    recipe = nalm.load_experiment(str(path)).variants["off"]
    assert (recipe.learning_rate, recipe.clip_gradient_norm) == (0.005, 1.0)


# Mistakes

SEVERAL_MISTAKES = """\
title: Several mistakes
task: {operation: div}
ranges:
  - {train: [1, 2], test: [2, 6]}
recipe:
  criterion: best
  batch_size: 0
variants:
  - label: A
    recipe:
      module: NMRU
      learning_rate: fast
      optimiser: adam
      regularizers:
        l1: {coefficient: 1}
        weight:
          coefficient: ten
"""


def mistakes(path: Path) -> list[str]:
    with pytest.raises(NalmError) as error:
        nalm.load_experiment(str(path))
    return [sentence.removeprefix(f"{path}:") for sentence in str(error.value).splitlines()]


def test_several_mistakes_are_each_named_with_their_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "several.yaml"
    path.write_text(SEVERAL_MISTAKES)
    found = sorted(mistakes(path), key=lambda sentence: int(sentence.split(":")[0]))
    *others, misspelt, coefficient = found
    field = "variants[0].recipe"
    assert others == [
        "6: recipe.criterion: found unknown criterion 'best', expected one of: mse, pcc, pcc_then_mse, mape, "
        "log_magnitude, symlog, huber, or an import path such as mypackage.criteria:my_criterion",
        "7: recipe.batch_size: found 0, expected greater than or equal to 1",
        f"12: {field}.learning_rate: found 'fast', expected a number",
    ]
    assert misspelt.startswith(f"13: {field}.optimiser: found unknown field 'optimiser', expected one of: module, ")
    assert misspelt.endswith("(did you mean 'optimizer'?)")
    assert coefficient == f"17: {field}.regularizers.weight.coefficient: found 'ten', expected a number"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"title": "title: 5"}, "1: title: found 5, expected a string"),
        ({"title": "title: [a]"}, "1: title: found ['a'], expected a string"),
        ({"figure": "figure: 3"}, "7: figure: found 3, expected a string"),
        ({"task": "task: 5"}, "2: task: found 5, expected "),
        ({"task": "task: {operation: divide}"}, "2: task.operation: found unknown operation 'divide', expected one of"),
        ({"task": "task: {operation: div, simple: off}"}, "2: task.simple: found 'off', expected a boolean"),
        ({"task": "task: {operation: div, input_size: 2.0}"}, "2: task.input_size: found 2.0, expected an integer"),
        ({"ranges": "ranges: ten"}, "3: ranges: found 'ten', expected a list, or one of the names: nine"),
        ({"ranges": "ranges: 5"}, "3: ranges: found 5, expected "),
        ({"ranges": "ranges: []"}, "3: ranges: found [], expected "),
        ({"ranges": "ranges: [5]"}, "3: ranges[0]: found 5, expected "),
        ({"ranges": "ranges: [{train: [1, 2]}]"}, "3: ranges[0].test: found nothing, expected a value"),
        ({"ranges": "ranges: [{train: [a, 2], test: [2, 6]}]"}, "3: ranges[0].train: found ['a', 2], expected [low, "),
        (
            {"ranges": "ranges: [{train: {kind: union, intervals: [[1, 2]]}, test: [2, 6]}]"},
            "3: ranges[0].train: found ",
        ),
        (
            {"ranges": "ranges: [{train: [1, 2], test: [2, 6], label: 5}]"},
            "3: ranges[0].label: found 5, expected a str",
        ),
        (
            {"ranges": "ranges: [{train: [1, 2], test: [2, 6]}, {train: [1, 2], test: [2, 7]}]"},
            "3: ranges[1]: found the label 'U[1,2)' twice, expected it once",
        ),
        ({"seeds": "seeds: 5-2"}, "4: seeds: found seeds '5-2', expected first <= last"),
        ({"seeds": "seeds: -1"}, "4: seeds: found seeds '-1', expected numbers and ranges"),
        ({"seeds": "seeds: [0, 1]"}, "4: seeds: found [0, 1], expected "),
        ({"seeds": "seeds: true"}, "4: seeds: found True, expected "),
        ({"seeds": "seeds: 1.0"}, "4: seeds: found 1.0, expected "),
        (
            {"ranges": "ranges: [{train: [1, 2], test: [2, 6], label: [a]}]"},
            "3: ranges[0].label: found ['a'], expected ",
        ),
        ({"recipe": "recipe: [1]"}, "5: recipe: found [1], expected "),
        ({"variants": "variants: 5"}, "6: variants: found 5, expected a list"),
        ({"variants": "variants: []"}, "6: variants: found [], expected a list of at least 1"),
        ({"variants": "variants: [{label: 5}]"}, "6: variants[0].label: found 5, expected a string"),
        ({"variants": "variants: [{label: A}]"}, "6: variants[0].recipe.module: found nothing, expected a value"),
        ({"extra": "1: c"}, "7: "),
        ({"extra": "title: again"}, "1: title: found the key 'title' twice (again on line 7), expected it once"),
    ],
)
def test_a_mistake_is_named_by_line_field_what_was_found_and_what_was_expected(
    write_yaml: WriteYaml, fields: dict[str, str], sentence: str
) -> None:
    (found,) = mistakes(write_yaml(**fields))
    assert found.startswith(sentence)


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("base: nothing", "base: found 'nothing', expected one of: real-npu-modified, "),
        ("base: [nmru]", "base: found ['nmru'], expected one of: "),
        ("module: MAU", "module: found unknown module 'MAU', expected one of: Linear, ReLU"),
        ("module: 5", "module: found 5, expected a module's name"),
        (
            "module: {name: NMRU, sing: none}",
            "module: NMRU has no option 'sing' (did you mean sign?), expected one of: sign, ",
        ),
        ("module: {name: NMRU, sign: yes}", "module: NMRU: sign is 'yes', expected one of: retrieved, "),
        ("learning_rate: -1", "learning_rate: found -1, expected greater than 0"),
        ("learning_rate: .inf", "learning_rate: found inf, expected "),
        (
            "optimizer: adamm",
            "optimizer: found unknown optimizer 'adamm' (did you mean adam?), expected one of: adam, sgd, adamw, ",
        ),
        ("iterations: 2.5", "iterations: found 2.5, expected "),
        ("precision: float16", "precision: found 'float16', expected 'float32' or 'float64'"),
        ("momentum: 0.5", "found momentum 0.5 with adam, expected it with sgd or rmsprop only"),
        ("regularizers: {waight: {}}", "found regularizer 'waight', expected one that NMRU has: input, l1, "),
        ("regularizers: {l1: {coefficient: .nan}}", "regularizers.l1.coefficient: found nan, expected "),
        ("regularizers: {l1: {ramp: [5, 2]}}", "regularizers.l1: found ramp [5, 2], expected [start, end] with 0 <="),
        ("regularizers: {l1: 5}", "regularizers.l1: found 5, expected "),
        ("regularizers: {l1: {ramp: 5}}", "regularizers.l1.ramp: found 5, expected "),
        ("regularizers: {l1: {ramp: [5]}}", "regularizers.l1.ramp"),
        ("regularizers: {l1: {ramp: [1, 2, 3]}}", "regularizers.l1.ramp: found [1, 2, 3], expected "),
        ("regularizers: {l1: {ramp: [1, x]}}", "regularizers.l1.ramp[1]: found 'x', expected an integer"),
        ("regularizers: {l1: {growth: {start: 1}}}", "regularizers.l1.growth.end: found nothing, expected a value"),
        ("regularizers: {l1: {ramp: [1, 2], exponential: 1}}", "regularizers.l1: found the schedules ramp and expon"),
    ],
)
def test_a_mistake_in_a_recipe_is_named_by_line_field_what_was_found_and_what_was_expected(
    write_yaml: WriteYaml, field: str, sentence: str
) -> None:
    base = "" if field.startswith(("base", "module")) else "module: NMRU, "
    (found,) = mistakes(write_yaml(variants=f"variants: [{{label: A, recipe: {{{base}{field}}}}}]"))
    place = "6: variants[0].recipe"
    assert found.startswith((f"{place}.{sentence}", f"{place}: {sentence}"))


@pytest.mark.parametrize(
    "fields",
    [
        {"extra": "a: !!bool maybe"},
        {"extra": "a: !!float ''"},
        {"extra": "a: !!timestamp today"},
        {"ranges": "ranges: []"},
        {"variants": "variants: [{label: A, recipe: {module: NMRU, regularizers: {l1: 5}}}]"},
        {"variants": "variants: [{label: A, recipe: {module: NMRU, regularizers: {l1: {ramp: 5}}}}]"},
        {"variants": "variants: [{label: A, recipe: {module: NMRU, regularizers: {l1: {growth: 5}}}}]"},
    ],
    ids=lambda fields: ", ".join(fields.values()),
)
def test_a_mistake_is_not_told_in_the_words_of_the_program(write_yaml: WriteYaml, fields: dict[str, str]) -> None:
    (found,) = mistakes(write_yaml(**fields))
    for word in ("Error", "NoneType", "attribute", "instance of", "tuple", "or at least 1", "index out of range"):
        assert word not in found


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ("learning_rate: [1, a]", "6: variants[0].grid.learning_rate: found 'a', expected a number"),
        ("learning_rate: 5", "6: variants[0].grid.learning_rate: found 5, expected a list"),
        ("learning_rate: []", "6: variants[0].grid.learning_rate: found [], expected "),
        (
            "learning_rate: [1, 1.0]",
            "6: variants[0].label: found the label 'A learning_rate=1' twice, expected it once",
        ),
        ("learning_rate.x: [1]", "6: variants[0].grid.learning_rate.x: found "),
        ("speed: [1]", "6: variants[0].grid.speed: found unknown field 'speed', expected one of: module, "),
    ],
)
def test_a_mistake_in_a_grid_is_named(write_yaml: WriteYaml, grid: str, sentence: str) -> None:
    path = write_yaml(variants=f"variants: [{{label: A, recipe: {{base: nmru}}, grid: {{{grid}}}}}]")
    (found,) = mistakes(path)
    assert found.startswith(sentence)


@pytest.mark.parametrize("train", ["[2, 2]", "[3, 2]", "[1, .inf]", "[.nan, 2]", "{union: [[1, 2], [4, 3]]}"])
def test_a_range_without_anything_in_it_is_refused(write_yaml: WriteYaml, train: str) -> None:
    (found,) = mistakes(write_yaml(ranges=f"ranges: [{{train: {train}, test: [2, 6]}}]"))
    assert found.startswith("3: ranges[0].train: ")
    assert found.endswith("is empty, expected low < high, both finite")


@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("input_size: 1", "0.5"),
        ("subsets: 3", "3 subsets of 1 inputs"),
        ("input_size: 10, subset_ratio: 0.75", "2 subsets of 7 inputs"),
        ("input_size: 4, subset_ratio: 1.0", "expected at most input_size 4"),
        ("subsets: 1", "div needs 2 subsets, found 1"),
    ],
)
def test_subsets_that_do_not_fit_are_refused(write_yaml: WriteYaml, task: str, named: str) -> None:
    (found,) = mistakes(write_yaml(task=f"task: {{operation: div, {task}}}"))
    assert found.startswith("3: ranges[0]: ")
    assert named in found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "1: found None, expected a mapping of fields"),
        ("[1, 2]", "1: found [1, 2], expected a mapping of fields"),
        ("title: a\nranges: [1, 2\nseeds: 3", "3: not valid YAML: "),
        ("title: a: b", "1: not valid YAML: mapping values are not allowed "),
        ("title: a\n--- {}", "2: not valid YAML: but found another document"),
        ("title: a\nseeds: *nobody", "2: not valid YAML: found undefined alias"),
        (
            "title: !!python/object/apply:os.getcwd []",
            "1: not valid YAML: could not determine a constructor for the tag",
        ),
        ("title: a\nseeds: !!python/name:os.getcwd", "2: not valid YAML: could not determine a constructor for the"),
        ("title: a\nseeds: !mine 3", "2: not valid YAML: could not determine a constructor for the tag '!mine'"),
        ("title: !!int many", "1: title: found 'many', expected a valid int because of its tag"),
        ("title: !!bool maybe", "1: title: found 'maybe', expected a valid bool because of its tag"),
        ("title: !!timestamp today", "1: not valid YAML: could not determine a constructor"),
        ("title: !!float ''", "1: title: found '', expected a valid float because of its tag"),
        ("title: a\n? [a, b]\n: c", "2: "),
        ("title: \x07", " not valid YAML: "),
        ("[" * 5000, "1: found more than 100 levels of lists and mappings, expected fewer"),
        ("a: " + "[" * 200_000 + "]" * 200_000, "1: found more than 100 levels"),
        ("title: &a [*a]", " not valid YAML: "),
    ],
)
def test_text_that_is_no_yaml_mapping_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    (found,) = mistakes(path)
    assert found.startswith(sentence)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(b"title: \xff\xfe")
    assert mistakes(path) == [" found bytes that are not text, expected UTF-8"]


def test_aliases_that_expand_without_end_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))]
    path.write_text("\n".join(lines))
    assert mistakes(path) == ["1: found more than 100000 values, expected fewer"]


def test_a_few_aliases_are_fine(write_yaml: WriteYaml) -> None:
    path = write_yaml(ranges="ranges: [{train: &r [1, 2], test: [2, 6]}, {train: *r, test: [2, 7], label: farther}]")
    assert list(nalm.load_experiment(str(path)).tasks) == ["U[1,2)", "farther"]


@pytest.mark.parametrize("name", ["nowhere.yaml", "directory.yaml"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory.yaml").mkdir()
    with pytest.raises(NalmError, match=rf"^cannot read .*{name}: "):
        nalm.load_experiment(str(tmp_path / name))


def test_a_document_knows_the_line_of_every_value(tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    path.write_text("a:\n  b: [1,\n      2]\nc: 3\n")
    document = Document(path)
    assert document.value == {"a": {"b": [1, 2]}, "c": 3}
    assert [document.lines[place] for place in (("a",), ("a", "b", 0), ("a", "b", 1), ("c",))] == [2, 2, 3, 4]


# Merge keys and limits


def test_merge_keys_take_over_fields_that_a_mapping_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "merged.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: &b\n  y: 3\n  z: 4\nc:\n  <<: *a\n  x: 5\nd: {<<: [*a, *b], w: 6}\n")
    document = Document(path)
    assert document.value["c"] == {"x": 5, "y": 2}
    assert document.value["d"] == {"w": 6, "x": 1, "y": 2, "z": 4}
    assert (document.lines[("c", "x")], document.lines[("c", "y")], document.lines[("d", "z")]) == (7, 1, 4)


def test_variants_may_share_fields_by_a_merge_key(write_yaml: WriteYaml) -> None:
    path = write_yaml(
        variants="variants: [{label: A, recipe: &a {module: NRU, learning_rate: 0.5}}, "
        "{label: B, recipe: {<<: *a, module: NMRU}}]"
    )
    variants = nalm.load_experiment(str(path)).variants
    assert (variants["B"].module.name, variants["B"].learning_rate) == ("NMRU", 0.5)


def test_what_cannot_be_merged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("a: 1\nb: {<<: 5}\n")
    with pytest.raises(NalmError, match=r"wrong.yaml:2: found '5' to merge, expected a mapping or a list of them"):
        Document(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: [" + "1, " * 300_000 + "1]\n", "more than 100000 values"),
        ("a: '" + "x" * 12_000_000 + "'\n", "more than 4,000,000 characters"),
    ],
    ids=["values", "characters"],
)
def test_a_document_that_is_too_long_is_refused_before_the_work(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(text)
    start = process_time()
    with pytest.raises(NalmError, match=f"long.yaml:1: found {found}, expected fewer"):
        Document(path)
    assert process_time() - start < 5


@pytest.mark.parametrize(("field", "most"), [("input_size", 100_000), ("hidden_size", 10_000)])
def test_sizes_that_no_machine_can_train_are_refused_before_a_layer_is_built(
    write_yaml: WriteYaml, field: str, most: int
) -> None:
    start = process_time()
    (found,) = mistakes(write_yaml(task=f"task: {{operation: add, {field}: 1000000000}}"))
    assert f"{field}: found 1000000000, expected less than or equal to {most}" in found
    assert process_time() - start < 5


@pytest.mark.parametrize("label", [r'"\uD800x"', r'"x\uDFFF"'])
def test_halves_of_surrogate_pairs_are_refused_when_read(write_yaml: WriteYaml, label: str) -> None:
    (found,) = mistakes(write_yaml(variants=f"variants: [{{label: {label}, recipe: {{module: NRU}}}}]"))
    assert found.startswith(("6: ", "6: not valid YAML: "))


def test_halves_of_surrogate_pairs_are_refused_by_pythons_reader_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(yaml.SafeLoader):
        pass

    monkeypatch.setattr("nalm.spec.document._Loader", Slow)
    path = tmp_path / "half.yaml"
    path.write_text(r'title: "\uD800x"')
    with pytest.raises(NalmError, match=r"half.yaml:1: found the character U\+D800, half of a surrogate pair"):
        Document(path)
