"""Settings of jobs, which all queues share."""

import re

from pydantic import Field, field_validator

from nalm.execution.executors.kind import Settings

__all__ = ["JobSettings"]


class JobSettings(Settings):
    """The resources that every job of a queue requests."""

    time: int = Field(60, ge=1, description="Time limit of a job, in minutes.")
    cpus: int = Field(1, ge=1, description="Cores of a job; each shard trains on one.")
    memory: str | None = Field(None, description="Memory of a job, such as 4G.")
    parallel: int | None = Field(None, ge=1, description="Maximum number of jobs that run at once.")

    @field_validator("memory")
    @classmethod
    def _has_a_unit(cls, memory: str | None) -> str | None:
        if memory is not None and not re.fullmatch(r"[1-9][0-9]*[KMGT]", memory):
            raise ValueError("expected a number and K, M, G or T, such as 4G")
        return memory
