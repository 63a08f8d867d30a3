"""Columns of the tables of results."""

RUN_COLUMNS = [
    "variant",
    "task",
    "seed",
    "solved",
    "iteration_solved",
    "validation_error",
    "test_error",
    "sparsity_error",
    "diverged_at",
]
SUMMARY_COLUMNS = [
    "variant",
    "task",
    "runs",
    "solved",
    "success_rate",
    "success_low",
    "success_high",
    "iterations_median",
    "iterations_mean",
    "iterations_low",
    "iterations_high",
    "iterations_method",
    "sparsity_error",
    "sparsity_low",
    "sparsity_high",
    "sparsity_method",
]
