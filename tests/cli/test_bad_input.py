"""Wrong input is one sentence on stderr and exit code 2, and nothing is written."""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.reading import one_run
from tests.fixture_types import Cli, Contents, Refused

import nalm
from nalm.store.experiments import StoredExperiments

EAGERLY = ("--no-compile", "--workers", 0)


# Experiments


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("figure-33", "found unknown experiment 'figure-33', expected one of: "),
        ("", "found unknown experiment '', expected one of: "),
        ("nowhere.yaml", "cannot read nowhere.yaml: No such file or directory"),
    ],
)
def test_an_unknown_experiment(refused: Refused, name: str, sentence: str) -> None:
    assert refused("run", name, *EAGERLY).startswith(sentence)


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "title: [unclosed"},
        {"title": "title: 5"},
        {"extra": "title: twice"},
        {"extra": "tilte: misspelt"},
        {"extra": "a: !!python/object/apply:os.getcwd []"},
        {"extra": "? [a, b]\n: c"},
        {"extra": "a: !!bool maybe"},
        {"task": "task: {operation: divide}"},
        {"task": "task: {operation: div, subsets: 3}"},
        {"task": "task: {operation: div, input_size: two}"},
        {"ranges": "ranges: ten"},
        {"ranges": "ranges: []"},
        {"ranges": "ranges: [{train: [2, 1], test: [2, 6]}]"},
        {"ranges": "ranges: [{train: [1, 1], test: [2, 6]}]"},
        {"ranges": "ranges: [{train: [1, 2], test: {union: [[3, 2], [4, 5]]}}]"},
        {"ranges": "ranges: [{train: {kind: union, intervals: [[1, 2]]}, test: [2, 6]}]"},
        {"ranges": "ranges: [{train: [1, 2], test: [2, 6], label: 5}]"},
        {"seeds": "seeds: 5-2"},
        {"seeds": "seeds: some"},
        {"seeds": "seeds: true"},
        {"variants": "variants: []"},
        {"variants": "variants: [{label: A, recipe: {base: nothing}}]"},
        {"variants": "variants: [{label: A, recipe: {base: [nmru]}}]"},
        {"variants": "variants: [{label: A, recipe: {base: nmru}}, {label: A, recipe: {base: nru}}]"},
        {"variants": "variants: [{label: A, recipe: {base: nmru, learning_rate: fast}}]"},
        {"variants": "variants: [{label: A, recipe: {base: nmru, learning_rate: .inf}}]"},
        {"variants": "variants: [{label: A, recipe: {base: nmru}, grid: {learning_rate: []}}]"},
        {"variants": "variants: [{label: A, recipe: {base: nmru}, grid: {learning_rate.x: [1]}}]"},
    ],
    ids=lambda fields: ", ".join(fields.values()),
)
def test_a_wrong_experiment_file(refused: Refused, write_yaml: Callable[..., Path], fields: dict[str, str]) -> None:
    path = write_yaml(**fields)
    assert refused("run", path, *EAGERLY).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("MAU", "found unknown module 'MAU', expected one of: Linear, ReLU"),
        ("nowhere.layers:MyUnit", "cannot import module 'nowhere.layers:MyUnit'"),
        ("torch.nn:MyUnit", "cannot import module 'torch.nn:MyUnit'"),
        ("math:pi", "'math:pi' is not a module class"),
        ("os:getcwd", "'os:getcwd'"),
        ("torch.nn:Bilinear", "'torch.nn:Bilinear'"),
        ("torch.nn:Identity", "'torch.nn:Identity'"),
        ("broken_layers:MyUnit", "'broken_layers:MyUnit'"),
        ("{name: NMRU, sing: none}", "NMRU has no option 'sing' (did you mean sign?), expected one of: sign, "),
        ("{name: NMRU, sign: yes}", "NMRU: sign is 'yes', expected one of: retrieved, none, gated"),
        ("{name: NMRU, identity_epsilon: tiny}", "'tiny'"),
        ("{name: RealNPU, eps: tiny}", "'tiny'"),
    ],
)
def test_an_unknown_module_or_a_wrong_option(
    refused: Refused, write_yaml: Callable[..., Path], user_module: Callable[[str, str], None], module: str, reason: str
) -> None:
    user_module("broken_layers", "class MyUnit(:")
    choice = module if module.startswith("{") else f"'{module}'"
    path = write_yaml(variants=f"variants: [{{label: A, recipe: {{module: {choice}}}}}]")
    sentence = refused("run", path, *EAGERLY)
    assert sentence.startswith(f"{path}:6: variants[0].recipe")
    assert reason in sentence


# Options of a run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--variants", "nmru"), "found unknown variant 'nmru', expected one of: NMRU, NRU"),
        (("--variants", ""), "found unknown variant '', expected one of: NMRU, NRU"),
        (("--seeds", "0-"), "found seeds '0-', expected numbers and ranges such as 0-24 or 0-4,10"),
        (("--seeds", ""), "found seeds '', expected numbers and ranges"),
        (("--seeds=-3",), "found seeds '-3', expected numbers and ranges"),
        (("--seeds", "5-2"), "found seeds '5-2', expected first <= last"),
        (("--seeds", str(2**32)), f"found seeds '{2**32}', expected first <= last <= {2**32 - 1}"),
        (("--seeds", "9" * 300), "found seeds '999"),
        (("--set", "NMRU.learning_rate"), "found setting 'NMRU.learning_rate', expected VARIANT.FIELD=VALUE with"),
        (("--set", "NAU.learning_rate=1"), "found setting 'NAU.learning_rate=1', expected VARIANT.FIELD=VALUE with"),
        (("--set", "learning_rate=1"), "found setting 'learning_rate=1', expected VARIANT.FIELD=VALUE with"),
        (("--set", "NMRU.learning_rate=fast"), "NMRU: learning_rate: found 'fast', expected a number"),
        (("--set", "NMRU.learning_rate=[1"), "found '[1', expected a YAML value: "),
        (("--set", "NMRU.learning_rate=!!int many"), "found '!!int many', expected a YAML value"),
        (("--set", "NMRU.learnig_rate=1"), "NMRU: learnig_rate: found unknown field 'learnig_rate', expected one of: "),
        (("--set", "NMRU.learning_rate.x=1"), "NMRU: learning_rate"),
        (("--set", "NMRU.regularizers.weight.ramp.0=1"), "NMRU: regularizers.weight.ramp"),
        (("--set", "*.module=MAU"), "NMRU: module: found unknown module 'MAU', expected one of: "),
        (("--set", "*.iterations=-1"), "NMRU: iterations: found -1, expected greater than or equal to 0"),
        (("--set", "*.batch_size=1.5"), "NMRU: batch_size: found 1.5, expected "),
    ],
)
def test_a_wrong_option_of_a_run(refused: Refused, tiny: Path, arguments: tuple[str, ...], sentence: str) -> None:
    assert refused("run", tiny, *EAGERLY, *arguments).startswith(sentence)


@pytest.mark.parametrize("device", ["warp", "", "cuda:99", "fpga", "hpu", "meta"])
@pytest.mark.parametrize("command", ["run", "train"])
def test_an_unknown_device(refused: Refused, tiny: Path, command: str, device: str) -> None:
    what = (tiny, "--workers", 0) if command == "run" else ("NMRU", "--iterations", 0)
    sentence = refused(command, *what, "--no-compile", "--device", device)
    assert sentence.startswith(f"found device {device!r}, expected one that torch can use here, such as cpu")


@pytest.mark.parametrize("out", ["file", "file/results", "file/some/where"])
def test_a_directory_that_cannot_be_written_to(refused: Refused, tiny: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("mine")
    assert refused("run", tiny, *EAGERLY, "--out", out).startswith(f"cannot write results to '{out}': ")


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (("--iterations", 30), "(iterations: 20 there, 30 now)"),
        (("--set", "NMRU.learning_rate=1.0"), "(learning_rate: 0.01 there, 1.0 now)"),
        (("--set", "NRU.clip_gradient_norm=1.0"), "(clip_gradient_norm: None there, 1.0 now)"),
    ],
)
def test_a_changed_recipe_under_a_known_name(
    refused: Refused, tiny: Path, results: Path, arguments: tuple[object, ...], difference: str
) -> None:
    sentence = refused("run", tiny, *EAGERLY, *arguments)
    assert sentence.startswith("the recipe of 'N")
    assert difference in sentence
    assert sentence.endswith("use --replace to go on with the new one (old runs stay), or another --out")


def test_a_changed_task_under_a_known_name(refused: Refused, write_yaml: Callable[..., Path], results: Path) -> None:
    path = write_yaml("tiny", task="task: {operation: mul}")
    sentence = refused("run", path, *EAGERLY)
    assert sentence.startswith("the task 'U[1,2)' in 'results' has changed (operation: 'div' there, 'mul' now): ")


def test_a_disk_that_is_full_before_training(
    nalm_cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = nalm_cli("run", tiny, *EAGERLY)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("nalm: cannot write ")
    assert not any(path.is_file() for path in (tmp_path / "results").rglob("*"))


def test_a_disk_that_is_full_after_training(
    nalm_cli: Cli, tiny: Path, results: Path, contents: Callable[[Path], Contents], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(results / "shards")
    monkeypatch.setattr(StoredExperiments, "save", lambda *_: None)

    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    done = nalm_cli("run", tiny, *EAGERLY, "--seeds", "0-3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "nalm: cannot write results to 'results': No space left on device; "
        "finished shards are saved: free some space and repeat the command to go on"
    )
    assert contents(results / "shards") == before
    assert list((results / "running").iterdir()) == []


# Results


@pytest.mark.parametrize("command", ["summary", "runs", "show"])
@pytest.mark.parametrize("directory", ["nowhere", "file", "."])
def test_a_directory_with_no_results(refused: Refused, tmp_path: Path, command: str, directory: str) -> None:
    (tmp_path / "file").write_text("mine")
    options = one_run() if command == "show" else []
    assert refused(command, directory, *options) == (
        f"found no results in '{directory}', expected a directory that `nalm run` has written to"
    )


@pytest.mark.parametrize("command", ["summary", "runs", "show"])
def test_an_experiment_that_is_not_in_the_directory(refused: Refused, results: Path, command: str) -> None:
    options = one_run() if command == "show" else []
    sentence = refused(command, "results", "figure-3", *options)
    assert sentence == "found unknown experiment 'figure-3' in 'results', expected one of: tiny"


@pytest.mark.parametrize("command", ["summary", "runs", "show"])
def test_a_directory_holding_several_experiments(
    refused: Refused, results: Path, write_yaml: Callable[..., Path], command: str
) -> None:
    nalm.run(str(write_yaml()), results, workers=0, compiled=False)
    options = one_run() if command == "show" else []
    assert refused(command, "results", *options) == "'results' holds several experiments, name one of: mine, tiny"


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("variant", "X", "found unknown variant 'X', expected one of: NMRU, NRU"),
        ("task", "X", "found unknown task 'X', expected one of: U[1,2), negative"),
        ("seed", "7", "found no run of seed 7, expected one of: 0, 1, 2"),
    ],
)
def test_a_run_that_is_not_there(refused: Refused, results: Path, option: str, value: str, sentence: str) -> None:
    assert refused("show", "results", *one_run(**{option: value})) == sentence


@pytest.mark.parametrize("command", ["summary", "runs"])
def test_an_experiment_of_which_no_run_is_finished(
    nalm_cli: Cli, results: Path, contents: Callable[[Path], Contents], command: str
) -> None:
    for shard in (results / "shards").iterdir():
        shard.unlink()
    before = contents(results)
    done = nalm_cli(command, "results")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "nalm: found no finished runs of tiny in 'results'"
    assert contents(results) == before


def test_results_of_a_module_that_cannot_be_imported_any_more_are_shown_but_for_the_expression(
    nalm_cli: Cli,
    write_yaml: Callable[..., Path],
    user_module: Callable[[str, str], None],
    tmp_path: Path,
) -> None:
    user_module("fleeting_layers", "from torch import nn\n\nclass MyUnit(nn.Linear):\n    pass\n")
    path = write_yaml(variants="variants: [{label: A, recipe: {module: 'fleeting_layers:MyUnit'}}]")
    assert nalm_cli("run", path, *EAGERLY).returncode == 0
    one_run = ("--variant", "A", "--task", "U[1,2)", "--seed", 0, "--json")
    before = json.loads(nalm_cli("show", "results", *one_run).stdout)
    (tmp_path / "fleeting_layers.py").rename(tmp_path / "elsewhere.txt")
    del sys.modules["fleeting_layers"]
    assert nalm_cli("summary", "results").returncode == 0
    shown = json.loads(nalm_cli("show", "results", *one_run).stdout)
    assert shown.pop("expression").startswith("unknown: cannot import module 'fleeting_layers:MyUnit'")
    (weight,) = before["weights"].pop("weight")
    assert shown["weights"].pop("weight") == weight
    before.pop("expression")
    assert shown == before


# One module


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("MAU",), "module: found unknown module 'MAU', expected one of: Linear, ReLU, "),
        (("nowhere:MyUnit",), "module: cannot import module 'nowhere:MyUnit': "),
        (("NMRU", "--operation", "divide"), "operation: found unknown operation 'divide', expected one of: add, "),
        (("NMRU", "--inputs", "1"), "div needs 2 subsets, found 1"),
        (("NMRU", "--train-range", "2,1"), "train: the range [2, 1] is empty, expected low < high"),
        (("NMRU", "--train-range", "1"), "found range '1', expected LOW,HIGH such as 1,2"),
        (("NMRU", "--test-range", "a,b"), "found range 'a,b', expected LOW,HIGH such as 1,2"),
        (("NMRU", "--test-range", "nan,1"), "test: the range [nan, 1] is empty, expected low < high"),
        (("NMRU", "--seed", str(2**32)), "found seed"),
        (("NMRU", "--set", "learning_rate=fast"), "NMRU: learning_rate: found 'fast', expected a number"),
        (("NMRU", "--set", "learning_rate"), "found setting 'learning_rate', expected FIELD=VALUE"),
    ],
)
def test_a_wrong_option_of_a_single_training(refused: Refused, arguments: tuple[str, ...], sentence: str) -> None:
    assert refused("train", *arguments, "--iterations", 1, "--no-compile").startswith(sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("MAU",), "found unknown module 'MAU', expected one of: "), (("NMRU", "--inputs", "0"), "")],
)
def test_a_wrong_option_of_a_benchmark(nalm_cli: Cli, arguments: tuple[str, ...], sentence: str) -> None:
    done = nalm_cli("bench", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


# What the parser of the command line refuses itself


@pytest.mark.parametrize(
    "arguments",
    [
        ("learn",),
        ("run",),
        ("run", "figure-3", "--fast"),
        ("run", "figure-3", "--iterations", "many"),
        ("run", "figure-3", "--iterations", "-1"),
        ("run", "figure-3", "--evaluate-every", "0"),
        ("run", "figure-3", "--workers", "-1"),
        ("show", "results", "--variant", "NMRU"),
        ("show", "results", "--variant", "NMRU", "--task", "U[1,2)", "--seed", "-1"),
        ("train", "NMRU", "--inputs", "0"),
        ("summary",),
    ],
    ids=" ".join,
)
def test_a_command_that_is_not_one(
    nalm_cli: Cli, tmp_path: Path, contents: Callable[[Path], Contents], results: Path, arguments: tuple[str, ...]
) -> None:
    before = contents(tmp_path)
    done = nalm_cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert contents(tmp_path) == before
