"""Results as TensorBoard logs, for people to look at; they are never read again."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nalm.analysis.results import TrainedRun
from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.experiments.runs import recipe_fields
from nalm.export.chosen_runs import Place, Selection, select
from nalm.export.csv_files import Exported
from nalm.export.event_records import framed
from nalm.export.gradients import recomputed_gradients
from nalm.paths import write_atomically
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
"""What became of a run, once, as ``outcome/…``."""
FILE = "events.out.tfevents.nalm"
"""Always the same, so that another export takes its place."""
BUCKETS = 10


def check_tensorboard() -> None:
    """Checks that TensorBoard is installed, before anything else is done.

    Raises:
        NalmError: it is not.
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
    """Writes a TensorBoard log for each run: ``EXPERIMENT/VARIANT/TASK/seed N`` in a folder.

    Each has its errors and losses at every evaluation, its outcome, and hyperparameters for the HPARAMS page.

    Arguments:
        directory: a results directory.
        out: where the logs go; those of the same runs are replaced.
        experiment: the name of one that was run into it, or an experiment of which no other runs are meant than its
            own, such as a narrowed one; by default all of them.
        variants: labels of variants; by default all of them.
        verbose: add coefficients of regularizers, and every parameter (weights, gates) with a histogram.
        gradients: add the gradient of every parameter with a histogram. They are computed anew, which takes longer than
            everything else, see :func:`nalm.export.gradients.recomputed_gradients`.

    Raises:
        NalmError: there are no such results, the logs cannot be written, TensorBoard is not installed, or a module
            whose gradients are wanted is not there.
    """
    check_tensorboard()
    selection = select(directory, experiment, variants)
    folders = _Folders(Path(out))
    exported = Exported(missing=len(selection.places))
    for table, about in selection.shards():
        stored = list(stored_runs(table, about))
        events = {
            folders.of(place): _events(place, stored_run, extra)
            for stored_run, extra in zip(stored, _extras(stored, selection, verbose, gradients), strict=True)
            for place in selection.places[stored_run.key]
        }
        records = iter(framed([event for of_run in events.values() for event in of_run]))
        for folder, of_run in events.items():
            _write(folder, b"".join(islice(records, len(of_run))))
        exported.runs += len(stored)
    exported.missing -= exported.runs
    return exported


class _Folders:
    """A folder for each run, whose name is readable, and possible on every system."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.names: dict[tuple[Path, str], str] = {}
        self.taken: set[Path] = set()

    def of(self, place: Place) -> Path:
        """The folder of a run."""
        folder = self.out
        for label in (place.experiment, place.variant, place.task):
            folder = folder / self._name(folder, label)
        return folder / f"seed {place.run.seed}"

    def _name(self, parent: Path, label: str) -> str:
        if (parent, label) not in self.names:
            name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", label).strip(". ") or "_"
            while parent / name in self.taken:  # by a label that differs only in what is not possible
                name += "_"
            self.taken.add(parent / name)
            self.names[parent, label] = name
        return self.names[parent, label]


def _write(folder: Path, content: bytes) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / FILE, content, durable=False)  # it can be written anew
    except OSError as error:
        raise NalmError(f"cannot write {folder / FILE}: {error.strerror}") from None


Extra = Mapping[str, Array]
"""What is shown of a run besides, at each evaluation: ``(evaluations)`` or, with a histogram, ``(evaluations, …)``."""


def _extras(stored: Sequence[StoredRun], selection: Selection, verbose: bool, gradients: bool) -> Iterable[Extra]:
    nothing: list[Extra] = [{} for _ in stored]
    if not (verbose or gradients) or not stored or "imported" in stored[0].provenance:
        return nothing
    runs = [selection.places[run.key][0].run for run in stored]
    recipe = runs[0].recipe
    iterations = list(range(0, recipe.iterations + 1, recipe.evaluate_every))
    try:
        module = runs[0].task.probe(recipe)
    except ValueError as error:  # it is somebody's own, and not here
        raise NalmError(str(error)) from None
    parameters: dict[str, Array] = {}
    for name, parameter in module.named_parameters():
        if name in stored[0].flat_parameters:
            kept = [run.flat_parameters[name] for run in stored]
            if any(len(values) != (len(iterations) + 1) * parameter.numel() for values in kept):
                return nothing  # too many to be kept, or of runs that were stopped early
            parameters[name] = np.stack(kept).reshape(len(runs), -1, *parameter.shape)[:, : len(iterations)]
    extras: list[dict[str, Array]] = [{} for _ in runs]
    if verbose:
        factors = {
            f"coefficient/{name}": term.values(np.array(iterations)) for name, term in recipe.regularizers.items()
        }
        for run, extra in enumerate(extras):
            extra |= factors | {f"parameter/{name}": values[run] for name, values in parameters.items()}
    if gradients:
        errors = np.full((len(iterations), len(runs)), np.nan)
        for run, known in enumerate(stored):
            errors[: len(known.validation_errors), run] = known.validation_errors
        trained = {name: values.swapaxes(0, 1) for name, values in parameters.items()}
        of_runs = [(run.task, run.seed) for run in runs]
        found = recomputed_gradients(recipe, of_runs, trained, iterations, errors) or {}
        for run, extra in enumerate(extras):
            extra |= {f"gradient/{name}": values[:, run] for name, values in found.items()}
    return extras


def _events(place: Place, stored: StoredRun, extra: Extra) -> list[bytes]:
    """What stands in a run's event file."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    trained = TrainedRun.from_stored(stored, place.variant, place.task, place.run)
    iterations, wall_times = trained.iterations.tolist(), trained.wall_times.tolist()
    times = [time for time in wall_times if math.isfinite(time)]
    start, end = (times[0], times[-1]) if times else (trained.provenance["started"],) * 2
    name = f"{place.experiment}/{place.variant}/{place.task}/seed {place.run.seed}"
    hparams = hparams_pb(_hyperparameters(place), trial_id=name, start_time_secs=start)
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
    """What tells the HPARAMS page that the run is over."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time)
    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    return Summary(
        value=[Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)]
    )


def _hyperparameters(place: Place) -> dict[str, bool | float | str]:
    recipe = {"learning_rate": place.run.recipe.learning_rate, **leaves(recipe_fields(place.run.recipe))}
    recipe["module"] = recipe.pop("module.name", recipe.get("module"))
    values = {
        "variant": place.variant,
        "task": place.task,
        "seed": place.run.seed,
        "operation": place.run.task.operation,
        "input_size": place.run.task.columns,
        **recipe,
    }
    return {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}


def _summaries(run: StoredRun, extra: Extra) -> Iterator["Summary"]:
    """One for each evaluation."""
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
                about = None if tag in described else metadata  # which is read from the first of a tag
                summary.value.append(Summary.Value(tag=tag, metadata=about, tensor=tensor))
                described.add(tag)
        yield summary


def _histograms(values: Array) -> Array:
    """Left end, right end and count of each bucket: ``(evaluations, buckets, 3)`` of ``(evaluations, entries)``."""
    with np.errstate(invalid="ignore", over="ignore"):
        edges = np.linspace(values.min(1), values.max(1), BUCKETS + 1, axis=1)
        above = values[:, :, None] >= edges[:, None, :-1]
    counts = -np.diff(above.sum(1), axis=1, append=0)  # the last bucket has its right end, too
    return np.stack([edges[:, :-1], edges[:, 1:], counts], axis=-1)


def _outcome(trained: TrainedRun) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary

    outcome = {name: value for name, value in trained.outcome().items() if name in OUTCOME and value is not None}
    return Summary(value=[Summary.Value(tag=f"outcome/{name}", simple_value=value) for name, value in outcome.items()])
