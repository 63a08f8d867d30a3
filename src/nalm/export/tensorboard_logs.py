"""Write results as TensorBoard logs, for people to look at; nalm never reads them."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nalm.analysis.results import TrainedRun
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import Run, recipe_fields
from nalm.export.chosen_runs import LabelledRun, Selection, select
from nalm.export.csv_files import Exported
from nalm.export.gradients import recomputed_gradients
from nalm.original.event_records import framed
from nalm.paths import write_atomically, writing
from nalm.spec.fields import leaves
from nalm.store.columns import COLUMNS
from nalm.store.rows import StoredRun, stored_runs

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

__all__ = ["check_tensorboard", "export_tensorboard"]

Array = npt.NDArray[np.float64]

SCALARS = {column.tag: column.field for column in COLUMNS if column.tag}
"""Tags, and the fields of a run that they show; ``loss/total`` is the sum of the losses."""
OUTCOME = ("solved", "iteration_solved", "validation_error", "test_error", "sparsity_error")
"""Parts of a run's outcome that are written once, as ``outcome/…``."""
FILE = "events.out.tfevents.nalm"
"""Name of every event file. It is always the same, so that a new export replaces the old one."""
BUCKETS = 10
"""Number of buckets of a histogram."""


def check_tensorboard() -> None:
    """Check that TensorBoard is installed.

    Raises:
        NalmError: TensorBoard is not installed.
    """
    try:
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError:
        raise NalmError("TensorBoard logs need `pip install 'nalm[tensorboard]'`") from None


def export_tensorboard(
    directory: Path | str,
    out: Path | str,
    experiment: str | Experiment | None = None,
    *,
    variants: Sequence[str] | None = None,
    verbose: bool = False,
    gradients: bool = False,
) -> Exported:
    """Write a TensorBoard log for each run, as ``EXPERIMENT/VARIANT/TASK/seed N`` in a folder.

    A log has the run's errors and losses at every evaluation, its outcome, and hyperparameters for the HPARAMS page.

    Arguments:
        directory: a results directory.
        out: the folder to write to; logs of the same runs are replaced.
        experiment: name of an experiment that was run into the directory, or an experiment (such as a narrowed one) to
            write only its own runs; by default all of them.
        variants: labels of variants; by default all of them.
        verbose: add coefficients of regularizers, and every parameter (weights, gates) with a histogram.
        gradients: add the gradient of every parameter with a histogram. They are recomputed, which takes longer than
            everything else, see :func:`nalm.export.gradients.recomputed_gradients`.

    Raises:
        NalmError: there are no such results, the logs cannot be written, TensorBoard is not installed, or a module
            cannot be imported, which is needed for ``verbose`` and ``gradients``.
    """
    check_tensorboard()
    selection = select(directory, experiment, variants)
    folders = _Folders(Path(out))
    exported = Exported(missing=len(selection.labelled))
    for table, about in selection.shards():
        stored = list(stored_runs(table, about))
        events = {
            folders.path(labelled): _events(labelled, stored_run, extra)
            for stored_run, extra in zip(stored, _extras(stored, selection, verbose, gradients), strict=True)
            for labelled in selection.labelled[stored_run.key]
        }
        records = iter(framed([event for run_events in events.values() for event in run_events]))
        for folder, run_events in events.items():
            _write(folder, b"".join(islice(records, len(run_events))))
        exported.runs += len(stored)
    exported.missing -= exported.runs
    return exported


class _Folders:
    """The folders of runs, with names that are readable and allowed on every system.

    Arguments:
        out: the folder that has them.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.names: dict[tuple[Path, str], str] = {}
        self.taken: set[Path] = set()

    def path(self, labelled: LabelledRun) -> Path:
        """Return the folder of a run."""
        folder = self.out
        for label in (labelled.experiment, labelled.variant, labelled.task):
            folder = folder / self._name(folder, label)
        return folder / f"seed {labelled.run.seed}"

    def _name(self, parent: Path, label: str) -> str:
        if (parent, label) not in self.names:
            name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", label).strip(". ") or "_"
            while parent / name in self.taken:  # by a label that differs only in characters that are not allowed
                name += "_"
            self.taken.add(parent / name)
            self.names[parent, label] = name
        return self.names[parent, label]


def _write(folder: Path, content: bytes) -> None:
    with writing(str(folder / FILE)):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / FILE, content, durable=False)  # it can be written again


Extra = Mapping[str, Array]
"""More values of a run by tag, of shape ``(evaluations)`` or, to be shown with a histogram, ``(evaluations, …)``."""


def _extras(stored: Sequence[StoredRun], selection: Selection, verbose: bool, gradients: bool) -> Sequence[Extra]:
    """Return what ``verbose`` and ``gradients`` add to the logs of a shard's runs."""
    nothing: list[Extra] = [{} for _ in stored]
    if not (verbose or gradients) or not stored or "imported" in stored[0].provenance:
        return nothing
    runs = [selection.labelled[run.key][0].run for run in stored]
    recipe = runs[0].recipe
    iterations = list(range(0, recipe.iterations + 1, recipe.evaluate_every))
    parameters = _parameters(stored, runs[0], len(iterations))
    if parameters is None:
        return nothing
    extras: list[dict[str, Array]] = [{} for _ in runs]
    if verbose:
        coefficients = {name: term.values(np.array(iterations)) for name, term in recipe.regularizers.items()}
        for run, extra in enumerate(extras):
            extra |= {f"coefficient/{name}": values for name, values in coefficients.items()}
            extra |= {f"parameter/{name}": values[:, run] for name, values in parameters.items()}
    if gradients:
        errors = np.full((len(iterations), len(runs)), np.nan)
        for run, known in enumerate(stored):
            errors[: len(known.validation_errors), run] = known.validation_errors
        tasks_and_seeds = [(run.task, run.seed) for run in runs]
        found = recomputed_gradients(recipe, tasks_and_seeds, parameters, iterations, errors) or {}
        for run, extra in enumerate(extras):
            extra |= {f"gradient/{name}": values[:, run] for name, values in found.items()}
    return extras


def _parameters(stored: Sequence[StoredRun], run: Run, evaluations: int) -> dict[str, Array] | None:
    """Return the parameters of a shard's runs, of shape ``(evaluations, runs, …)``, by name.

    None if they are not known at every evaluation: if they were too many to keep, or if a run was stopped early.
    """
    try:
        module = run.task.probe(run.recipe)
    except ValueError as error:  # the module of another package, which is not installed
        raise NalmError(str(error)) from None
    parameters: dict[str, Array] = {}
    for name, parameter in module.named_parameters():
        if name in stored[0].flat_parameters:
            kept = [known.flat_parameters[name] for known in stored]
            if any(len(values) != (evaluations + 1) * parameter.numel() for values in kept):
                return None
            by_run = np.stack(kept).reshape(len(stored), evaluations + 1, *parameter.shape)
            parameters[name] = by_run[:, :evaluations].swapaxes(0, 1)
    return parameters


def _events(labelled: LabelledRun, stored: StoredRun, extra: Extra) -> list[bytes]:
    """Return the records of a run's event file."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    trained = TrainedRun.from_stored(stored, labelled.variant, labelled.task, labelled.run)
    iterations, wall_times = trained.iterations.tolist(), trained.wall_times.tolist()
    times = [time for time in wall_times if math.isfinite(time)]
    start, end = (times[0], times[-1]) if times else (trained.provenance["started"],) * 2
    name = f"{labelled.experiment}/{labelled.variant}/{labelled.task}/seed {labelled.run.seed}"
    hparams = hparams_pb(_hyperparameters(labelled), trial_id=name, start_time_secs=start)
    steps = list(zip(iterations, wall_times, _summaries(trained, extra), strict=True))
    last = iterations[-1] if iterations else 0
    events = [
        Event(wall_time=start, file_version="brain.Event:2"),
        Event(wall_time=start, summary=hparams),
        *(Event(wall_time=time, step=step, summary=summary) for step, time, summary in steps),
        Event(wall_time=end, step=last, summary=_outcome(trained)),
        Event(wall_time=end, summary=_session_end(end)),
    ]
    return [event.SerializeToString() for event in events]


def _session_end(time: float) -> "Summary":
    """Return the summary that tells the HPARAMS page that the run is over."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time)
    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    return Summary(
        value=[Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)]
    )


def _hyperparameters(labelled: LabelledRun) -> dict[str, bool | float | str]:
    run = labelled.run
    recipe = {"learning_rate": run.recipe.learning_rate, **leaves(recipe_fields(run.recipe))}
    recipe["module"] = recipe.pop("module.name", recipe.get("module"))
    values = {
        "variant": labelled.variant,
        "task": labelled.task,
        "seed": run.seed,
        "operation": run.task.operation,
        "input_size": run.task.columns,
        **recipe,
    }
    return {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}


def _summaries(run: StoredRun, extra: Extra) -> Iterator["Summary"]:
    """Yield a summary for each evaluation."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_DOUBLE
    from tensorboard.plugins.histogram.metadata import create_summary_metadata

    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in (BUCKETS, 3)])
    metadata = create_summary_metadata(display_name=None, description=None)
    evaluations = len(run.iterations)
    columns = {tag: getattr(run, field).tolist() for tag, field in SCALARS.items()}
    columns["loss/total"] = (run.criteria + run.penalties).tolist()
    flat = {tag: values.reshape(len(values), -1) for tag, values in extra.items() if values.ndim > 1}
    columns |= {tag: values.tolist() for tag, values in extra.items() if values.ndim == 1}
    for tag, values in flat.items():
        columns |= {f"{tag}/{index}": series for index, series in enumerate(values.T.tolist())}
    histograms = {tag: _histograms(values[:evaluations]) for tag, values in flat.items()}
    described: set[str] = set()
    for evaluation in range(evaluations):
        summary = Summary(
            value=[Summary.Value(tag=tag, simple_value=values[evaluation]) for tag, values in columns.items()]
        )
        for tag, buckets in histograms.items():
            if np.isfinite(buckets[evaluation]).all():
                content = buckets[evaluation].tobytes()
                tensor = TensorProto(dtype=DT_DOUBLE, tensor_shape=shape, tensor_content=content)
                about = None if tag in described else metadata  # TensorBoard reads it from the first summary of a tag
                summary.value.append(Summary.Value(tag=tag, metadata=about, tensor=tensor))
                described.add(tag)
        yield summary


def _histograms(values: Array) -> Array:
    """Return left end, right end and count of each bucket.

    Arguments:
        values: of shape ``(evaluations, entries)``.

    Returns:
        An array of shape ``(evaluations, buckets, 3)``.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        edges = np.linspace(values.min(1), values.max(1), BUCKETS + 1, axis=1)
        above = values[:, :, None] >= edges[:, None, :-1]
    counts = -np.diff(above.sum(1), axis=1, append=0)  # the last bucket includes its right end
    return np.stack([edges[:, :-1], edges[:, 1:], counts], axis=-1)


def _outcome(trained: TrainedRun) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary

    outcome = {name: value for name, value in trained.outcome().items() if name in OUTCOME and value is not None}
    return Summary(value=[Summary.Value(tag=f"outcome/{name}", simple_value=value) for name, value in outcome.items()])
