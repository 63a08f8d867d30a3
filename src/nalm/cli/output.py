"""The streams of the command line: no text commands the terminal, and a failed write is one sentence or none."""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from nalm.errors import NalmError
from nalm.text import visible

__all__ = ["Output", "data", "interrupted", "messages", "rich_stream"]


class Output:
    """A stream that shows control characters instead of sending them, and whose failures are silent.

    Arguments:
        stream: the stream to write to; None if it is closed.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        with contextlib.suppress(AttributeError, OSError, ValueError):  # not every stream can be told
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def write(self, text: str) -> int:
        """Write text, control characters as backslash escapes."""
        return self.write_raw(visible(text))

    def write_raw(self, text: str) -> int:
        """Write text that may command the terminal, as colours do."""
        if self.stream is not None and text:
            try:
                self.stream.write(text)
            except OSError as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if self.stream is not None:
            try:
                self.stream.flush()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Send what is left in buffers nowhere, or else the interpreter fails to write it again when it ends."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())  # type: ignore[union-attr]
            os.close(nowhere)

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self.stream is not None and self.stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Data(Output):
    """A stream for what a command was asked for: if that cannot be written, the command ends."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream)
        self.error: OSError | None = None

    def write_raw(self, text: str) -> int:
        if self.stream is None and text:
            self.error = OSError(errno.EBADF, "it is closed")
        self._check()
        return super().write_raw(text)

    def flush(self) -> None:
        self._check()
        super().flush()

    def _fail(self, error: OSError) -> None:
        super()._fail(error)
        self.error = error
        self._check()

    def _check(self) -> None:
        """End the command if something could not be written, even if somebody has caught the first exception.

        Raises:
            SystemExit: the reader has seen enough.
            NalmError: the text cannot be written.
        """
        if self.error is not None and self.error.errno == errno.EPIPE:
            raise SystemExit(0) from None
        if self.error is not None:
            raise NalmError(f"cannot write to standard output: {self.error.strerror}") from None


def interrupted() -> int:
    """Say that the user has ended the command, and return its exit code. A second Ctrl-C ends it without a word."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    print("nalm: interrupted", file=sys.stderr, flush=True)
    return 128 + signal.SIGINT


class _Raw:
    """A stream for rich, whose own text may command the terminal."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def write(self, text: str) -> int:
        return self.output.write_raw(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.output, name)


def rich_stream(stream: TextIO) -> Any:
    """Return a stream for a console of rich. Whoever writes to it escapes texts by `nalm.text`."""
    return _Raw(stream) if isinstance(stream, Output) else stream


@contextlib.contextmanager
def messages() -> Iterator[None]:
    """Send standard errors through `Output` within the context."""
    _open_standard_files()
    before = sys.stderr
    sys.stderr = output = Output(before)
    try:
        yield
    finally:
        output.flush()
        sys.stderr = before


@contextlib.contextmanager
def data() -> Iterator[None]:
    """Send standard output through `Data` within the context, and all of it at the end.

    Raises:
        NalmError: the output cannot be written.
    """
    before = sys.stdout
    sys.stdout = output = Data(before)
    try:
        yield
    finally:
        sys.stdout = before
        output.flush()


def _open_standard_files() -> None:
    """Open what is closed of standard input, output and errors, or else files that are opened later become these."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
