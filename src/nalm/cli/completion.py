"""Completion of names in the shell."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nalm.errors import NalmError

__all__ = ["COMPLETIONS", "complete_stored_experiments"]

Names = list[str]


def _starting(names: Iterable[str], incomplete: str) -> Names:
    return [name for name in names if name.startswith(incomplete)]


def complete_experiments(ctx: Any, incomplete: str) -> Names:
    """Complete the name of an experiment of the catalog, or the path of a YAML file."""
    from nalm.experiments.index import COMPUTED_FIGURES, in_the_papers_order, index

    names = in_the_papers_order([*index(), *COMPUTED_FIGURES])
    files = [str(path) for path in Path(incomplete).parent.glob("*.y*ml")] if incomplete else []
    return _starting([*names, "all", *files], incomplete)


def complete_variants(ctx: Any, incomplete: str) -> Names:
    """Complete the label of a variant of the experiment that was typed before."""
    return _starting(_labels(ctx, "variants"), incomplete)


def complete_tasks(ctx: Any, incomplete: str) -> Names:
    """Complete the label of a task of the experiment that was typed before."""
    return _starting(_labels(ctx, "tasks"), incomplete)


def _labels(ctx: Any, field: str) -> Names:
    """Return the labels of the experiments that were typed, or of the one in the results directory."""
    from nalm.experiments.index import index

    if "directory" in ctx.params:
        directory, *rest = (
            [ctx.params["directory"], ctx.params.get("experiment")] if ctx.params["directory"] else ctx.args
        )
        return _stored_labels(Path(directory), rest[0] if rest else None, field)
    found: dict[str, None] = {}
    # The parser leaves them in the arguments if an option lacks its value.
    for name in ctx.params.get("experiments") or ctx.args:
        if name in index():
            found |= dict.fromkeys(getattr(index()[name], field))
        elif Path(name).is_file():
            found |= dict.fromkeys(_file_labels(name, field))
    return list(found)


def _file_labels(path: str, field: str) -> Names:
    from nalm.experiments.catalog import load_experiment
    from nalm.registry import import_paths

    try:
        with import_paths(False):
            return list(getattr(load_experiment(path), field))
    except NalmError:  # running the command will say what is wrong
        return []


def _stored_labels(directory: Path, experiment: str | None, field: str) -> Names:
    from nalm.analysis.results import load

    try:
        return list(getattr(load(directory, experiment).experiment, field))
    except NalmError:
        return []


def complete_stored_experiments(ctx: Any, incomplete: str) -> Names:
    """Complete the name of an experiment in the results directory that was typed before."""
    from nalm.store.store import Store

    try:
        return _starting(Store.existing(ctx.params["directory"]).experiments.names(), incomplete)
    except (KeyError, NalmError):
        return []


def complete_modules(ctx: Any, incomplete: str) -> Names:
    """Complete the name of a module."""
    from nalm.modules.names import module_names

    return _starting(module_names(), incomplete)


COMPLETIONS: dict[str, Callable[..., Names]] = {
    "experiments": complete_experiments,
    "variants": complete_variants,
    "tasks": complete_tasks,
    "modules": complete_modules,
}
"""Functions that complete names, by the kind of names."""
