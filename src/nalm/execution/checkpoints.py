"""Checkpoints: an interrupted shard resumes from one, so that only the last few iterations are trained twice."""

import io
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

import nalm
from nalm.experiments.runs import Shard
from nalm.log import warn_once
from nalm.paths import content_hash
from nalm.training.trainer import Trainer

__all__ = ["Checkpoint", "checkpoint_path"]

FORMAT = 2
SECONDS_AT_LEAST = 1.0
"""Shortest time between checkpoints."""
TIMES_ITS_COST = 60.0
"""Shortest time between checkpoints, as a multiple of the time to write one."""
SHARE_OF_TRAINING = 1 / 20
"""A checkpoint is due after this share of the iterations so far, unless the shortest times are longer."""
SECONDS_AT_MOST = 60.0
"""A checkpoint is due after this time, even if the share is not reached."""


class _Saved(BaseModel):
    """Content of a checkpoint. The ensemble that loads ``state`` checks it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    shard: str
    made_by: dict[str, Any]
    started: float
    seconds: float
    hosts: list[str]
    resumed_at: list[int]
    state: dict[str, Any]


class Checkpoint:
    """Checkpoint of a shard in ``running/<shard>.checkpoint``, which exists until the shard is stored.

    The first line of the file is the hash of the rest. The rest is written by ``torch.save`` and loaded with
    ``weights_only``.

    Arguments:
        directory: the results directory.
        shard: the shard that is trained.
        made_by: settings that must be the same to resume from the checkpoint, such as the device.
        write: function that writes a file atomically.
    """

    def __init__(
        self, directory: Path, shard: Shard, made_by: dict[str, Any], write: Callable[[Path, bytes], None]
    ) -> None:
        self.path = checkpoint_path(directory, shard)
        self._aside = directory / "damaged" / self.path.name
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
        """Make an ensemble, and load the checkpoint into it if there is one.

        A checkpoint that is damaged or does not fit is moved aside, with a warning.
        """
        ensemble = make()
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ensemble
        try:
            saved = self._checked(content)
            ensemble.load_state_dict(saved.state)
        except ValueError as error:
            self._aside.parent.mkdir(exist_ok=True)
            self.path.replace(self._aside)
            warn_once(f"{self.path} {error}: it was moved to {self._aside.parent}, its shard is trained from the start")
            return make()
        self._before, self._started = saved.seconds, saved.started
        self._resumed_at = [*saved.resumed_at, ensemble.iteration]
        self._hosts = list(dict.fromkeys([*saved.hosts, *self._hosts]))
        return ensemble

    def _checked(self, content: bytes) -> _Saved:
        digest, _, payload = content.partition(b"\n")
        if digest != content_hash(payload).encode():
            raise ValueError("is damaged")
        try:
            loaded = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds
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
        """Save the ensemble if a checkpoint is due."""
        now = time.monotonic()
        iteration, then = self._last = self._last or (ensemble.iteration, now)
        much = ensemble.iteration - iteration >= SHARE_OF_TRAINING * ensemble.iteration
        if now - then >= max(SECONDS_AT_LEAST, TIMES_ITS_COST * self._cost) and (much or now - then >= SECONDS_AT_MOST):
            self.save(ensemble)

    def save(self, ensemble: Trainer) -> None:
        """Save the ensemble. If the file cannot be written, warn and keep the last checkpoint."""
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
        """Training time of the shard in seconds, over all interruptions."""
        return self._before + time.monotonic() - self._begun

    def provenance(self) -> dict[str, Any]:
        """Return when and where training started, how long it took, and the iterations at which it was resumed."""
        return {
            "started": self._started,
            "seconds": self.seconds,
            "hosts": self._hosts,
            "resumed_at": self._resumed_at,
        }

    def remove(self) -> None:
        """Delete the file, once the shard is stored."""
        self.path.unlink(missing_ok=True)


def checkpoint_path(directory: Path, shard: Shard) -> Path:
    """Return the path of the checkpoint of a shard."""
    return directory / "running" / f"{shard.name}.checkpoint"
