"""Whole runs beside the original's: 36 trainings of 50,000 iterations, solved or not, and how they end.

    python benchmarks/parity.py [RESULTS_DIRECTORY]

trains Figure 3 with seed 0 into the directory (what is there already is not trained again) and compares with the
runs in tests/golden/runs, which were measured from the original code. Exits with 1 if more than one run differs in
whether it is solved: training is chaotic in places, and rounding may decide a run.
"""

import csv
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import nalm

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "runs" / "in2-seed0.csv"
VARIANTS = {"A0": "Real NPU (baseline)", "A1": "Real NPU (modified)", "A2": "NRU", "A3": "NMRU"}
SAME_END = 0.01


def golden_runs() -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """Validation and test errors of the original's runs, by variant and the text of the training range."""
    runs: dict[tuple[str, str], tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    with GOLDEN.open() as file:
        for row in csv.DictReader(file):
            validation, test = runs[VARIANTS[row["config"]], row["interpolation"]]
            validation.append(float(row["validation_mse"]))
            test.append(float(row["test_mse"]))
    return runs


def main() -> int:
    """Trains, compares, prints, and returns the exit code."""
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="nalm-parity-")
    experiment = nalm.load_experiment("figure-3").narrowed(seeds=[0])
    nalm.run(experiment, directory)
    results = nalm.load(directory, "figure-3")
    labels = {json.dumps(task.identity["train"]): label for label, task in experiment.tasks.items()}

    same = unsolved = same_end = 0
    print(f"{'variant':22}{'range':16}{'original':>12}{'nalm':>12}{'last test errors':>26}")
    golden = golden_runs()
    for (variant, text), (validation, test) in golden.items():
        label = labels[json.dumps([float(end) for end in json.loads(text)])]
        trained = results.run(variant, label, 0)
        threshold = trained.run.threshold
        theirs = threshold.solved(validation, test)
        ours = threshold.solved(trained.validation_errors.tolist(), trained.test_errors.tolist())
        last = trained.test_errors[-1]
        print(f"{variant:22}{label:16}{_word(theirs):>12}{_word(ours):>12}{test[-1]:>13.4g}{last:>13.4g}")
        same += theirs == ours
        if not theirs and not ours:
            unsolved += 1
            same_end += abs(last - test[-1]) <= SAME_END * abs(test[-1])
    print(
        f"\n{same} of {len(golden)} runs agree; of {unsolved} that neither solves, {same_end} end within {SAME_END:.0%}"
    )
    return 0 if same >= len(golden) - 1 else 1


def _word(solved: bool) -> str:
    return "solved" if solved else "unsolved"


if __name__ == "__main__":
    sys.exit(main())
