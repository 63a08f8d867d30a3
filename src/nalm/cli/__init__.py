"""The commands. Each one parses, calls one function, and prints."""

import logging
import os
import sys

from nalm.errors import NalmError
from nalm.log import LOGGER

__all__ = ["main"]


class _ShowOnStderr(logging.Handler):
    """Shows warnings as ``nalm: …`` on the present ``sys.stderr``, which a progress bar redirects."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of a record."""
        print(f"nalm: {record.getMessage()}", file=sys.stderr, flush=True)


def main() -> None:
    """Runs the command line; wrong input is one sentence on stderr and exit code 2."""
    # Each adds its commands to the app, in this order.
    from nalm.cli import catalog, training, cluster, interchange, results, compare, thresholds, landscape  # noqa: F401, I001
    from nalm.cli.app import app

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m nalm` does, so that a module of one's own is found
    handler = _ShowOnStderr()
    LOGGER.addHandler(handler)
    try:
        app()
    except NalmError as error:
        print(f"nalm: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(0)
    finally:
        LOGGER.removeHandler(handler)
