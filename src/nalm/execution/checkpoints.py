"""Checkpoints: saved states of half-trained shards, so that an interruption costs only the last few iterations."""

import io
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import nalm
from nalm.experiments.runs import Shard
from nalm.log import warn_once
from nalm.paths import content_hash, writing
from nalm.store.inside import content_of, remove
from nalm.training.trainer import Trainer

__all__ = ["Checkpoint", "checkpoint_path"]

FORMAT = 2
SECONDS_AT_LEAST = 1.0
"""Shortest time between checkpoints."""
TIMES_ITS_COST = 60.0
"""Shortest time between checkpoints, as a multiple of the time that writing the last one took."""
SHARE_OF_TRAINING = 1 / 20
"""Share of the finished iterations after which the next checkpoint is due, once the shortest times have passed."""
SECONDS_AT_MOST = 60.0
"""Time after which the next checkpoint is due even if that share has not been trained."""

LATEST = 1e11
"""Seconds since 1970, in the sixth millennium. Greater numbers are no times."""


class _Saved(BaseModel):
    """Content of a checkpoint. The ensemble that loads ``state`` checks it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    shard: str
    made_by: dict[str, Any]
    started: Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]
    seconds: Annotated[float, Field(ge=0, le=LATEST, allow_inf_nan=False)]
    hosts: list[str]
    resumed_at: list[Annotated[int, Field(ge=0, lt=2**63)]]
    state: dict[str, Any]


class Checkpoint:
    """Checkpoint of a shard, ``running/<shard>.checkpoint``. The file exists during training and after an interruption.

    Its first line is the hash of the rest. The rest is written by ``torch.save``, and loaded as weights only.

    Arguments:
        directory: the results directory.
        shard: the shard.
        made_by: conditions that must be the same to resume, such as the device, besides versions.
        write: function that writes a file atomically.
    """

    def __init__(
        self, directory: Path, shard: Shard, made_by: dict[str, Any], write: Callable[[Path, bytes], None]
    ) -> None:
        import torch

        self.path = checkpoint_path(directory, shard)
        self._damaged_path = directory / "damaged" / self.path.name
        self._shard = shard.name
        self._write = write
        versions = {"nalm": nalm.__version__, "torch": str(torch.__version__), "numpy": np.__version__}
        self._made_by: dict[str, Any] = {"format": FORMAT, **versions, **made_by}
        self._begun = time.monotonic()
        self._before = 0.0
        self._last: tuple[int, float] | None = None
        self._cost = 0.0
        self._started = time.time()
        self._resumed_at: list[int] = []
        self._hosts = [platform.node()]

    def resume(self, make: Callable[[], Trainer]) -> Trainer:
        """Return a new ensemble, resumed from the checkpoint if there is one.

        A damaged checkpoint, or one made under other conditions, is moved to ``damaged/`` with a warning.

        Arguments:
            make: function that makes a new ensemble.

        Raises:
            NalmError: the checkpoint cannot be read, or not be moved.
        """
        ensemble = make()
        content = content_of(self.path)
        if content is None:
            return ensemble
        try:
            saved = self._parse(content)
            _load(ensemble, saved.state)
        except ValueError as error:
            with writing(str(self._damaged_path)):
                self._damaged_path.parent.mkdir(exist_ok=True)
                self.path.replace(self._damaged_path)
            warn_once(f"{self.path} {error}: it was moved to {self._damaged_path.parent}, and its shard starts anew")
            return make()
        self._before, self._started = saved.seconds, saved.started
        self._resumed_at = [*saved.resumed_at, ensemble.iteration]
        self._hosts = list(dict.fromkeys([*saved.hosts, *self._hosts]))
        return ensemble

    def _parse(self, content: bytes) -> _Saved:
        """Return the content of a checkpoint file.

        Raises:
            ValueError: it is damaged, or training cannot resume from it.
        """
        import torch

        digest, _, payload = content.partition(b"\n")
        if digest != content_hash(payload).encode():
            raise ValueError("is damaged")
        try:
            loaded = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises exceptions of many types
            raise ValueError("is no checkpoint") from error
        try:
            saved = _Saved.model_validate(loaded)
        except ValidationError as error:
            raise ValueError("is no checkpoint of nalm") from error
        if saved.shard != self._shard:
            raise ValueError("is the checkpoint of another shard")
        for name, mine in self._made_by.items():
            if saved.made_by.get(name) != mine:
                raise ValueError(f"was made with {name} {saved.made_by.get(name)}, not with {mine}")
        return saved

    def save_if_due(self, ensemble: Trainer) -> None:
        """Save the ensemble if enough was trained since the last checkpoint, compared with the time to write it."""
        now = time.monotonic()
        iteration, saved_at = self._last = self._last or (ensemble.iteration, now)
        enough = ensemble.iteration - iteration >= SHARE_OF_TRAINING * ensemble.iteration
        elapsed = now - saved_at
        shortest = max(SECONDS_AT_LEAST, TIMES_ITS_COST * self._cost)
        if elapsed >= shortest and (enough or elapsed >= SECONDS_AT_MOST):
            self.save(ensemble)

    def save(self, ensemble: Trainer) -> None:
        """Save the ensemble. If that fails, warn and keep the last checkpoint."""
        import torch

        begun = time.monotonic()
        buffer = io.BytesIO()
        saved = {"made_by": self._made_by, "shard": self._shard, **self.provenance()}
        torch.save({**saved, "state": ensemble.state_dict()}, buffer)
        payload = buffer.getvalue()
        try:
            self._write(self.path, content_hash(payload).encode() + b"\n" + payload)
        except OSError as error:
            warn_once(f"cannot write checkpoints into {str(self.path.parent)!r}: {error.strerror}")
        now = time.monotonic()
        self._last, self._cost = (ensemble.iteration, now), now - begun

    @property
    def seconds(self) -> float:
        """Training time of the shard so far, before and after interruptions."""
        return self._before + time.monotonic() - self._begun

    def provenance(self) -> dict[str, Any]:
        """Return when training started, how long it took, on which hosts, and at which iterations it was resumed."""
        return {
            "started": self._started,
            "seconds": self.seconds,
            "hosts": self._hosts,
            "resumed_at": self._resumed_at,
        }

    def remove(self) -> None:
        """Remove the file, after the shard was stored."""
        remove(self.path)


def _load(ensemble: Trainer, state: dict[str, Any]) -> None:
    """Load the state of a checkpoint.

    Raises:
        ValueError: the state is not one of this ensemble, which must not be used afterwards.
    """
    try:
        ensemble.load_state_dict(state)
    except ValueError:
        raise
    except Exception as error:  # a file with the right hash may hold any values, at which anything may go wrong
        raise ValueError(f"holds no state to go on from ({type(error).__name__})") from error


def checkpoint_path(directory: Path, shard: Shard) -> Path:
    """Return the path of a shard's checkpoint."""
    return directory / "running" / f"{shard.name}.checkpoint"
