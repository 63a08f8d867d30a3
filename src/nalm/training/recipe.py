"""A recipe: all that decides a run besides its task and its seed."""

import inspect
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, model_serializer, model_validator
from torch import nn

from nalm.modules import build, resolve
from nalm.modules.base import ArithmeticModule
from nalm.training.schedules import Term

__all__ = ["PARAMETER_NORMS", "ModuleChoice", "Recipe"]

PARAMETER_NORMS = {"l1": 1, "l2": 2}
"""Regularizers that any module can have: the sum over its parameters of their 1-norm, or their unsquared 2-norm."""


class ModuleChoice(BaseModel):
    """A module by name and options, written as ``NRU`` or as ``{name: NRU, sign: separate}``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            options = value.get("options", {key: item for key, item in value.items() if key != "name"})
            return {"name": value["name"], "options": options}
        raise ValueError("expected a module's name, or {name: …, option: …}")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not list(self.probe().parameters()):
            raise ValueError(f"found module {self.name!r} without parameters, expected one that can learn")
        # An option that says what is the default anyway must not make another run of it.
        defaults = {name: item.default for name, item in inspect.signature(resolve(self.name)).parameters.items()}
        object.__setattr__(
            self, "options", {name: item for name, item in self.options.items() if item != defaults[name]}
        )
        return self

    @model_serializer
    def _dump(self) -> Any:
        return {"name": self.name, **self.options} if self.options else self.name

    def probe(self) -> nn.Module:
        """Builds a small one to look at; torch's random numbers are as if nothing had been drawn."""
        with torch.random.fork_rng(devices=[]):
            return self.build(1, 1)

    def build(self, in_features: int, out_features: int) -> nn.Module:
        """Builds the module."""
        return build(self.name, in_features, out_features, self.options)


class Recipe(BaseModel):
    """How a module is trained. ``iterations: N`` makes N + 1 updates, as the original does."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    module: ModuleChoice
    criterion: Literal["mse", "pcc", "pcc_then_mse", "mape"] = "mse"
    pcc_iterations: StrictInt = Field(25_000, ge=0)
    regularizers: dict[str, Term] = {}
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: StrictFloat = Field(1e-3, gt=0)
    momentum: StrictFloat = Field(0.0, ge=0, lt=1)
    clip_gradient_norm: StrictFloat | None = Field(None, gt=0)
    clip_gradient_value: StrictFloat | None = Field(None, gt=0)
    batch_size: StrictInt = Field(128, ge=1)
    iterations: StrictInt = Field(50_000, ge=0)
    evaluate_every: StrictInt = Field(1000, ge=1)
    precision: Literal["float32", "float64"] = "float32"

    @model_validator(mode="after")
    def _check_terms(self) -> Self:
        module = self.module.probe()
        known = set(PARAMETER_NORMS)
        if isinstance(module, ArithmeticModule):
            known |= set(module.regularizers(torch.ones(1, 1)))
        for name in self.regularizers:
            if name not in known:
                raise ValueError(
                    f"found regularizer {name!r}, expected one that {self.module.name} has: {', '.join(sorted(known))}"
                )
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"found momentum {self.momentum:g} with {self.optimizer}, expected it with sgd only")
        return self

    @property
    def dtype(self) -> torch.dtype:
        """Torch's name of the precision."""
        return torch.float64 if self.precision == "float64" else torch.float32
