"""Neural arithmetic logic modules, and a laboratory that trains hundreds of them at once.

What each command does, one function does: ``nalm.run("figure-3", "results")``, ``nalm.load("results").summary()``.
The modules stand alone in :mod:`nalm.modules`; the laboratory is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nalm.analysis.comparison import compare as compare
    from nalm.analysis.comparison import compare_results as compare_results
    from nalm.analysis.comparison import compare_variants as compare_variants
    from nalm.analysis.curves import error_quantiles as error_quantiles
    from nalm.analysis.gold import gold_errors as gold_errors
    from nalm.analysis.landscapes import landscape as landscape
    from nalm.analysis.landscapes import landscape_names as landscape_names
    from nalm.analysis.lengths import length_errors as length_errors
    from nalm.analysis.results import Results as Results
    from nalm.analysis.results import load as load
    from nalm.analysis.survival import survival_medians as survival_medians
    from nalm.analysis.survival import survival_steps as survival_steps
    from nalm.analysis.thresholds import thresholds as thresholds
    from nalm.analysis.weights import final_weights as final_weights
    from nalm.analysis.weights import weight_histories as weight_histories
    from nalm.errors import NalmError as NalmError
    from nalm.experiments.catalog import experiment_names as experiment_names
    from nalm.experiments.catalog import load_experiment as load_experiment
    from nalm.experiments.experiment import Experiment as Experiment
    from nalm.figures.curves import training_curves as training_curves
    from nalm.figures.landscapes import plot_landscapes as plot_landscapes
    from nalm.figures.lengths import error_lengths as error_lengths
    from nalm.figures.results import draw as draw
    from nalm.figures.results import plot as plot
    from nalm.figures.results import reproduce as reproduce
    from nalm.figures.results import summary_panels as summary_panels
    from nalm.figures.results import write_figure as write_figure
    from nalm.figures.success import paired_success as paired_success
    from nalm.figures.success import success_map as success_map
    from nalm.figures.survival import survival_curves as survival_curves
    from nalm.figures.weights import weight_map as weight_map
    from nalm.figures.weights import weight_trajectories as weight_trajectories
    from nalm.interchange.export import Exported as Exported
    from nalm.interchange.export import export_csv as export_csv
    from nalm.interchange.importing import Imported as Imported
    from nalm.interchange.importing import import_results as import_results
    from nalm.interchange.tensorboard_logs import export_tensorboard as export_tensorboard
    from nalm.pages.report import report as report
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
    from nalm.sweeps.single import single_sequence_run as single_sequence_run
    from nalm.sweeps.single import train_single as train_single
    from nalm.sweeps.status import Status as Status
    from nalm.sweeps.status import status as status

__version__ = "0.1.0"

_HOMES = {
    "Experiment": "nalm.experiments.experiment",
    "ExecutorSettings": "nalm.sweeps.settings",
    "Exported": "nalm.interchange.export",
    "Forecast": "nalm.sweeps.forecast",
    "Imported": "nalm.interchange.importing",
    "Merged": "nalm.sweeps.merge",
    "NalmError": "nalm.errors",
    "Progress": "nalm.sweeps.run",
    "Results": "nalm.analysis.results",
    "Status": "nalm.sweeps.status",
    "array_script": "nalm.sweeps.scripts",
    "benchmark": "nalm.sweeps.benchmark",
    "compare": "nalm.analysis.comparison",
    "compare_results": "nalm.analysis.comparison",
    "compare_variants": "nalm.analysis.comparison",
    "draw": "nalm.figures.results",
    "error_lengths": "nalm.figures.lengths",
    "error_quantiles": "nalm.analysis.curves",
    "experiment_names": "nalm.experiments.catalog",
    "final_weights": "nalm.analysis.weights",
    "export_csv": "nalm.interchange.export",
    "export_tensorboard": "nalm.interchange.tensorboard_logs",
    "forecast": "nalm.sweeps.forecast",
    "landscape": "nalm.analysis.landscapes",
    "landscape_names": "nalm.analysis.landscapes",
    "gold_errors": "nalm.analysis.gold",
    "import_results": "nalm.interchange.importing",
    "length_errors": "nalm.analysis.lengths",
    "load": "nalm.analysis.results",
    "load_experiment": "nalm.experiments.catalog",
    "load_settings": "nalm.sweeps.settings",
    "merge": "nalm.sweeps.merge",
    "open_executor": "nalm.sweeps.settings",
    "paired_success": "nalm.figures.success",
    "plot": "nalm.figures.results",
    "report": "nalm.pages.report",
    "plot_landscapes": "nalm.figures.landscapes",
    "reproduce": "nalm.figures.results",
    "run": "nalm.sweeps.run",
    "single_run": "nalm.sweeps.single",
    "single_sequence_run": "nalm.sweeps.single",
    "status": "nalm.sweeps.status",
    "success_map": "nalm.figures.success",
    "summary_panels": "nalm.figures.results",
    "survival_curves": "nalm.figures.survival",
    "survival_medians": "nalm.analysis.survival",
    "survival_steps": "nalm.analysis.survival",
    "thresholds": "nalm.analysis.thresholds",
    "train_single": "nalm.sweeps.single",
    "training_curves": "nalm.figures.curves",
    "weight_histories": "nalm.analysis.weights",
    "weight_map": "nalm.figures.weights",
    "weight_trajectories": "nalm.figures.weights",
    "write_figure": "nalm.figures.results",
}

__all__ = [*_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nalm' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
