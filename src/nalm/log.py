"""Warnings, each given once per process, through Python's ``logging``.

The logger is called ``nalm``, and every message has the level ``WARNING``. Python prints them to stderr unless the
program configures logging. The command line shows them as ``nalm: …``.

.. code-block:: python

    logging.getLogger("nalm").setLevel(logging.ERROR)  # silence them
    logging.getLogger("nalm").addHandler(logging.FileHandler("nalm.log"))  # route them
    logging.getLogger("nalm").propagate = False  # keep them from the handlers of the root logger
"""

import logging

__all__ = ["LOGGER", "hide_warnings", "warn_once", "warnings_given"]

LOGGER = logging.getLogger("nalm")

_given: dict[str, None] = {}


def warn_once(message: str) -> None:
    """Log a warning, unless this process has given it before."""
    if message not in _given:
        _given[message] = None
        LOGGER.warning("%s", message)


def warnings_given() -> list[str]:
    """Return the warnings of this process in their order, hidden ones included."""
    return list(_given)


def hide_warnings() -> None:
    """Log nothing in this process: a worker hands its `warnings_given` to the process that started it."""
    LOGGER.disabled = True
