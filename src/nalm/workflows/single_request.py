"""A request for the training of one module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from nalm.errors import NalmError
from nalm.registry import import_paths
from nalm.workflows.options import Option, option_field
from nalm.workflows.request import Changes

if TYPE_CHECKING:
    from nalm.experiments.experiment import Experiment

__all__ = ["SingleRequest"]

INPUT_OPTIONS = (
    "train_range",
    "test_range",
    "inputs",
    "second",
    "hidden_size",
    "subset_ratio",
    "overlap_ratio",
)
"""Fields about drawn inputs, which sequences of images do not have."""


@dataclass(frozen=True, kw_only=True)
class SingleRequest(Changes):
    """One module, and what it learns."""

    module: Annotated[
        str, Option("A module's name, or an import path package.module:Class.", positional=True, completes="modules")
    ]
    operation: Annotated[str, Option("Operation to learn.")] = "div"
    train_range: Annotated[str, Option("LOW,HIGH of the training inputs.")] = "1,2"
    test_range: Annotated[str, Option("LOW,HIGH of the test inputs.")] = "2,6"
    inputs: Annotated[int, Option("Number of inputs; the operation takes the first ones that a seed draws.", min=1)] = 2
    second: Annotated[str | None, Option("Second layer, which gets the first layer's sums.", completes="modules")] = (
        None
    )
    hidden_size: Annotated[int, Option("Sums between two layers.", min=1)] = 2
    subset_ratio: Annotated[
        float | None, Option("Share of the inputs that each operand sums; one input by default.")
    ] = None
    overlap_ratio: Annotated[float, Option("Share of an operand's inputs that the next also sums.")] = 0
    seed: Annotated[int, Option("Seed of the run.", min=0)] = 0
    length: Annotated[
        int | None, Option("Learn from sequences of this many digits; tested on ten times as many.", min=1)
    ] = None
    settings: Annotated[
        list[str] | None, Option("Change a field of the module's usual recipe.", "set", "FIELD=VALUE")
    ] = None

    def experiment(self) -> Experiment:
        """Return the experiment of one run that was asked for.

        Raises:
            NalmError: an option is wrong, or does not apply.
        """
        with import_paths(True):
            return self.with_images(self.changed(self._usual()))

    def _usual(self) -> Experiment:
        from nalm.workflows.single import single_run, single_sequence_run

        if self.length is not None:
            self._reject_input_options()
            return single_sequence_run(self.module, self.operation, self.length, seed=self.seed)
        return single_run(
            self.module,
            self.operation,
            _range(self.train_range),
            _range(self.test_range),
            self.inputs,
            self.seed,
            second=self.second,
            hidden_size=self.hidden_size,
            subset_ratio=self.subset_ratio,
            overlap_ratio=self.overlap_ratio,
        )

    def _reject_input_options(self) -> None:
        """Reject input options that were changed from their defaults: they don't apply with ``--length``."""
        for name in INPUT_OPTIONS:
            field, value = option_field(SingleRequest, name), getattr(self, name)
            if value != field.default:
                raise NalmError(f"found {field.flag} {value} with --length, expected no options of drawn inputs")

    def full_settings(self) -> list[str]:
        """Return the settings as settings of every variant, of which there is one."""
        for setting in self.settings or ():
            if "=" not in setting:
                raise NalmError(f"found setting {setting!r}, expected FIELD=VALUE")
        return [f"*.{setting}" for setting in self.settings or ()]


def _range(text: str) -> list[float]:
    try:
        low, high = map(float, text.strip("[] ").split(","))
    except ValueError:
        raise NalmError(f"found range {text!r}, expected LOW,HIGH such as 1,2") from None
    return [low, high]
