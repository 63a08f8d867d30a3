"""The schema of experiment files: recipes, tasks, ranges and thresholds. Nothing here trains."""
