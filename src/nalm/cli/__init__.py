"""The commands. Each one parses, calls one function, and prints."""

import os
import sys

from nalm.errors import NalmError

__all__ = ["main"]


def main() -> None:
    """Runs the command line; wrong input is one sentence on stderr and exit code 2."""
    # Each adds its commands to the app, in this order.
    from nalm.cli import catalog, training, cluster, interchange, results, compare, thresholds, landscape  # noqa: F401, I001
    from nalm.cli.app import app

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m nalm` does, so that a module of one's own is found
    try:
        app()
    except NalmError as error:
        print(f"nalm: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(0)
