"""Commands that read results, whatever these are of."""

__all__ = ["readers"]


def readers(task: str) -> list[tuple[str, ...]]:
    """All of them, for results in `out` with variants NAU and LSTM."""
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
