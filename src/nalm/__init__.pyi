"""The public names of nalm, by the module that has each; loaded when they are first used."""

from .analysis.comparison import (
    compare as compare,
    compare_results as compare_results,
    compare_variants as compare_variants,
)
from .analysis.results import Results as Results, load as load
from .analysis.thresholds import thresholds as thresholds
from .errors import NalmError as NalmError
from .execution.executors.scripts import array_script as array_script
from .execution.executors.settings import (
    ExecutorSettings as ExecutorSettings,
    load_settings as load_settings,
    open_executor as open_executor,
)
from .execution.forecast import Forecast as Forecast, forecast as forecast
from .execution.progress import Progress as Progress
from .execution.run import run as run
from .execution.status import Status as Status, status as status
from .experiments.catalog import load_experiment as load_experiment
from .experiments.experiment import Experiment as Experiment
from .experiments.index import experiment_names as experiment_names
from .export.csv_files import Exported as Exported, export_csv as export_csv
from .export.tensorboard_logs import export_tensorboard as export_tensorboard
from .figures.curves import error_quantiles as error_quantiles, training_curves as training_curves
from .figures.draw import draw as draw, plot as plot, write_figure as write_figure
from .figures.gold_errors import gold_errors as gold_errors
from .figures.heatmap import success_map as success_map
from .figures.landscapes.pages import plot_landscapes as plot_landscapes
from .figures.landscapes.table import landscape as landscape, landscape_names as landscape_names
from .figures.lengths import error_lengths as error_lengths, length_errors as length_errors
from .figures.pairs import paired_success as paired_success
from .figures.panels import summary_panels as summary_panels
from .figures.survival import (
    survival_curves as survival_curves,
    survival_medians as survival_medians,
    survival_steps as survival_steps,
)
from .figures.weight_map import weight_map as weight_map
from .figures.weight_tables import final_weights as final_weights, weight_histories as weight_histories
from .figures.weights import weight_trajectories as weight_trajectories
from .original.importing import Imported as Imported, import_results as import_results
from .reports.report import report as report
from .store.merge import Merged as Merged, merge as merge
from .workflows.benchmark import benchmark as benchmark
from .workflows.reproduce import reproduce as reproduce
from .workflows.single import (
    single_run as single_run,
    single_sequence_run as single_sequence_run,
    train_single as train_single,
)

__version__: str
