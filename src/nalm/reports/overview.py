"""The overview of a results directory: its experiments and what they cost."""

from nalm.experiments.index import figures_called
from nalm.reports.blocks import Block, Link, Section, Table, minutes
from nalm.reports.source import Source
from nalm.store.costs import Costs, training_costs

__all__ = ["overview_section"]


def overview_section(source: Source, names: list[str]) -> Section:
    """Return a section that lists experiments with their runs and training times."""
    costs = training_costs(source.store, names)
    paper = [name for name in figures_called("all") if name in names]
    rows: list[list[str | Link]] = [
        [
            Link(row["experiment"], source.prefix + row["experiment"]),
            f"{row['runs']:,}",
            f"{row['new']:,}",
            minutes(row["core_seconds"]),
        ]
        for row in costs.experiments.to_dict(orient="records")
    ]
    versions = ", ".join(f"{name} {version}" for name, version in costs.versions.items())
    blocks: list[Block] = [
        f"This page: `nalm report`. Made with {versions}. Runs that several experiments share are trained once and "
        "counted as new in the first of them."
    ]
    if paper:
        blocks.append(f"Figures of the paper (`nalm reproduce all`): {_spent(training_costs(source.store, paper))}.")
    blocks.append(Table(f"All experiments: {_spent(costs)}.", ["experiment", "runs", "new", "core minutes"], rows))
    return source.section("results", blocks, title="Results")


def _spent(costs: Costs) -> str:
    if not costs.core_seconds:
        return "training time unknown"
    return f"trained in {minutes(costs.wall_seconds)} minutes ({minutes(costs.core_seconds)} core minutes)"
