"""TensorBoard shows every run with its scalars and hyperparameters, in Python and in a browser."""

import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util
from tests.browser import browser, missing

import nalm
from nalm.experiments.experiment import Experiment
from nalm.export.gradients import recomputed_gradients
from nalm.export.tensorboard_logs import BUCKETS, FILE, _histograms
from nalm.original.event_records import framed
from nalm.spec.recipe import Recipe
from nalm.store.store import Store
from nalm.tasks.subsets.streams import Sampler
from nalm.tasks.subsets.task import SubsetTask
from nalm.training.loss import Objective

PLAIN = {
    *("error/validation", "error/test", "error/sparsity", "loss/criterion", "loss/regularizers", "loss/total"),
    *("outcome/solved", "outcome/validation_error", "outcome/test_error", "outcome/sparsity_error"),
}


TASKS = ("U[1,2)", "negative")
DEEP_TEXT = """
const text = (node) => [...node.childNodes].map((child) =>
  child.nodeType === 3 ? child.data : text(child) + (child.shadowRoot ? text(child.shadowRoot) : "")).join(" ");
return text(document.body);
"""
"""Script for the text of a page, including that of its components."""


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0}).Reload()


def scalars(accumulator: Any, tag: str) -> list[tuple[int, float]]:
    """Return steps and values, in whichever way TensorBoard keeps them."""
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def hyperparameters(accumulator: Any) -> dict[str, Any]:
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    content = accumulator.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
    values = parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in sorted(values.items())}


@pytest.fixture
def logs(results: Path) -> Path:
    nalm.export_tensorboard(results, results.parent / "logs")
    return results.parent / "logs"


def test_there_is_a_folder_for_each_run_with_a_readable_name(logs: Path) -> None:
    assert sorted(str(path.parent.relative_to(logs)) for path in logs.rglob(FILE)) == sorted(
        f"tiny/{variant}/{task}/seed {seed}"
        for variant in ("NMRU", "NRU")
        for task in ("U[1,2)", "negative")
        for seed in range(3)
    )


def test_tensorboard_reads_the_errors_and_losses_of_every_evaluation(results: Path, logs: Path) -> None:
    for trained in nalm.load(results).trained:
        found = read(logs / "tiny" / trained.variant / trained.task / f"seed {trained.run.seed}")
        solved = {"outcome/iteration_solved"} if trained.outcome()["solved"] else set()
        assert set(found.Tags()["scalars"]) == PLAIN | solved
        history = trained.history()
        history["total"] = history["criterion"] + history["penalty"]
        for tag, column in (
            ("error/validation", "validation_error"),
            ("error/test", "test_error"),
            ("error/sparsity", "sparsity_error"),
            ("loss/criterion", "criterion"),
            ("loss/regularizers", "penalty"),
            ("loss/total", "total"),
        ):
            steps, values = zip(*scalars(found, tag), strict=True)
            assert list(steps) == [0, 10, 20]
            np.testing.assert_array_equal(values, history[column].astype(np.float32))
        assert [event.wall_time for event in found.Scalars("error/test")] == history["wall_time"].tolist()
        assert scalars(found, "outcome/solved") == [(20, float(trained.outcome()["solved"]))]


def test_hyperparameters_are_what_tells_runs_apart(logs: Path) -> None:
    found = hyperparameters(read(logs / "tiny" / "NMRU" / "negative" / "seed 2"))
    expected = {
        "variant": "NMRU",
        "task": "negative",
        "seed": 2.0,
        "module": "NMRU",
        "operation": "div",
        "input_size": 2.0,
        "learning_rate": 0.01,
        "clip_gradient_norm": 1.0,
        "regularizers.weight.coefficient": 10.0,
        "regularizers.weight.ramp": "[20000, 35000]",
        "iterations": 20.0,
        "evaluate_every": 10.0,
    }
    assert found == expected


def test_another_export_replaces_the_first(results: Path, logs: Path) -> None:
    before = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    nalm.export_tensorboard(results, logs)
    assert {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()} == before


def test_characters_that_folders_cannot_have_are_replaced(results: Path, tiny_experiment: Experiment) -> None:
    nmru, nru = tiny_experiment.variants.values()
    variants = {"../up": nmru, ".._up": nru}
    Store(results).experiments.save(tiny_experiment.model_copy(update={"variants": variants}))
    out = results.parent / "out" / "logs"
    assert nalm.export_tensorboard(results, out).runs == 12
    assert sorted(path.name for path in (out / "tiny").iterdir()) == ["_up", "_up_"]
    assert [path.name for path in out.parent.iterdir()] == ["logs"]
    assert len(list(out.rglob(FILE))) == 12


def test_missing_runs_are_counted(results: Path) -> None:
    next((results / "shards").iterdir()).unlink()
    exported = nalm.export_tensorboard(results, results.parent / "logs", "tiny", variants=["NMRU", "NRU"])
    assert (exported.runs, exported.missing) == (6, 6)


def test_a_failed_write_leaves_the_old_log(results: Path, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(nalm.NalmError, match=r"^cannot write .+: No space left on device$"):
        nalm.export_tensorboard(results, logs, verbose=True)
    assert {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()} == before


def test_an_unwritable_folder_is_reported_in_one_sentence(results: Path) -> None:
    (results.parent / "logs").touch()
    with pytest.raises(nalm.NalmError, match=r"cannot write .+: Not a directory"):
        nalm.export_tensorboard(results, results.parent / "logs")


def test_without_tensorboard_a_sentence_says_what_to_install(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(nalm.NalmError, match=re.escape("pip install 'nalm[tensorboard]'")):
        nalm.export_tensorboard(results, results.parent / "logs")


# Weights and gradients


@pytest.mark.parametrize("kind", ["parameter", "gradient"])
def test_logs_have_every_weight_or_its_gradient_with_histograms(results: Path, kind: str) -> None:
    logs, of_weights = results.parent / "logs", kind == "parameter"
    nalm.export_tensorboard(results, logs, verbose=of_weights, gradients=not of_weights)
    found = read(logs / "tiny" / "NMRU" / "U[1,2)" / "seed 0")
    more = {f"{kind}/weight/{index}" for index in range(4)} | ({"coefficient/weight"} if of_weights else set())
    assert set(found.Tags()["scalars"]) == PLAIN | more
    steps = [[value for _, value in scalars(found, f"{kind}/weight/{index}")] for index in range(4)]
    histograms = [tensor_util.make_ndarray(event.tensor_proto) for event in found.Tensors(f"{kind}/weight")]
    assert len(histograms) == 3
    for values, buckets in zip(np.array(steps).T, histograms, strict=True):
        assert buckets[:, 2].sum() == 4
        # Scalars are float32, histograms are not.
        np.testing.assert_allclose([buckets[0, 0], buckets[-1, 1]], [values.min(), values.max()], rtol=2**-23)
    if of_weights:
        history = nalm.load(results).run("NMRU", "U[1,2)", 0).history()
        for index, values in enumerate(steps):
            np.testing.assert_array_equal(values, history[f"weight.{index}"].astype(np.float32))


@given(st.lists(st.binary(max_size=70)))
def test_records_are_those_of_tensorboards_own_writer(records: list[bytes]) -> None:
    buffer = io.BytesIO()
    for record in records:
        RecordWriter(buffer).write(record)
    assert b"".join(framed(records)) == buffer.getvalue()


@given(st.lists(st.integers(0, 256 * BUCKETS), max_size=9))
def test_histograms_are_those_of_tensorboard(values: list[int]) -> None:
    """With edges that are whole numbers, so that rounding puts no value on another side of one."""
    entries = np.array([0, *values, 256 * BUCKETS], dtype=np.float64)
    (theirs,) = histogram_pb("x", entries, BUCKETS).value
    ours = _histograms(np.stack([entries, np.full_like(entries, 3.0)]))
    np.testing.assert_array_equal(ours[0], tensor_util.make_ndarray(theirs.tensor))
    assert ours[1].tolist() == [[3.0, 3.0, 0.0]] * (BUCKETS - 1) + [[3.0, 3.0, len(entries)]]


def test_logs_of_diverged_runs_end_before_the_first_nan_weight(results: Path, tiny_experiment: Experiment) -> None:
    wild = tiny_experiment.model_copy(update={"name": "wild"}).narrowed(variants=["NRU"])
    wild = wild.changed({"module": "Linear", "optimizer": "sgd", "learning_rate": 1e30, "regularizers": {}})
    nalm.run(wild, results, workers=0, compiled=False)
    diverged = [run for run in nalm.load(results, "wild").trained if run.diverged_at is not None]
    assert diverged
    nalm.export_tensorboard(results, results.parent / "logs", "wild", verbose=True, gradients=True)
    for run in diverged:
        found = read(results.parent / "logs" / "wild" / run.variant / run.task / f"seed {run.run.seed}")
        assert len(scalars(found, "error/test")) == len(run.iterations)


@pytest.mark.parametrize(
    "fields",
    [
        {"module": "NMRU", "regularizers": {"weight": {"coefficient": 10, "ramp": [0, 10]}}},
        {"module": {"name": "RealNPU", "clip": "both"}, "regularizers": {"l1": {"growth": {"start": 0.1, "end": 1}}}},
        {"module": "NRU", "criterion": "pcc_then_mse", "pcc_iterations": 5, "batch_size": 16},
        {"module": "NRU", "precision": "float64", "regularizers": {"weight": {"below": 0.5}}},
    ],
)
def test_gradients_are_those_of_the_loss_of_one_model(fields: dict[str, Any], tiny_experiment: Experiment) -> None:
    recipe = Recipe.model_validate(fields)
    runs = [(task, seed) for task in tiny_experiment.tasks.values() for seed in (0, 1)]
    iterations, errors = [0, 10], np.array([[0.1, 0.9, 0.1, 0.9], [0.9, 0.1, 0.9, 0.1]])
    module = recipe.module.build(2, 1).to(recipe.dtype)
    generator = np.random.RandomState(0)
    parameters = {name: generator.uniform(0.2, 0.8, (2, 4, *value.shape)) for name, value in module.named_parameters()}
    found = recomputed_gradients(recipe, runs, parameters, iterations, errors)
    assert found is not None
    objective = Objective(module.train(), recipe)
    for evaluation, iteration in enumerate(iterations):
        scalars = {name: term.values(np.array([iteration]))[0] for name, term in recipe.regularizers.items()}
        scalars |= {"weight.below": 0.5, "pcc": float(iteration < recipe.pcc_iterations)}
        numbers = {name: torch.tensor(value, dtype=recipe.dtype) for name, value in scalars.items()}
        for run, (task, seed) in enumerate(runs):
            assert isinstance(task, SubsetTask)
            held_out = Sampler([(task, seed)], 1, recipe.dtype, torch.device("cpu")).validation
            x, target = held_out.inputs[0, :, : recipe.batch_size].T, held_out.targets[0, : recipe.batch_size, None]
            for name, value in module.named_parameters():
                value.data.copy_(torch.from_numpy(parameters[name][evaluation, run]))
            own = {"validation_error": torch.tensor(errors[evaluation, run], dtype=recipe.dtype)}
            loss, _, _ = objective(x, target, numbers, own)
            gradients = torch.autograd.grad(loss, list(module.parameters()))
            for (name, _), gradient in zip(module.named_parameters(), gradients, strict=True):
                # The same sums in another order, in float32.
                np.testing.assert_allclose(found[name][evaluation, run], gradient.numpy(), rtol=2e-4, atol=1e-6)


def test_a_missing_module_is_reported_in_one_sentence(
    write_yaml: Callable[..., Path], user_module: Callable[[str, str], None], tmp_path: Path
) -> None:
    user_module("own_layers", "from torch import nn\n\nclass MyUnit(nn.Linear):\n    pass\n")
    path = write_yaml(variants="variants: [{label: A, recipe: {module: 'own_layers:MyUnit'}}]")
    nalm.run(str(path), tmp_path / "own", workers=0, compiled=False)
    (tmp_path / "own_layers.py").unlink()
    sys.modules.pop("own_layers")
    assert nalm.export_tensorboard(tmp_path / "own", tmp_path / "logs").runs == 2
    with pytest.raises(nalm.NalmError, match="cannot import module 'own_layers:MyUnit'"):
        nalm.export_tensorboard(tmp_path / "own", tmp_path / "logs", verbose=True)


def test_modules_that_draw_noise_have_no_gradients(tiny_experiment: Experiment) -> None:
    recipe = Recipe.model_validate({"module": {"name": "NMU", "noise": [1, 5]}})
    runs = [(task, 0) for task in tiny_experiment.tasks.values()]
    assert recomputed_gradients(recipe, runs, {"weight": np.ones((1, 2, 1, 2))}, [0], np.ones((1, 2))) is None


# The command


def test_logs_are_written_after_training(train_tiny: Callable[..., Any], tiny: Path, tmp_path: Path) -> None:
    done = train_tiny(tiny, "--variants", "NRU", "--tensorboard", "logs")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1] == "wrote TensorBoard logs of 6 runs of tiny into logs"
    assert len(list((tmp_path / "logs").rglob(FILE))) == 6
    again = train_tiny(tiny, "--variants", "NRU", "--tensorboard", "logs", "--verbose")
    assert again.returncode == 0
    assert "parameter/weight/0" in read(next((tmp_path / "logs").rglob(FILE)).parent).Tags()["scalars"]


def test_only_runs_that_were_asked_for_are_logged(
    train_tiny: Callable[..., Any], results: Path, tiny: Path, tmp_path: Path
) -> None:
    options = ("--variants", "NRU", "--seeds", "1", "--out", results, "--tensorboard", "logs")
    done = train_tiny(tiny, *options)
    assert done.stderr.splitlines()[-1] == "wrote TensorBoard logs of 2 runs of tiny into logs"
    assert {path.parent.name for path in (tmp_path / "logs").rglob(FILE)} == {"seed 1"}


@pytest.mark.parametrize("command", ["run", "reproduce"])
def test_missing_tensorboard_is_found_before_training(
    refused: Callable[..., str], tiny: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    sentence = refused(command, tiny, "--no-compile", "--workers", 0, "--tensorboard", "logs")
    assert sentence == "TensorBoard logs need `pip install 'nalm[tensorboard]'`"


# In a browser


@pytest.fixture
def served(logs: Path) -> Iterator[str]:
    """Address of a TensorBoard that shows the logs."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            address = next(
                match[0] for line in process.stdout if (match := re.search(r"http://127\.0\.0\.1:\d+/", line))
            )
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_tensorboard_shows_runs_scalars_and_hyperparameters(served: str) -> None:
    with browser(1600, 3000) as page:
        page.open(f"{served}?darkMode=false#timeseries")
        tags = {tag for tag in PLAIN if not tag.startswith("outcome/")}  # whose cards are farther below
        runs = {
            f"tiny/{variant}/{task}/seed{seed}" for variant in ("NMRU", "NRU") for task in TASKS for seed in range(3)
        }
        page.wait(lambda text: all(word in re.sub(r"\s", "", text) for word in tags | runs))
        page.open("about:blank")
        page.open(f"{served}#hparams")
        deadline = time.monotonic() + 60
        while "tiny/NRU/negative/seed 2" not in (shown := page.run(DEEP_TEXT)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        for word in ("learning_rate", "variant", "task", "seed", "tiny/NMRU/U[1,2)/seed 0"):
            assert word in shown
        assert [line for line in page.console() if line.startswith("SEVERE")] == []
        assert [address for address in page.requests() if not address.startswith((served, "data:", "about:"))] == []
