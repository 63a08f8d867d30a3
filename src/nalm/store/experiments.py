"""The experiments that were run into a results directory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from nalm.errors import NalmError
from nalm.experiments.experiment import Experiment
from nalm.paths import write_atomically, writing
from nalm.registry import import_paths
from nalm.spec.document import sentence
from nalm.spec.names import STORED
from nalm.store.inside import check_folder, content_of, files_within, is_within
from nalm.store.leases import locked

__all__ = ["StoredExperiments"]

T = TypeVar("T")


class StoredExperiments:
    """The experiments that were run into a results directory, a JSON file for each.

    Arguments:
        directory: the results directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        """Return the names of the experiments, sorted."""
        return [path.stem for path in files_within(self._directory, "experiments", "*.json")]

    def read(self, name: str) -> Experiment:
        """Return an experiment. Nothing that an import path names is imported.

        Raises:
            NalmError: the experiment cannot be read.
        """
        experiment = self._known(name)
        if experiment is None:
            raise NalmError(f"found no file {self._path(name)}, expected an experiment")
        return experiment

    def _known(self, name: str) -> Experiment | None:
        """Return an experiment, or None if there is none of this name."""
        path = self._path(name)
        if path.is_symlink() and not is_within(path, self._directory):
            raise NalmError(f"{path} is a link that leads out of the results directory, or nowhere: expected a file")
        if (content := content_of(path)) is None:
            return None
        try:
            with import_paths(False):
                experiment = Experiment.model_validate_json(content.decode(), context=STORED)
        except (ValueError, ArithmeticError, RecursionError) as error:
            reason = _reason(error)
            raise NalmError(f"{path} is not an experiment that this version of nalm can read: {reason}") from None
        if experiment.name != name:  # saving it would write another file
            raise NalmError(f"{path} does not have the name of its file: found {experiment.name!r}, expected {name!r}")
        return experiment

    def merged(self, experiment: Experiment, replace: bool = False) -> Experiment:
        """Return an experiment together with the variants, tasks and seeds already known under its name.

        Arguments:
            experiment: the experiment to run now.
            replace: whether its recipes and tasks may replace different ones under the same labels.

        Raises:
            NalmError: a recipe or a task has changed, and ``replace`` is not set.
        """
        if not is_within(self._path(experiment.name), self._directory):
            return experiment
        known = self._known(experiment.name)
        if known is None:
            return experiment
        if not replace:
            self._check_unchanged("recipe of", known.variants, experiment.variants)
            self._check_unchanged("task", known.tasks, experiment.tasks)
        return experiment.model_copy(
            update={
                "variants": _in_order(known.variants, experiment.variants),
                "tasks": _in_order(known.tasks, experiment.tasks),
                "seeds": tuple(sorted({*known.seeds, *experiment.seeds})),
            }
        )

    def add(self, experiment: Experiment, replace: bool = False) -> None:
        """Merge an experiment into what is known under its name; several processes may do so at the same time.

        Raises:
            NalmError: a recipe or a task has changed, as in `merged`, or the file cannot be written.
        """
        with (
            writing(f"results to {str(self._directory)!r}"),
            locked(self._directory / "running" / f"{experiment.name}.lock") as lease,
        ):
            self.save(self.merged(experiment, replace), lease.write)

    def save(self, experiment: Experiment, write: Callable[[Path, bytes], None] = write_atomically) -> None:
        """Write an experiment in place of the one known under its name.

        Arguments:
            experiment: the experiment.
            write: function that writes a file atomically.

        Raises:
            NalmError: the file cannot be written.
        """
        text = json.dumps(experiment.model_dump(mode="json", exclude_defaults=True), indent=2)
        with writing(f"results to {str(self._directory)!r}"):
            write(self._path(experiment.name), text.encode())

    def _path(self, name: str) -> Path:
        return check_folder(self._directory, "experiments") / f"{name}.json"

    def _check_unchanged(self, kind: str, known: dict[str, Any], new: dict[str, Any]) -> None:
        for label, value in new.items():
            if label in known and known[label] != value:
                difference = _difference(known[label].model_dump(mode="json"), value.model_dump(mode="json"))
                raise NalmError(
                    f"the {kind} {label!r} in {str(self._directory)!r} has changed ({difference}): "
                    "use --replace to go on with the new one (old runs stay), or another --out"
                )


def _in_order(known: dict[str, T], new: dict[str, T]) -> dict[str, T]:
    """Return both together, in the new order if that has everything, else in the known order."""
    return new if known.keys() <= new.keys() else known | new


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not text"
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    details = error.errors()[0]
    return f"{'.'.join(map(str, details['loc']))}: {sentence(Experiment, details)}"


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    changed = [name for name in new if old.get(name) != new[name]]
    return "; ".join(f"{name}: {old.get(name)!r} there, {new[name]!r} now" for name in changed)
