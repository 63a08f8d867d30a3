"""Probes of the compiler that need not run again: what succeeded is kept on disk for as long as the machine stays.

Only successes are kept. A file that cannot be read, or that was written with another torch, compiler or processor,
counts for nothing, and the probe runs again.
"""

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nalm.paths import cache_directory, write_atomically

__all__ = ["forget_probes", "passes", "remember_vector_units"]

VARIABLES = ("CPATH", "CPLUS_INCLUDE_PATH", "LD_LIBRARY_PATH", "LIBRARY_PATH")
"""Environment variables that decide whether something can be compiled and loaded."""


def passes(name: str, probe: Callable[[], bool]) -> bool:
    """Run a probe, unless it has succeeded on this machine before.

    Arguments:
        name: the name of the probe.
        probe: returns whether it succeeds.
    """
    machine = _machine()
    if machine is None:
        return probe()
    if name in _passed(machine):
        return True
    if not probe():
        return False
    content = {"machine": machine, "passed": sorted({name, *_passed(machine)})}
    with contextlib.suppress(OSError):  # the probe runs again next time
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_file(), json.dumps(content).encode(), durable=False)
    return True


def forget_probes() -> None:
    """Run all probes again next time: the compiler failed although they had succeeded."""
    with contextlib.suppress(OSError):
        _file().unlink(missing_ok=True)


@functools.cache
def remember_vector_units() -> None:
    """Let torch's compiler try only once per machine for which vector units it can compile.

    It asks in every process, for six or so variants, and loads each answer in a Python process of its own.
    """
    from torch._inductor.cpu_vec_isa import VecISA

    check = VecISA.check_build

    def check_once(self: VecISA, code: str) -> bool:
        question = f"{self}, {self.build_arch_flags()}, {self.build_macro()}, {code}"
        name = hashlib.sha256(question.encode()).hexdigest()
        return passes(f"vector unit {name}", lambda: check(self, code))

    VecISA.check_build = check_once  # type: ignore[method-assign]


def _file() -> Path:
    return cache_directory() / "compiler.json"


def _passed(machine: dict[str, Any]) -> set[str]:
    try:
        content = json.loads(_file().read_bytes())
        return set(map(str, content["passed"])) if content["machine"] == machine else set()
    except (OSError, ValueError, TypeError, KeyError, RuntimeError):  # RuntimeError: there is no home directory
        return set()


def _machine() -> dict[str, Any] | None:
    """Return everything that the outcome of a probe depends on, or None if nothing may be kept."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        return None
    try:
        from torch._inductor.runtime.cache_dir_utils import cache_dir

        if not os.access(cache_dir(), os.W_OK):
            return None
        return {
            "torch": torch.__version__,
            "kernels": cache_dir(),
            "python": platform.python_version(),
            "compiler": _stamp(Path(compiler).resolve()),
            "headers": _stamp(Path(sysconfig.get_path("include")) / "Python.h"),
            "processor": _processor(),
            "environment": {name: os.environ.get(name) for name in VARIABLES},
        }
    except (ImportError, OSError):
        return None


def _stamp(path: Path) -> list[Any]:
    about = path.stat()
    return [str(path), about.st_size, about.st_mtime_ns]


@functools.cache
def _processor() -> list[str]:
    found = [platform.machine()]
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        found += next(([line.strip()] for line in lines if line.startswith(("flags", "Features"))), [])
    return found
