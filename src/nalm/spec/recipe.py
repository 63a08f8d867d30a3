"""A recipe: everything that decides a run except its task and its seed."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from nalm.modules.names import CELLS, build, canonical, option_defaults, resolve
from nalm.modules.units import MODULES
from nalm.registry import did_you_mean
from nalm.remember import remembered
from nalm.spec.criteria import CRITERIA
from nalm.spec.names import STORED, known
from nalm.spec.optimizers import OptimizerChoice, OptimizerField, momentum_problem, move_momentum
from nalm.spec.rates import ScheduleField
from nalm.spec.schedules import Term
from nalm.spec.starts import Start
from nalm.spec.trial import initialized, try_step

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["HIDDEN_SIZE", "MOST_INPUTS", "MOST_UNITS", "PARAMETER_NORMS", "ModuleChoice", "Recipe", "Restart"]

PARAMETER_NORMS = {"l1": 1, "l2": 2}
"""Regularizers that every module has: the sum of its parameters' 1-norms, or of their 2-norms (not squared)."""

MOST_INPUTS = 100_000
"""Inputs of a network at most: 10,000 rows of them are 4 GB."""

MOST_UNITS = 10_000
"""Outputs of the first of two layers at most."""

HIDDEN_SIZE = 2
"""Default number of outputs of the first of two layers: one sum for each of two operands."""


class ModuleChoice(BaseModel):
    """The name of a module and its options, written as ``NRU`` or as ``{name: NRU, sign: separate}``.

    The original's names of modules are translated to ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise ValueError("expected a module's name, or {name: …, option: …}")
        name, options = canonical(value["name"])
        options |= value.get("options", {key: item for key, item in value.items() if key != "name"})
        if info.context != STORED:
            defaults = remembered("options", name, lambda: option_defaults(name, {}))
            if not options.keys() <= defaults.keys():
                option_defaults(name, options)  # says which option is wrong
            # An option set to its default must not change the run's key.
            options = {key: _like(defaults[key], item) for key, item in options.items() if item != defaults[key]}
        return {"name": name, "options": options}

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        # Modules of other packages may need other sizes; Recipe.check builds them.
        if info.context != STORED and self.name in MODULES:
            remembered("built", self.model_dump_json(), lambda: self.probe(2) is not None)
        return self

    @model_serializer
    def _dump(self) -> Any:
        return {"name": self.name, **self.options} if self.options else self.name

    def probe(self, in_features: int) -> nn.Module:
        """Build the module with one output, for inspection, without advancing torch's random generator."""
        import torch

        with torch.random.fork_rng(devices=[]):
            return self.build(in_features, 1)

    def build(self, in_features: int, out_features: int) -> nn.Module:
        """Build the module."""
        module = build(self.name, in_features, out_features, self.options)
        return module if self.name in MODULES else initialized(module, in_features)


def _like(default: Any, value: Any) -> Any:
    """Convert an integer to float where the default is a float, so that 1 and 1.0 are the same option."""
    return float(value) if isinstance(default, float) and isinstance(value, int) else value


class Restart(BaseModel):
    """The rule by which a run counts as stuck and is reinitialized. Its optimizer keeps its state.

    Every iteration records the latest validation error. Every ``every`` iterations, once more than ``history`` errors
    are recorded, they are split into an earlier and a later half. A run is stuck if its latest error and the mean of
    the later half are above ``above``, and that mean is not below the mean of the earlier half by more than the
    standard deviation of the later half. A stuck run draws new parameters, and its record starts again.

    References:
        iNALU: Improved Neural Arithmetic Logic Unit (Schlör, Ring & Hotho, 2020), https://arxiv.org/abs/2003.07629
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    every: StrictInt = Field(10, ge=1)
    history: StrictInt = Field(5000, ge=1)
    above: StrictFloat = Field(1.0, ge=0)


class Recipe(BaseModel):
    """How a module, or a network of two modules, is trained.

    ``second`` is a module applied to the outputs of ``module``; the task decides how many outputs those are.
    ``iterations: N`` makes N + 1 updates, as in the original. ``stop_when_solved`` is early stopping: a run ends at the
    first evaluation at which it is solved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    module: ModuleChoice
    second: ModuleChoice | None = None
    criterion: Annotated[str, AfterValidator(known(CRITERIA))] = "mse"
    pcc_iterations: StrictInt = Field(25_000, ge=0)
    regularizers: dict[str, Term] = {}
    init: dict[str, Start] = {}
    optimizer: OptimizerField = "adam"
    learning_rate: StrictFloat = Field(1e-3, gt=0)
    schedule: ScheduleField = None
    momentum: StrictFloat = Field(0.0, ge=0, lt=1)
    clip_gradient_norm: StrictFloat | None = Field(None, gt=0)
    clip_gradient_value: StrictFloat | None = Field(None, gt=0)
    reinitialize: Restart | None = None
    batch_size: StrictInt = Field(128, ge=1)
    iterations: StrictInt = Field(50_000, ge=0)
    evaluate_every: StrictInt = Field(1000, ge=1)
    precision: Literal["float32", "float64"] = "float32"
    stop_when_solved: StrictBool = False

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        return move_momentum(value)

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        if problem := momentum_problem(self.optimizer_name, self.optimizer_options, self.momentum):
            raise ValueError(problem)
        if info.context != STORED and all(layer.name in MODULES for layer in (self.module, self.second) if layer):
            self.check(2)
        return self

    def check(self, in_features: int, hidden_size: int = HIDDEN_SIZE) -> None:
        """Check that the network can be built with ``in_features`` inputs and trained by this recipe.

        Raises:
            ValueError: it cannot.
        """
        layers = [layer.name for layer in (self.module, self.second) if layer]
        if cells := [name for name in layers if name in CELLS]:
            raise ValueError(f"found module {cells[0]!r}, which is for sequences only, expected one without a state")
        fields, sizes = self.model_dump_json(), (in_features, hidden_size)

        def trained() -> bool:
            _check_once(fields, tuple(map(resolve, layers)), *sizes)
            return True

        remembered("trained", f"{fields} on {sizes}", trained)

    def build(self, in_features: int, hidden_size: int = HIDDEN_SIZE) -> nn.Module:
        """Build the module, or the network of two with ``hidden_size`` outputs of the first, with one output."""
        if self.second is None:
            return self.module.build(in_features, 1)
        from nalm.modules.two_layers import TwoLayers

        first = self.module.build(in_features, hidden_size)
        return TwoLayers(in_features, 1, first, self.second.build(hidden_size, 1))

    def probe(self, in_features: int, hidden_size: int = HIDDEN_SIZE) -> nn.Module:
        """Build the network for inspection, without advancing torch's random generator."""
        import torch

        with torch.random.fork_rng(devices=[]):
            return self.build(in_features, hidden_size)

    @property
    def architecture(self) -> str:
        """Return the name of the module, or of both: ``NAU + NMU``."""
        return self.module.name if self.second is None else f"{self.module.name} + {self.second.name}"

    @property
    def optimizer_name(self) -> str:
        """Return the name of the optimizer."""
        return self.optimizer.name if isinstance(self.optimizer, OptimizerChoice) else self.optimizer

    @property
    def optimizer_options(self) -> dict[str, Any]:
        """Return the optimizer's options that differ from their defaults. ``momentum`` is a field of its own."""
        return self.optimizer.options if isinstance(self.optimizer, OptimizerChoice) else {}

    @property
    def dtype(self) -> torch.dtype:
        """Return the precision as torch's data type."""
        import torch

        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def asks_for_validation_errors(self) -> bool:
        """Tell whether a regularizer depends on the latest validation error."""
        return any(term.below is not None for term in self.regularizers.values())

    def check_terms(self, known: Collection[str]) -> None:
        """Check that the network has all regularizers of the recipe.

        Arguments:
            known: names of the network's regularizers.

        Raises:
            ValueError: it lacks one.
        """
        for term in self.regularizers:
            if term not in known:
                raise ValueError(
                    f"found regularizer {term!r}, expected one that {self.architecture} has: {', '.join(sorted(known))}"
                )

    def check_starts(self, module: nn.Module) -> None:
        """Check that a module has all parameters that ``init`` names.

        Raises:
            ValueError: it lacks one.
        """
        known = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
        for name in self.init:
            if name not in known:
                raise ValueError(
                    f"found init of the parameter {name!r}{did_you_mean(name, known)}, "
                    f"expected one that {self.architecture} has: {', '.join(sorted(known)) or 'none'}"
                )


@lru_cache(maxsize=4096)
def _check_once(fields: str, modules: tuple[Any, ...], in_features: int, hidden_size: int) -> None:
    """Check a recipe, once per process.

    Arguments:
        fields: the recipe as JSON.
        modules: the modules that its names stand for now; they are part of the cache's key.
        in_features: number of inputs.
        hidden_size: number of outputs of the first of two layers.

    Raises:
        ValueError: the recipe cannot be trained.
    """
    import torch

    from nalm.modules.base import ArithmeticModule

    recipe = Recipe.model_validate_json(fields, context=STORED)
    name, module = recipe.architecture, recipe.probe(in_features, hidden_size)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(f"found module {name!r} without parameters to train, expected one that can learn")
    recipe.check_starts(module)
    foreign = any(layer.name not in MODULES for layer in (recipe.module, recipe.second) if layer)
    dtype = recipe.dtype if foreign else torch.float32
    try_step(module, name, dtype, in_features, backwards=foreign)
    regularizers = (
        module.regularizers(torch.ones(1, in_features, dtype=dtype)) if isinstance(module, ArithmeticModule) else {}
    )
    recipe.check_terms({*PARAMETER_NORMS, *regularizers})
