"""The process that local workers are forked from: it imports once what all of them need.

This module is imported there before the first worker starts. Imported anywhere else, it does nothing.
"""

import contextlib
import gc
import importlib
import json
import os
import signal

__all__ = ["ORDER", "order"]

ORDER = "NALM_NURSERY"
"""Environment variable that asks for the imports."""
EAGER = ("nalm.execution.worker", "nalm.tasks.subsets.trainer", "pyarrow.parquet")
COMPILED = ("torch.fx.experimental.symbolic_shapes", "torch._dynamo", "torch._inductor.compile_fx")


def order(compiled: bool, changed: list[str]) -> str:
    """Return the value of the environment variable.

    Arguments:
        compiled: whether workers compile.
        changed: environment variables that were changed for this process alone; they get their values back.
    """
    return json.dumps({"compiled": compiled, "environment": {name: os.environ.get(name) for name in changed}})


def _prepare(compiled: bool) -> None:
    """Import what workers need, and end early if the process that asked for it has ended.

    Nothing here may start threads that workers need: a forked process does not have them.
    """
    parent = os.getppid()
    if compiled:
        _open_cache()
    for name in (*EAGER, *(COMPILED if compiled else ())):
        if os.getppid() != parent:
            os._exit(0)
        with contextlib.suppress(Exception):  # a worker that needs it will say what is wrong
            importlib.import_module(name)
    if compiled:
        _compile_once()
    gc.collect()
    gc.freeze()  # collections in workers touch none of these objects, so that their memory stays shared


def _open_cache() -> None:
    """Choose the directory of kernels, before the compiler is imported. Workers inherit warnings and hand them on."""
    with contextlib.suppress(Exception):
        from nalm.log import hide_warnings
        from nalm.training.compiler_cache import open_cache

        hide_warnings()
        open_cache()


def _compile_once() -> None:
    with contextlib.suppress(Exception):  # without a compiler, workers train eagerly and say so
        from nalm.tasks.subsets.mersenne_twister import twister_problem
        from nalm.training.compiling import compiler_problem, warm_up

        if compiler_problem("cpu") is None:
            warm_up()
            twister_problem()


def _restore(environment: dict[str, str | None]) -> None:
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


if ORDER in os.environ:
    _interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked handles it
    _ordered = json.loads(os.environ.pop(ORDER))
    _restore(_ordered["environment"])
    _prepare(_ordered["compiled"])
    signal.signal(signal.SIGINT, _interrupt)
