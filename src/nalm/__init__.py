"""Neural arithmetic logic modules, and a laboratory that trains hundreds of them at once.

What each command does, one function does: ``nalm.run("figure-3", "results")``, ``nalm.load("results").summary()``.
The modules stand alone in :mod:`nalm.modules`; the laboratory is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nalm.analysis.comparison import compare as compare
    from nalm.analysis.comparison import compare_results as compare_results
    from nalm.analysis.export import Exported as Exported
    from nalm.analysis.export import export_csv as export_csv
    from nalm.analysis.gold import gold_errors as gold_errors
    from nalm.analysis.importing import Imported as Imported
    from nalm.analysis.importing import import_results as import_results
    from nalm.analysis.landscapes import landscape as landscape
    from nalm.analysis.landscapes import landscape_names as landscape_names
    from nalm.analysis.results import Results as Results
    from nalm.analysis.results import load as load
    from nalm.analysis.tensorboard_logs import export_tensorboard as export_tensorboard
    from nalm.analysis.thresholds import thresholds as thresholds
    from nalm.errors import NalmError as NalmError
    from nalm.experiments.catalog import experiment_names as experiment_names
    from nalm.experiments.catalog import load_experiment as load_experiment
    from nalm.experiments.experiment import Experiment as Experiment
    from nalm.figures.landscapes import plot_landscapes as plot_landscapes
    from nalm.figures.page import report as report
    from nalm.figures.results import plot as plot
    from nalm.figures.results import reproduce as reproduce
    from nalm.figures.results import write_figure as write_figure
    from nalm.sweeps.benchmark import benchmark as benchmark
    from nalm.sweeps.forecast import Forecast as Forecast
    from nalm.sweeps.forecast import forecast as forecast
    from nalm.sweeps.merge import Merged as Merged
    from nalm.sweeps.merge import merge as merge
    from nalm.sweeps.run import Progress as Progress
    from nalm.sweeps.run import run as run
    from nalm.sweeps.scripts import array_script as array_script
    from nalm.sweeps.settings import ExecutorSettings as ExecutorSettings
    from nalm.sweeps.settings import load_settings as load_settings
    from nalm.sweeps.settings import open_executor as open_executor
    from nalm.sweeps.single import single_run as single_run
    from nalm.sweeps.single import train_single as train_single
    from nalm.sweeps.status import Status as Status
    from nalm.sweeps.status import status as status

__version__ = "0.1.0"

_HOMES = {
    "Experiment": "nalm.experiments.experiment",
    "ExecutorSettings": "nalm.sweeps.settings",
    "Exported": "nalm.analysis.export",
    "Forecast": "nalm.sweeps.forecast",
    "Imported": "nalm.analysis.importing",
    "Merged": "nalm.sweeps.merge",
    "NalmError": "nalm.errors",
    "Progress": "nalm.sweeps.run",
    "Results": "nalm.analysis.results",
    "Status": "nalm.sweeps.status",
    "array_script": "nalm.sweeps.scripts",
    "benchmark": "nalm.sweeps.benchmark",
    "compare": "nalm.analysis.comparison",
    "compare_results": "nalm.analysis.comparison",
    "experiment_names": "nalm.experiments.catalog",
    "export_csv": "nalm.analysis.export",
    "export_tensorboard": "nalm.analysis.tensorboard_logs",
    "forecast": "nalm.sweeps.forecast",
    "landscape": "nalm.analysis.landscapes",
    "landscape_names": "nalm.analysis.landscapes",
    "gold_errors": "nalm.analysis.gold",
    "import_results": "nalm.analysis.importing",
    "load": "nalm.analysis.results",
    "load_experiment": "nalm.experiments.catalog",
    "load_settings": "nalm.sweeps.settings",
    "merge": "nalm.sweeps.merge",
    "open_executor": "nalm.sweeps.settings",
    "plot": "nalm.figures.results",
    "report": "nalm.figures.page",
    "plot_landscapes": "nalm.figures.landscapes",
    "reproduce": "nalm.figures.results",
    "run": "nalm.sweeps.run",
    "single_run": "nalm.sweeps.single",
    "status": "nalm.sweeps.status",
    "thresholds": "nalm.analysis.thresholds",
    "train_single": "nalm.sweeps.single",
    "write_figure": "nalm.figures.results",
}

__all__ = [*_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nalm' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
