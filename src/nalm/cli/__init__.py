"""The commands. Each parses its options, calls one function, and prints."""

import logging
import sys

from nalm.cli.output import data, interrupted, messages
from nalm.errors import NalmError
from nalm.log import LOGGER
from nalm.registry import children_without_working_directory
from nalm.text import one_line

__all__ = ["main"]


class _ShowOnStderr(logging.Handler):
    """Prints warnings as ``nalm: …`` to the current ``sys.stderr``, which a progress bar redirects."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of a record."""
        print(f"nalm: {one_line(record.getMessage())}", file=sys.stderr, flush=True)


def main() -> None:
    """Run the command line.

    Wrong input and output that cannot be written become one sentence on stderr, with exit code 2. So does Ctrl-C, with
    exit code 130. Nothing is said if the reader of the output stops reading.
    """
    with messages():
        code = _exit_code()
    sys.exit(code)


def _exit_code() -> str | int | None:
    handler = _ShowOnStderr()
    LOGGER.addHandler(handler)
    try:
        with data():
            from nalm.cli.app import app

            with children_without_working_directory():
                app()
    except NalmError as error:
        print(f"nalm: {error}", file=sys.stderr)  # a wrong file may have a line for each mistake
        return 2
    except KeyboardInterrupt:
        return interrupted()
    except SystemExit as end:
        return end.code
    finally:
        LOGGER.removeHandler(handler)
    return 0
