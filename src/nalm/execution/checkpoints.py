"""Checkpoints: what a long shard has come to, so that nothing but the last few iterations is ever trained twice."""

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
"""From one checkpoint to the next."""
TIMES_ITS_COST = 60.0
"""How much longer training lasts, from one checkpoint to the next, than the writing of one."""
SHARE_OF_TRAINING = 1 / 20
"""Of the iterations that have been made, how many a kill can cost at most, where those limits are shorter."""
SECONDS_AT_MOST = 60.0
"""From one checkpoint to the next, where that share would be longer."""


class _Saved(BaseModel):
    """What is in a checkpoint; ``state`` is checked by the ensemble that takes it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    shard: str
    made_by: dict[str, Any]
    started: float
    seconds: float
    hosts: list[str]
    resumed_at: list[int]
    state: dict[str, Any]


class Checkpoint:
    """The checkpoint of a shard, ``running/<shard>.checkpoint``: there while the shard is trained, and after a stop.

    A line with the hash of the rest, which is what ``torch.save`` writes, loaded as weights only.

    Arguments:
        directory: the results directory.
        shard: whose it is.
        made_by: what else must be the same for training to go on from it, such as the device.
        write: writes a file atomically.
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
        """A new ensemble, which goes on where the checkpoint is, if there is one that is whole and fits.

        Another one is set aside, which a notice says.
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
            warn_once(f"{self.path} {error}: it was moved to {self._aside.parent}, and its shard starts anew")
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
        except Exception as error:  # whatever torch raises for what it does not want to load
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
        """Saves the ensemble if that costs little beside what would have to be trained again."""
        now = time.monotonic()
        iteration, then = self._last = self._last or (ensemble.iteration, now)
        much = ensemble.iteration - iteration >= SHARE_OF_TRAINING * ensemble.iteration
        if now - then >= max(SECONDS_AT_LEAST, TIMES_ITS_COST * self._cost) and (much or now - then >= SECONDS_AT_MOST):
            self.save(ensemble)

    def save(self, ensemble: Trainer) -> None:
        """Saves the ensemble; if that is impossible, a notice says so, and the last checkpoint stays."""
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
        """That the shard has been trained for, before interruptions and since."""
        return self._before + time.monotonic() - self._begun

    def provenance(self) -> dict[str, Any]:
        """When training started, for how long, where, and the iterations at which it went on after an interruption."""
        return {
            "started": self._started,
            "seconds": self.seconds,
            "hosts": self._hosts,
            "resumed_at": self._resumed_at,
        }

    def remove(self) -> None:
        """Removes it, because the shard is stored."""
        self.path.unlink(missing_ok=True)


def checkpoint_path(directory: Path, shard: Shard) -> Path:
    """Where the checkpoint of a shard is."""
    return directory / "running" / f"{shard.name}.checkpoint"
