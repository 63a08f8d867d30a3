"""Commands that read results, and their options."""

__all__ = ["one_run", "readers"]


def one_run(**changed: str) -> list[str]:
    """Return the options of ``nalm show`` for a run of the tiny experiment, some of them changed."""
    labels = {"variant": "NMRU", "task": "U[1,2)", "seed": "0"} | changed
    return [word for name, label in labels.items() for word in (f"--{name}", label)]


def readers(task: str) -> list[tuple[str, ...]]:
    """Return every command that reads results, for results in `out` with variants NAU and LSTM."""
    return [
        ("summary", "out"),
        ("runs", "out", "--csv"),
        ("compare", "out"),
        ("report", "out", "-o", "report.html"),
        ("report", "out", "-o", "report.md"),
        *(("plot", "out", "--kind", kind, "-o", f"{kind}.png") for kind in ("panels", "curves", "heatmap", "survival")),
        ("plot", "out", "--kind", "weights", "--variants", "NAU", "--tasks", task, "-o", "weights.png"),
        ("plot", "out", "--kind", "weight-map", "--variants", "NAU", "-o", "map.png"),
        ("plot", "out", "--kind", "pairs", "--variants", "NAU,LSTM", "-o", "pairs.png"),
        ("status", "out"),
        ("export", "out", "--csv"),
        ("export", "out", "--csv", "--schema", "original"),
        ("export", "out", "--tensorboard", "logs"),
        ("export", "out", "--tensorboard", "more", "--verbose"),
    ]
