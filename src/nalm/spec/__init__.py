"""What experiment files say: recipes, tasks, ranges, thresholds. Nothing here trains."""
