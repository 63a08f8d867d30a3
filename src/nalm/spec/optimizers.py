"""Optimizers by name, and their options.

An optimizer is written as ``adamw``, or as ``{name: adamw, weight_decay: 0.1}`` with options. Options are those of
torch.optim, with its defaults. An optimizer of another package declares its options as a pydantic model, ``Options``.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    ValidationError,
    ValidationInfo,
    model_serializer,
)

from nalm.registry import Registry, did_you_mean
from nalm.spec.document import sentence
from nalm.spec.names import STORED

__all__ = ["OPTIMIZERS", "WITH_MOMENTUM", "OptimizerChoice", "OptimizerField", "momentum_problem", "move_momentum"]


def _check(path: str, found: object) -> None:
    if not all(callable(getattr(found, name, None)) for name in ("from_recipe", "stateful", "state", "update")):
        raise ValueError(f"found {type(found).__name__} at {path}, expected a class like Adam in nalm.training")


OPTIMIZERS: Registry[Any] = Registry(
    "optimizer",
    "optimizers",
    {
        "adam": "nalm.training.update_rules:Adam",
        "sgd": "nalm.training.update_rules:SGD",
        "adamw": "nalm.training.update_rules:AdamW",
        "nadam": "nalm.training.update_rules:NAdam",
        "radam": "nalm.training.update_rules:RAdam",
        "adamax": "nalm.training.update_rules:Adamax",
        "rmsprop": "nalm.training.update_rules:RMSprop",
        "adagrad": "nalm.training.update_rules:Adagrad",
        "adadelta": "nalm.training.update_rules:Adadelta",
    },
    _check,
    "mypackage.optimizers:Lion",
)
"""Classes with the methods of :class:`nalm.training.optimizers.Optimizer`, by name."""

WITH_MOMENTUM = ("sgd", "rmsprop")
"""Optimizers of torch.optim that the recipe's field ``momentum`` is for."""

NotNegative = Annotated[StrictFloat, Field(ge=0)]
Share = Annotated[StrictFloat, Field(ge=0, lt=1)]


class Options(BaseModel):
    """Options of an optimizer. Numbers don't decide the graph of a step; what is true or false does."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight_decay: NotNegative = 0.0


class AdamOptions(Options):
    """Options of Adam."""

    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    amsgrad: StrictBool = False


class AdamWOptions(AdamOptions):
    """Options of AdamW."""

    weight_decay: NotNegative = 0.01


class AdamaxOptions(Options):
    """Options of Adamax."""

    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: NotNegative = 1e-8


class RAdamOptions(AdamaxOptions):
    """Options of RAdam."""

    decoupled_weight_decay: StrictBool = False


class NAdamOptions(RAdamOptions):
    """Options of NAdam."""

    momentum_decay: NotNegative = 4e-3


class SGDOptions(Options):
    """Options of SGD besides ``momentum``."""

    dampening: StrictFloat = 0.0
    nesterov: StrictBool = False


class RMSpropOptions(Options):
    """Options of RMSprop besides ``momentum``."""

    alpha: Share = 0.99
    eps: NotNegative = 1e-8
    centered: StrictBool = False


class AdagradOptions(Options):
    """Options of Adagrad."""

    lr_decay: NotNegative = 0.0
    initial_accumulator_value: NotNegative = 0.0
    eps: NotNegative = 1e-10


class AdadeltaOptions(Options):
    """Options of Adadelta."""

    rho: Share = 0.9
    eps: NotNegative = 1e-6


class _NoOptions(BaseModel):
    """Options of an optimizer that declares none."""


OPTIONS: dict[str, type[BaseModel]] = {
    "adam": AdamOptions,
    "sgd": SGDOptions,
    "adamw": AdamWOptions,
    "nadam": NAdamOptions,
    "radam": RAdamOptions,
    "adamax": AdamaxOptions,
    "rmsprop": RMSpropOptions,
    "adagrad": AdagradOptions,
    "adadelta": AdadeltaOptions,
}
"""Options of our optimizers, which are checked without importing torch."""


class OptimizerChoice(BaseModel):
    """The name of an optimizer, and the options that differ from their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = Field(min_length=1)

    @model_serializer
    def _dump(self) -> Any:
        return {"name": self.name, **self.options}


def _read(value: Any, info: ValidationInfo) -> str | OptimizerChoice:
    """Read an optimizer. If every option has its default, return the name alone, so that the run's key is the same."""
    if isinstance(value, OptimizerChoice):
        return value
    written = value if isinstance(value, dict) else {"name": value}
    name, options = written.get("name"), {key: item for key, item in written.items() if key != "name"}
    if not isinstance(name, str):
        raise ValueError("expected an optimizer's name, or {name: …, option: …}")
    if info.context != STORED:
        options = _changed_options(OPTIMIZERS.check_name(name), options)
    return OptimizerChoice(name=name, options=options) if options else name


def _changed_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that differ from their defaults.

    Raises:
        ValueError: an option is unknown or wrong.
    """
    if not options:
        return {}
    model: type[BaseModel] = OPTIONS[name] if name in OPTIONS else getattr(OPTIMIZERS[name], "Options", _NoOptions)
    known = sorted(model.model_fields)
    for option in options:
        if option not in known:
            expected = f"one of: {', '.join(known)}" if known else "no options"
            raise ValueError(f"{name} has no option {option!r}{did_you_mean(str(option), known)}, expected {expected}")
    try:
        read = model.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f"{part}" for part in first["loc"])
        raise ValueError(f"{name}: {place}{': ' if place else ''}{sentence(model, first)}") from None
    return read.model_dump(mode="json", exclude_defaults=True)


OptimizerField = Annotated[str | OptimizerChoice, BeforeValidator(_read)]
"""A recipe's field for an optimizer: a name if every option has its default."""


def move_momentum(fields: Any) -> Any:
    """Return a recipe's fields with an option ``momentum`` of SGD or RMSprop as the recipe's field, where it is kept.

    Raises:
        ValueError: the field has another value.
    """
    chosen = fields.get("optimizer") if isinstance(fields, dict) else None
    if not isinstance(chosen, dict) or chosen.get("name") not in WITH_MOMENTUM or "momentum" not in chosen:
        return fields
    momentum = chosen["momentum"]
    if (other := fields.get("momentum", momentum)) != momentum:
        raise ValueError(f"found momentum {momentum} and {other}, expected it once")
    rest = {key: item for key, item in chosen.items() if key != "momentum"}
    return fields | {"optimizer": rest, "momentum": momentum}


def momentum_problem(name: str, options: dict[str, Any], momentum: float) -> str | None:
    """Say what is wrong with an optimizer's momentum, or return None."""
    if momentum and name in OPTIONS and name not in WITH_MOMENTUM:
        return f"found momentum {momentum:g} with {name}, expected it with {' or '.join(WITH_MOMENTUM)} only"
    if name != "sgd":
        return None
    if options.get("nesterov") and (not momentum or "dampening" in options):
        return "found nesterov, expected it with a momentum above 0 and without dampening"
    if "dampening" in options and not momentum:
        return f"found dampening {options['dampening']:g} without momentum, expected both or none"
    return None
