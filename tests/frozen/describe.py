"""Describe what people's files and results depend on: run keys, columns, commands and public names.

``python -m tests.frozen.describe FILE`` writes the description. The golden file was written once, before the redesign
of the package; write it anew only together with the reason why something in it may change.
"""

import dataclasses
import hashlib
import inspect
import json
import sys
import tempfile
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pyarrow.parquet as pq
import typer.main

import nalm
import nalm.cli
import nalm.modules
from nalm.cli.app import app
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import runs_of

__all__ = ["UNUSUAL", "column_types", "commands", "key_of", "public_names", "run_keys"]

DIV = {"operation": "div", "train": [1, 2], "test": [2, 6]}
MODULE_OF_TESTS = "tests.frozen.modules:Halved"

UNUSUAL: list[tuple[dict[str, Any], dict[str, Any], int]] = [
    ({"module": MODULE_OF_TESTS}, DIV, 3),
    ({"module": "SignNMRU"}, DIV, 0),
    ({"module": {"name": "NMRU", "sign": "gated"}, "learning_rate": 1}, DIV, 24),
    ({"module": "NALU --nalu-two-nac --nalu-mul safe"}, {**DIV, "operation": "mul"}, 1),
    ({"module": {"name": "NMU", "noise": [1, 5]}, "iterations": 0}, {**DIV, "operation": "mul", "input_size": 7}, 2),
    ({"module": "INALU", "reinitialize": {"every": 5, "above": 2.5}}, {**DIV, "operation": "sub"}, 5),
    ({"module": "NRU", "optimizer": "sgd", "momentum": 0.9, "precision": "float64"}, DIV, 0),
    (
        {"module": "NAU", "clip_gradient_norm": 1.0, "clip_gradient_value": 0.5, "criterion": "pcc_then_mse"},
        {**DIV, "operation": "add", "train": {"union": [[-6, -2], [2, 6]]}},
        7,
    ),
    (
        {
            "module": "RealNPU",
            "regularizers": {
                "l1": {"growth": {"start": 1e-9, "end": 1e-7}},
                "gate": {"ramp": [10, 20], "after": 5},
                "weight": {"coefficient": 2.0, "exponential": 1e-5, "below": 1.0},
            },
        },
        {**DIV, "operation": "reciprocal", "input_size": 1, "subset_ratio": 1.0, "subsets": 1},
        11,
    ),
    ({"module": "NMRU", "stop_when_solved": True}, {**DIV, "threshold": "gold"}, 0),
    ({"module": "NMRU", "stop_when_solved": True}, {**DIV, "threshold": 1e-3, "judged_rows": 7}, 0),
    ({"module": "NMRU"}, {**DIV, "threshold": 1e-3, "judged_rows": 7}, 0),
    ({"module": "NAU", "second": "NMU"}, {**DIV, "operation": "mul", "simple": True, "hidden_size": 3}, 6),
    (
        {"module": "NAC", "second": {"name": "NACMul"}, "criterion": "mape", "batch_size": 64},
        {**DIV, "input_size": 100, "subset_ratio": 0.25, "overlap_ratio": 0.5, "threshold": "perturbed"},
        99,
    ),
    ({"module": "DMU"}, {**DIV, "train": {"halves": [[-2, -0.1], [0.1, 2]]}, "input_size": 10}, 1),
    (
        {"module": "MulMCFC", "evaluate_every": 17},
        {**DIV, "train": {"truncated_normal": {"mean": -1, "deviation": 3, "within": [-5, 10]}}},
        4,
    ),
    ({"module": "NaiveNPU"}, {**DIV, "operation": "root", "train": {"exponential": {"scale": 2}}}, 4294967294),
    ({"module": "NPU"}, {**DIV, "train": {"benford": [10, 100]}, "test": {"benford": [100, 1000]}}, 0),
    ({"module": "LSTM"}, {"operation": "add", "length": 3, "test_length": 30, "digits": "1-4"}, 0),
    (
        {"module": {"name": "Accumulator", "operation": "div"}},
        {"operation": "div", "length": 2, "test_length": 4, "digits": "1-9", "every_step": False, "threshold": 0.5},
        1,
    ),
    ({"module": "NAU", "second": "NMU"}, {**DIV, "operation": "mul", "steps": 4, "test_steps": 40, "input_size": 8}, 2),
    ({"module": "NAU", "batch_size": 32}, {"operation": "translate", "hidden_size": 4}, 2),
]
"""Recipe, task and seed of runs with unusual options."""

TRAINED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "single module": ({"module": "NMRU"}, DIV),
    "gates and buffers": ({"module": "RealNPU"}, DIV),
    "two layers": ({"module": "NAU", "second": "NMU"}, {**DIV, "operation": "mul"}),
    "retired": ({"module": "NMRU", "stop_when_solved": True}, {**DIV, "threshold": 1e9}),
    "one by one": ({"module": "tests.frozen.modules:Looping"}, DIV),
    "digits": ({"module": "NAU", "batch_size": 64}, {"operation": "add", "length": 2, "test_length": 3}),
    "vectors": ({"module": "NAU", "second": "NMU"}, {**DIV, "operation": "mul", "steps": 2, "test_steps": 3}),
    "words": ({"module": "NAU"}, {"operation": "translate"}),
}
"""Recipe and task of what is trained to see its columns."""


def _experiment(recipe: dict[str, Any], task: dict[str, Any], seed: int) -> Experiment:
    fields = {"name": "one", "title": "One", "variants": {"v": recipe}, "tasks": {"t": task}, "seeds": [seed]}
    return Experiment.model_validate(fields)


def key_of(recipe: dict[str, Any], task: dict[str, Any], seed: int) -> str:
    """Return the key of a run from its fields as an experiment file has them."""
    ((_, _, run),) = runs_of(_experiment(recipe, task, seed))
    return run.key


def run_keys(names: list[str]) -> dict[str, dict[str, str]]:
    """Return a hash of the keys of all seeds, for every variant and task of experiments of the catalog."""
    return {name: dict(_hashes(nalm.load_experiment(name))) for name in names}


def _hashes(experiment: Experiment) -> Iterator[tuple[str, str]]:
    keys: dict[str, list[str]] = {}
    for variant, task, run in runs_of(experiment):
        keys.setdefault(f"{variant} | {task}", []).append(run.key)
    for place, listed in keys.items():
        yield place, f"{len(listed)} {hashlib.sha256(' '.join(listed).encode()).hexdigest()[:32]}"


def column_types() -> dict[str, Any]:
    """Return columns, their types and the metadata of shards of every kind, which are trained for it."""
    described = {}
    for label, (recipe, task) in TRAINED.items():
        experiment = _experiment({**recipe, "iterations": 2, "evaluate_every": 1}, task, 0)
        with tempfile.TemporaryDirectory() as directory:
            nalm.run(experiment, directory, workers=0, compiled=False)
            (path,) = Path(directory, "shards").iterdir()
            table = pq.read_table(path)
            about = json.loads(table.schema.metadata[b"nalm"])
            described[label] = {
                "columns": {field.name: str(field.type) for field in table.schema},
                "metadata": {name: sorted(value) if isinstance(value, dict) else None for name, value in about.items()},
            }
    return described


def commands() -> dict[str, Any]:
    """Return every command with its arguments and options: their names, types and defaults."""
    root: Any = typer.main.get_command(app)
    described = {}
    for name, command in sorted(root.commands.items()):
        described[name] = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
    return described


def _parameter(parameter: Any) -> dict[str, Any]:
    default, annotation = parameter.default, parameter.type_descriptor.annotation
    return {
        "names": sorted([*parameter.opts, *parameter.secondary_opts]),
        "kind": parameter.param_type_name,
        "type": _type(annotation),
        "limits": [parameter.min, parameter.max],
        "default": None if default in (None, False, ()) else str(default),
        "required": parameter.required,
        "several": getattr(parameter, "multiple", False) or parameter.nargs != 1,
        "metavar": parameter.metavar,
    }


def _type(annotation: Any) -> str | list[str]:
    """Return the name of a type, or the values that may be chosen."""
    if get_origin(annotation) is Literal:
        return sorted(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return sorted(member.value for member in annotation)
    return getattr(annotation, "__name__", str(annotation)) if get_origin(annotation) is None else str(annotation)


def public_names() -> dict[str, dict[str, list[str] | None]]:
    """Return the public names of the package and of its modules: parameters of what is called, fields of what is read.

    Data classes are what functions return: nobody calls them, and their fields may be joined by others.
    """
    return {
        package.__name__: {name: _about(getattr(package, name)) for name in sorted(package.__all__)}
        for package in (nalm, nalm.modules)
    }


def _about(value: Any) -> list[str] | None:
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
        return sorted({*fields, *(name for name in vars(value) if not name.startswith("_"))})
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):  # what cannot be called
        return None
    return [
        f"{parameter.kind.description}: {parameter.name}"
        + ("" if parameter.default is parameter.empty else f" = {_default(parameter.default)}")
        for parameter in parameters
    ]


def _default(value: Any) -> str:
    plain = isinstance(value, str | int | float | tuple) and not hasattr(value, "_fields")
    return repr(value) if plain or value is None else "…"


def _everything() -> dict[str, Any]:
    return {
        "run_keys": run_keys(nalm.experiment_names()),
        "unusual_keys": [key_of(*fields) for fields in UNUSUAL],
        "columns": column_types(),
        "commands": commands(),
        "names": public_names(),
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(_everything(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
