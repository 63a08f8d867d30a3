"""How errors grow with the length of sequences."""

__all__ = ["length_errors"]

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nalm.analysis.results import Results
from nalm.analysis.selection import selected
from nalm.errors import NalmError
from nalm.modules.cells import Accumulator


def length_errors(results: Results, variants: Sequence[str] = (), tasks: Sequence[str] = ()) -> pd.DataFrame:
    """Test errors over seeds for every length of sequences, beside those of networks that only read digits.

    Arguments:
        results: of an experiment on sequences of images.
        variants: labels; by default all.
        tasks: labels; by default all.

    Returns:
        A row per ``variant`` and ``task``, with ``trained`` and ``tested`` (lengths), the number of ``runs``, the
        ``median``, the lowest and the highest test error at the best validation row (``low``, ``high``; errors that are
        no numbers count as infinite), the ``reference``, which is the median of the runs of an ``Accumulator`` on the
        same task, and the ``ratio`` of both medians; NaN where no such runs are.

    Raises:
        NalmError: no task is on sequences of images, there is no such variant or task, or no runs.
    """
    errors: dict[tuple[str, str], list[float]] = {}
    lengths: dict[str, tuple[int, int]] = {}
    for run in selected(results, variants, tasks):
        if (of_task := run.run.task.lengths) is not None:
            lengths[run.task] = of_task
            error = run.outcome()["test_error"]
            errors.setdefault((run.variant, run.task), []).append(np.inf if error is None or np.isnan(error) else error)
    if not errors:
        raise NalmError(f"found no sequences of images in {results.experiment.name}, expected an experiment on them")
    references = _references(results)
    table = pd.DataFrame(
        [
            {
                "variant": variant,
                "task": task,
                "trained": lengths[task][0],
                "tested": lengths[task][1],
                "runs": len(found),
                "median": float(np.median(found)),
                "low": min(found),
                "high": max(found),
                "reference": references.get(task, np.nan),
            }
            for (variant, task), found in errors.items()
        ]
    )
    return table.assign(ratio=table["median"] / table["reference"])


def _references(results: Results) -> dict[str, float]:
    """Median test errors of the runs of an accumulator, by label of the task."""
    errors: dict[str, list[float]] = {}
    for run in results.trained:
        if run.run.recipe.module.name == Accumulator.__name__:
            errors.setdefault(run.task, []).append(run.outcome()["test_error"])
    return {task: float(np.median(found)) for task, found in errors.items()}
