"""Distributions that a recipe's field ``init`` names for initial parameters."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, model_validator

__all__ = ["Start"]

Deviation = Annotated[StrictFloat, Field(gt=0)]


class Start(BaseModel):
    """The distribution of a parameter's initial values: one of its fields.

    ``uniform: [low, high]``, ``normal: [mean, deviation]``, ``truncated_normal: [mean, deviation, low, high]`` or
    ``constant: value``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    uniform: tuple[StrictFloat, StrictFloat] | None = None
    normal: tuple[StrictFloat, Deviation] | None = None
    truncated_normal: tuple[StrictFloat, Deviation, StrictFloat, StrictFloat] | None = None
    constant: StrictFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"found {' and '.join(given) or 'no distribution'}, expected one of: {known}")
        for name, ends in (("uniform", self.uniform), ("truncated_normal", (self.truncated_normal or ())[2:])):
            if ends and not ends[0] < ends[1]:
                raise ValueError(f"found {name} from {ends[0]:g} to {ends[1]:g}, expected low < high")
        return self
