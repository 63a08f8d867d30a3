"""The directory in which torch's compiler keeps kernels: nobody else can write to it, and damage is noticed.

Torch trusts whatever it finds there: it unpickles, imports and loads it. Its own default is a directory in ``/tmp``
with a name that anybody could take first. So kernels are kept in nalm's own directory in the user's cache, where a
file ``nalm-seals.json`` has the hash of each. ``TORCHINDUCTOR_CACHE_DIR`` names another directory; what is in that is
neither checked nor removed, because other files may be there too.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TypeVar

from nalm.log import warn_once
from nalm.paths import cache_directory, write_atomically
from nalm.registry import children_without_working_directory

__all__ = ["in_a_fresh_cache", "open_cache", "vector_bits", "verify_vector_units"]

T = TypeVar("T")

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
SEALS = "nalm-seals.json"
PRIVATE = 0o700
OTHERS_WRITE = 0o022
LARGE = 1 << 24
"""Bytes. Larger files, which are compiled headers, are known by their size, time, beginning and end."""
SAMPLE = 1 << 16

_opened_by: int | None = None
"""The process that opened the cache: a forked one opens it again."""
_temporary = False


def open_cache() -> None:
    """Choose the cache's directory, once per process, and remove damaged files from it.

    Without a directory that can be written to, kernels go to a temporary one, and a warning says so. This comes before
    the first import of torch's compiler, which makes the directory, and cannot be repeated once that has failed.
    """
    global _opened_by, _temporary
    if _opened_by == os.getpid():
        return
    _opened_by, _temporary = os.getpid(), False
    directory = _chosen()
    is_own = directory == _own()
    try:
        directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if is_own and not _is_mine(directory):
            raise PermissionError(0, "others can write to it")
        with tempfile.TemporaryFile(dir=directory):
            pass
        if is_own:
            _remove_damaged(directory)
    except OSError as error:
        if _use(_fresh_directory()):
            warn_once(
                f"cannot keep compiled kernels in {directory} ({error.strerror}): they are compiled anew each time, in "
                f"a temporary directory; {VARIABLE} names another place"
            )
        return
    os.environ[VARIABLE] = str(directory)
    if is_own:
        Finalize(None, _seal, (directory,), exitpriority=0)


def in_a_fresh_cache(call: Callable[[], T]) -> T:
    """Compile again after a failure, with an empty cache, which stays in use with a notice if that helps.

    Raises:
        Exception: whatever the call raises; the cache was not the reason.
    """
    before, fresh = os.environ.get(VARIABLE), _fresh_directory()
    if _temporary or before is None or not _use(fresh):
        return call()
    try:
        result = call()
    except Exception:
        _use(Path(before), temporary=False)
        raise
    warn_once(
        f"the cache of compiled kernels in {before} is damaged: kernels are compiled anew, in a temporary directory; "
        f"to empty the cache: rm -r {before}"
    )
    return result


@functools.cache
def verify_vector_units() -> None:
    """Let torch's compiler ask again, with an empty cache, before it does without vector units."""
    from torch._inductor.cpu_vec_isa import VecISA

    check = VecISA.check_build

    def verified(self: VecISA, code: str) -> bool:
        def must_hold() -> bool:
            if not check(self, code):
                raise RuntimeError(f"cannot compile for {self}")
            return True

        with children_without_working_directory(), contextlib.suppress(RuntimeError):
            return check(self, code) or in_a_fresh_cache(must_hold)
        return False

    VecISA.check_build = verified  # type: ignore[method-assign]


def vector_bits() -> int:
    """Return the width of the vector units that kernels for the processor use; 0 if they use none."""
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    units = pick_vec_isa()
    return int(units.bit_width()) if units else 0


def _own() -> Path:
    return cache_directory() / "kernels"


def _chosen() -> Path:
    named = os.environ.get(VARIABLE)
    default = Path(tempfile.gettempdir(), "torchinductor_")  # torch adds the user's name, and sets the variable to it
    return _own() if not named or named.startswith(str(default)) else Path(named).absolute()


def _is_mine(directory: Path) -> bool:
    about = directory.lstat()
    return about.st_uid == os.geteuid() and not about.st_mode & OTHERS_WRITE and not directory.is_symlink()


def _fresh_directory() -> Path | None:
    with contextlib.suppress(OSError):
        directory = Path(tempfile.mkdtemp(prefix="nalm-kernels-"))
        Finalize(None, shutil.rmtree, (directory, True), exitpriority=0)
        return directory
    return None


def _use(directory: Path | None, temporary: bool = True) -> bool:
    """Make the compiler forget its cache, and use a directory; tell whether there is one."""
    global _temporary
    if directory is not None:
        os.environ[VARIABLE] = str(directory)
        from torch._inductor.utils import clear_caches  # only now: the import makes the directory

        clear_caches()
        _temporary = temporary
    return directory is not None


def _remove_damaged(directory: Path) -> None:
    damaged = _damaged(directory)
    if damaged:
        (directory / SEALS).unlink(missing_ok=True)  # what is written meanwhile is not damaged
        for path in damaged:
            path.unlink(missing_ok=True)
        warn_once(
            f"the cache of compiled kernels in {directory} is damaged: damaged files were removed, and are compiled "
            f"anew; to empty the cache: rm -r {directory}"
        )


def _damaged(directory: Path) -> list[Path]:
    seals = _seals(directory)
    if seals is None:
        return list(_files(directory))
    return [
        path
        for path in _files(directory)
        if (seal := seals.get(str(path.relative_to(directory)))) is not None and seal != _stamp(path)
    ]


def _seal(directory: Path) -> None:
    """Write the hashes of all files that have none yet."""
    with contextlib.suppress(OSError):  # the directory is gone, or full
        known = _seals(directory)
        found = {str(path.relative_to(directory)): path for path in _files(directory)}
        new = {name: _stamp(path) for name, path in found.items() if name not in (known or {})}
        if new or known is None:
            seals = {name: seal for name, seal in (known or {}).items() if name in found} | new
            write_atomically(directory / SEALS, json.dumps(seals).encode(), durable=False)


def _seals(directory: Path) -> dict[str, str] | None:
    """Return the hashes by file; None if they are damaged."""
    try:
        seals = json.loads((directory / SEALS).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        return None
    return seals if isinstance(seals, dict) else None


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        yield from (
            Path(folder, name) for name in names if name != SEALS and not name.startswith(".") and ".lock" not in name
        )


def _stamp(path: Path) -> str | None:
    try:
        about = path.stat()
        if about.st_size <= LARGE:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        with path.open("rb") as file:
            sample = file.read(SAMPLE)
            file.seek(-SAMPLE, os.SEEK_END)
            sample += file.read()
        return f"{about.st_size} {about.st_mtime_ns} {hashlib.sha256(sample).hexdigest()}"
    except FileNotFoundError:  # another process removed it
        return None
