"""Read the original research code's names of runs as our runs.

A name has 27 fields. They don't tell the norm of L1, precision, beta initialization, the interval of evaluations, the
number of iterations, and whether two intervals are a union or the halves of the inputs.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from nalm.experiments.runs import Run
from nalm.original.units import BOUNDED, POWER, UNITS, translate
from nalm.spec.document import sentence
from nalm.spec.recipe import Recipe
from nalm.spec.schedules import Growth
from nalm.tasks.subsets.task import SubsetTask

__all__ = [
    "CLIPS",
    "CRITERIA",
    "DEFAULT_GROWTH",
    "DEFAULT_RAMP",
    "FLAGS",
    "INITS",
    "UNNAMED",
    "named_run",
]

Fields = dict[str, Any]
Words = Mapping[str, str]

NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
INTEGER = r"-?\d+"
INTERVALS = rf"{NUMBER}-{NUMBER}|\[{NUMBER}, {NUMBER}\]-\[{NUMBER}, {NUMBER}\]"
FIELDS = {
    "module": r"(?P<unit>[a-z0-9]+)(?P<flags>(?:-\w+)*)",
    "operation": r"op-(?P<operation>\w+)",
    "out-of-bounds mode": r"oob-(?P<oob>c|r)",
    "scaling and shape": r"rs-(?P<scaling>linear|exp)-(?P<shape>linear|squared|none)",
    "epsilon": rf"eps-(?P<epsilon>{NUMBER})",
    "ramp": rf"rl-(?P<ramp_start>{INTEGER})-(?P<ramp_end>{INTEGER})",
    "regularizers": rf"r-(?P<weight>{NUMBER})-(?P<input>{NUMBER})-(?P<bounds>{NUMBER})",
    "training range": rf"i-(?P<train>{INTERVALS})",
    "test range": rf"e-(?P<test>{INTERVALS})",
    "inputs": rf"z-(?P<inputs>simple|\d+-{NUMBER}-{NUMBER})",
    "batch size": r"b(?P<batch>\d+)",
    "seed": r"s(?P<seed>\d+)",
    "hidden size": r"h(?P<hidden>\d+)",
    "subsets": r"z(?P<subsets>\d+)",
    "optimizer": rf"lr-(?P<optimizer>adam|sgd)-(?P<rate>{NUMBER})-(?P<momentum>{NUMBER})",
    "distribution": rf"D-(?P<distribution>u|b|tn(?:-{INTEGER}){{4}}|e-{NUMBER})",
    "noise": rf"n-(?P<noise_low>{NUMBER})-(?P<noise_high>{NUMBER})",
    "L1": r"L1(?P<l1>T|F)",
    "growth": rf"rb-(?P<start>{NUMBER})-(?P<end>{NUMBER})-(?P<every>\d+)-(?P<factor>{NUMBER})",
    "power unit's weights": rf"rWnpu-(?P<power>{NUMBER})-(?P<attract>W|b)",
    "gates": rf"rg-(?P<gate>{NUMBER})",
    "schedule": r"r(?P<schedule>H|M)",
    "clip": r"clip-(?P<clip>n|w|g|wg|wig)",
    "initial weights": r"WrI-(?P<init>xu|xuc)",
    "multiplicative noise": r"nM(?P<noisy>T|F)",
    "gradient norm": rf"gn-(?P<norm>F|{NUMBER})",
    "criterion": r"(?P<criterion>mse|pcc|mape|pcc-mse-(?P<switch>\d+))(?P<trash>-TC)?",
}
"""Patterns of the fields of a name, in its order."""
AFTERWARDS = r"_id-?\d+"
"""Pattern of the suffix that the original's later revision adds to a name."""

UNNAMED = {"iNALU"} | {unit for unit in UNITS if "MCFC" in unit}
"""Units of the original's later revisions, whose names of runs are not known."""
NAMED = {unit.lower(): unit for unit in UNITS if unit not in UNNAMED}

CLIPS = {"none": "n", "w": "w", "g": "g", "wg": "wg", "wig": "wig"}
INITS = {"xavier-uniform": "xu", "xavier-uniform-constrained": "xuc"}
CRITERIA = {"mse": "mse", "pcc": "pcc", "mape": "mape", "pcc_then_mse": "pcc-mse"}
FLAGS = {
    "-b": "--nalu-bias",
    "-2n": "--nalu-two-nac",
    "-2g": "--nalu-two-gate",
    "-s": "--nalu-mul safe",
    "-t": "--nalu-mul trig",
    "-r": "--nalu-gate regualized",
    "-u": "--nalu-gate gumbel",
    "-uu": "--nalu-gate obs-gumbel",
    "-sS": "--nru-div-mode div-sepSign",
}
"""Options by the flags that follow the unit. ``-m`` is missing: it stands for either of two ways to multiply."""
DEFAULT_RAMP = (1_000_000, 2_000_000)
DEFAULT_GROWTH = Growth(start=1e-5, end=1e-4)
EXPONENTIAL_RATE = 1e-5


def named_run(name: str) -> Run:
    """Return the run that has a name in the original, with defaults for what the name does not tell.

    Raises:
        ValueError: the original gives no run this name, or the run has no counterpart in nalm.
    """
    found = _split(name)
    try:
        recipe = Recipe.model_validate(_recipe(found))
        task = SubsetTask.model_validate(_task(found))
    except ValidationError as error:
        raise ValueError(_sentence(error)) from None
    return Run(recipe, task, int(found["seed"]))


def _sentence(error: ValidationError) -> str:
    details = error.errors()[0]
    model: type[BaseModel] = SubsetTask if error.title == "SubsetTask" else Recipe
    field = ".".join(map(str, details["loc"]))
    return f"{field}: {sentence(model, details)}" if field else sentence(model, details)


def _split(name: str) -> dict[str, str]:
    """Return the parts of a name by the groups of the patterns."""
    texts = re.sub(rf"(?:{AFTERWARDS})$", "", name).split("_")
    if len(texts) != len(FIELDS):
        raise ValueError(f"found {len(texts)} fields between underscores, expected {len(FIELDS)}")
    found: dict[str, str] = {}
    for number, (text, (field, pattern)) in enumerate(zip(texts, FIELDS.items(), strict=True), 1):
        match = re.fullmatch(pattern, text)
        if match is None:
            raise ValueError(f"found {text[:40]!r} as field {number}, expected the {field}")
        found |= {part: value or "" for part, value in match.groupdict().items()}
    return found


def _recipe(found: Words) -> Fields:
    if found["unit"] not in NAMED:
        raise ValueError(f"found unit {found['unit']!r}, expected one of: {', '.join(NAMED)}")
    unit = NAMED[found["unit"]]
    ((name, options),) = translate(" ".join([unit, *_words(found)]))
    criteria = {theirs: ours for ours, theirs in CRITERIA.items()}
    fields: Fields = {
        "module": {"name": name, "options": options},
        "criterion": criteria["pcc-mse" if found["switch"] else found["criterion"]],
        "regularizers": _regularizers(found, name, options),
        "optimizer": found["optimizer"],
        "learning_rate": float(found["rate"]),
        "batch_size": int(found["batch"]),
    }
    if found["switch"]:
        fields["pcc_iterations"] = int(found["switch"])
    if found["optimizer"] == "sgd":
        fields["momentum"] = float(found["momentum"])
    if found["norm"] != "F":
        fields["clip_gradient_norm"] = float(found["norm"])
    return fields


def _words(found: Words) -> list[str]:
    flags = re.findall(r"-\w+", found["flags"])
    unknown = [flag for flag in flags if flag not in FLAGS]
    if unknown:
        raise ValueError(f"found {unknown[0]!r} after the unit, expected some of: {', '.join(FLAGS)}")
    clips = {theirs: option for option, theirs in CLIPS.items()}
    inits = {theirs: option for option, theirs in INITS.items()}
    words = [FLAGS[flag] for flag in flags]
    words += [
        f"--oob-mode {'clip' if found['oob'] == 'c' else 'regualized'}",
        f"--regualizer-shape {found['shape']}",
        f"--npu-clip {clips[found['clip']]}",
        f"--npu-Wr-init {inits[found['init']]}",
        f"--realnpu-reg-type {'W' if found['attract'] == 'W' else 'bias'}",
    ]
    if float(found["epsilon"]):
        words.append(f"--mnac-epsilon {found['epsilon']}")
    if found["noisy"] == "T":
        words.append(f"--nmu-noise --noise-range '[{found['noise_low']}, {found['noise_high']}]'")
    return words + ["--trash-cell"] * bool(found["trash"])


def _regularizers(found: Words, name: str, options: Mapping[str, Any]) -> Fields:
    ramp: Fields = {"ramp": [int(found["ramp_start"]), int(found["ramp_end"])]}
    if found["scaling"] == "exp":
        ramp = {"exponential": EXPONENTIAL_RATE}
    growth: Fields = {
        "growth": {
            "start": float(found["start"]),
            "end": float(found["end"]),
            "factor": float(found["factor"]),
            "every": int(found["every"]),
        }
    }
    power_schedule = ramp if found["schedule"] == "M" else growth
    terms: dict[str, tuple[str, Fields]] = {"input": (found["input"], {})}
    if name in BOUNDED and found["shape"] != "none":
        terms["weight"] = (found["weight"], ramp)
    if found["oob"] == "r":
        terms["out_of_bounds"] = (found["bounds"], {})
    if name in POWER:
        terms["weight"] = (found["power"], power_schedule)
    if name in POWER or name == "NMRU":
        terms["gate"] = (found["gate"], power_schedule)
    if "-r" in re.findall(r"-\w+", found["flags"]):
        terms["gate"] = ("1", {})
    if found["trash"]:
        terms["trash"] = ("1", {})
    known = _known_terms(name, options)
    regularizers: Fields = {
        term: {"coefficient": float(coefficient), **schedule}
        for term, (coefficient, schedule) in terms.items()
        if float(coefficient) and term in known
    }
    if found["l1"] == "T":
        regularizers["l1"] = growth
    return regularizers


def _known_terms(name: str, options: Mapping[str, Any]) -> set[str]:
    import torch

    from nalm.modules import ArithmeticModule

    module = Recipe.model_validate({"module": {"name": name, "options": options}}).module.probe(2)
    return set(module.regularizers(torch.ones(1, 2))) if isinstance(module, ArithmeticModule) else set()


def _task(found: Words) -> Fields:
    train, test = (_intervals(found[part]) for part in ("train", "test"))
    fields: Fields = {"operation": found["operation"], "subsets": int(found["subsets"])}
    if found["inputs"] == "simple":
        fields["simple"] = True
    else:
        size, subset, overlap = _numbers(found["inputs"])
        fields |= {"input_size": int(size), "subset_ratio": subset, "overlap_ratio": overlap}
    kind, *numbers = re.findall(rf"^[a-z]+|(?<=-){NUMBER}", found["distribution"])
    if kind == "u":
        pair = "halves" if len(train) == 2 else "union"
        ranges: list[Any] = [known[0] if len(known) == 1 else {pair: known} for known in (train, test)]
    elif kind == "b":
        ranges = [{"benford": train[0]}, {"benford": test[0]}]
    elif kind == "e":
        ranges = [{"exponential": {"scale": float(numbers[0])}}] * 2
    else:
        mean, deviation, test_mean, test_deviation = map(float, numbers)
        ranges = [
            {"truncated_normal": {"mean": mean, "deviation": deviation, "within": train[0]}},
            {"truncated_normal": {"mean": test_mean, "deviation": test_deviation, "within": test[0]}},
        ]
    return fields | {"train": ranges[0], "test": ranges[1]}


def _intervals(text: str) -> list[list[float]]:
    if text.startswith("["):
        return [[float(number) for number in pair.split(", ")] for pair in text[1:-1].split("]-[")]
    return [_numbers(text)]


def _numbers(text: str) -> list[float]:
    """Return the numbers between dashes; a dash may also be a sign: ``-20--10``."""
    for count in (2, 3):
        if match := re.fullmatch("-".join([f"({NUMBER})"] * count), text):
            return list(map(float, match.groups()))
    raise ValueError(f"found {text!r}, expected numbers between dashes")
