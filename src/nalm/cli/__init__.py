"""The commands. Each parses its options, calls one function, and prints."""

import logging
import sys

from nalm.errors import NalmError
from nalm.log import LOGGER
from nalm.registry import children_without_working_directory

__all__ = ["main"]


class _ShowOnStderr(logging.Handler):
    """Prints warnings as ``nalm: …`` to the current ``sys.stderr``, which a progress bar redirects."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of a record."""
        print(f"nalm: {record.getMessage()}", file=sys.stderr, flush=True)


def main() -> None:
    """Run the command line. Wrong input becomes one sentence on stderr, with exit code 2."""
    from nalm.cli.app import app

    handler = _ShowOnStderr()
    LOGGER.addHandler(handler)
    try:
        with children_without_working_directory():
            app()
    except NalmError as error:
        print(f"nalm: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output stopped reading
        sys.stderr.close()
        sys.exit(0)
    finally:
        LOGGER.removeHandler(handler)
