"""Output of the commands: tables and data on stdout, progress and messages on stderr."""

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nalm.cli.output import rich_stream
from nalm.text import csv_table, json_text, one_line

if TYPE_CHECKING:
    import pandas as pd

    from nalm.execution.progress import Progress as RunProgress

__all__ = ["progress_reporter", "say", "write_csv", "write_json", "write_table"]

SECONDS_BETWEEN_LINES = 10.0
WIDEST = 100_000


def say(message: str) -> None:
    """Print a message, which is not data, on stderr."""
    print(one_line(message), file=sys.stderr, flush=True)


def write_json(value: Any) -> None:
    """Print data as JSON. Missing values are null, infinite ones ``"Infinity"``."""
    if hasattr(value, "to_dict"):  # a data frame
        value = value.astype(object).where(value.notna(), None).to_dict(orient="records")
    print(json_text(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def write_csv(frame: "pd.DataFrame") -> None:
    """Print a table as CSV. Missing values are empty."""
    csv_table(frame).to_csv(sys.stdout, index=False)


def write_table(headers: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Print a table for people. Columns of numbers are aligned right."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title and Text(one_line(title), "table.title"),
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for index, header in enumerate(headers):
        numeric = all(not row[index] or row[index][0] in "0123456789-–" for row in rows)
        table.add_column(Text(one_line(header)), justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    # The terminal wraps rows that are too wide for it. Nothing is cut off.
    wide = Console(width=WIDEST)
    width = Measurement.get(wide, wide.options, table).maximum
    stdout = rich_stream(sys.stdout)
    console = Console(file=stdout, width=max(Console(file=stdout).width, width))
    console.print(table, crop=False, markup=False, highlight=False)


@contextlib.contextmanager
def progress_reporter() -> Iterator[Callable[["RunProgress"], None]]:
    """Show the progress of training: a bar on a terminal, or else a line every ten seconds."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=rich_stream(sys.stderr)), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def show(progress: "RunProgress") -> None:
            bar.update(task, completed=progress.share, description=_describe(progress))

        yield show


class _Lines:
    def __init__(self) -> None:
        self.last = time.monotonic()

    def __call__(self, progress: "RunProgress") -> None:
        if time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            say(f"{progress.share:4.0%}  {_describe(progress)}")


def _describe(progress: "RunProgress") -> str:
    left = progress.seconds_left
    return (
        f"{progress.finished}/{progress.runs} runs saved, {progress.solved} solved, "
        f"{'starting' if left is None else duration(left) + ' left'}"
    )


def duration(seconds: float) -> str:
    """Return a duration in words.

    >>> duration(4000)
    '1 h 7 min'
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
