"""The original research code's names of modules and options, which are known here only.

Its unpublished variants (softmax, hard softmax, bandit, Gumbel, independent and linear NACs, multi-weight NAU, …) have
no counterpart here.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["BOUNDED", "POWER", "UNITS", "describe_unit", "translate"]

Layer = tuple[str, dict[str, Any]]
"""Our name of a module and its options."""

UNITS: dict[str, Layer] = {
    **dict.fromkeys(("linear", "Tanh", "Sigmoid", "Softsign", "ReLU", "ReLU6", "SELU", "ELU"), ("Linear", {})),
    "MNAC": ("NACMul", {}),
    "PosNAC": ("NACSigma", {"space": "linear"}),
    "ReRegualizedLinearNAC": ("NAU", {}),
    "ReRegualizedLinearMNAC": ("NMU", {}),
    "ReRegualizedLinearPosNAC": ("NACNMU", {"space": "linear"}),
    "ReRegualizedLinearNALU": ("GatedNAUNMU", {}),
    "SignNMRU": ("NMRU", {}),
    "NMRU": ("NMRU", {"sign": "none"}),
    "GatedSignNMRU": ("NMRU", {"sign": "gated"}),
    "iNALU": ("INALU", {}),
    "MulMCFCSignINALU": ("MulMCFC", {"sign": "inalu"}),
    "MulMCFCSignRealNPU": ("MulMCFC", {"sign": "real_npu"}),
    **{name: (name, {}) for name in ("NAC", "NALU", "NPU", "RealNPU", "NRU", "MCFC", "MulMCFC")},
}
"""Our name and options for each unit of the original's single-layer network. Its activations are all linear layers."""

_ADDITIVE = ("NAC", "PosNAC", "ReRegualizedLinearNAC", "ReRegualizedLinearPosNAC")
"""Units with which ``--nac-mul`` makes a network of two layers. With others it has no effect."""

_MULTIPLICATIONS = ("none", "normal", "mnac", "npu", "real-npu")
BOUNDED = ("NAU", "NMU", "NACNMU", "GatedNAUNMU", "NRU", "NMRU")
"""Our modules with bounds, which ``--oob-mode`` and ``--regualizer-shape`` are about."""
_GATED = ("NALU", "GatedNAUNMU")
POWER = ("RealNPU", "NPU")
_WITH_EPSILON = ("NMU", "NACNMU", "NRU", "NMRU")

_CHOICES: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "--oob-mode": (BOUNDED, "out_of_bounds", {"clip": "clip", "regualized": "penalty"}),
    "--regualizer-shape": (BOUNDED, "shape", {shape: shape for shape in ("linear", "squared", "none")}),
    "--nalu-mul": (
        ("NALU",),
        "multiplication",
        {"normal": "log", "safe": "safe", "trig": "trig", "mnac": "nmu"},
    ),
    "--nalu-gate": (
        _GATED,
        "gate",
        {"normal": "sigmoid", "regualized": "sigmoid", "gumbel": "gumbel", "obs-gumbel": "row_gumbel"},
    ),
    "--npu-clip": (
        POWER,
        "clip",
        {"none": "none", "w": "weight", "g": "gate", "wg": "both", "wig": "all"},
    ),
    "--npu-Wr-init": (
        POWER,
        "init",
        {"xavier-uniform": "xavier", "xavier-uniform-constrained": "constrained"},
    ),
    "--realnpu-reg-type": (("RealNPU",), "attract", {"W": "signs", "bias": "ternary"}),
    "--nru-div-mode": (("NRU",), "sign", {"div": "joint", "div-sepSign": "separate"}),
}
"""Options with a value: our modules that have the option, its name, and our value for each of the original's."""

_FLAGS: dict[str, tuple[tuple[str, ...], str, Any]] = {
    "--nalu-bias": (_GATED, "bias", True),
    "--nalu-two-nac": (("NALU",), "separate", True),
    "--nalu-two-gate": (_GATED, "two_gates", True),
    "--beta-nau": (("NAU", "NRU"), "init", "beta"),
    "--trash-cell": (("NRU",), "trash", True),
}
"""Options without a value: our modules that have the option, its name and its value."""

_NUMBERS = ("--mnac-epsilon", "--noise-range")
_NETWORK = ("--layer-type", "--first-layer", "--nac-mul")


def translate(command: str) -> list[Layer]:
    """Translate a unit of the original's command line into our modules, one per layer.

    Arguments:
        command: the unit's name and its options, such as ``SignNMRU``, ``ReRegualizedLinearNAC --nac-mul mnac``,
            ``--layer-type NRU --nru-div-mode div-sepSign``.

    Raises:
        ValueError: there is no such unit here, or an option is not one of a module.

    >>> translate("ReRegualizedLinearNAC --nac-mul mnac")
    [('NAU', {}), ('NMU', {})]
    """
    words = _words(command)
    unit = words.get("--layer-type", "NALU")
    multiplication = words.get("--nac-mul", "none")
    if multiplication not in _MULTIPLICATIONS:
        expected = ", ".join(_MULTIPLICATIONS)
        raise ValueError(f"found --nac-mul {multiplication}, expected one of: {expected}")
    if unit not in _ADDITIVE or multiplication == "none":
        return [_layer(unit, words)]
    first = words.get("--first-layer", unit)
    if multiplication == "normal":
        name, options = _layer(unit, words)
        if name == "NAU":
            raise ValueError(f"found {unit} --nac-mul normal: no module here multiplies by a NAU of logarithms")
        second = ("NACMul", {}) if name == "NAC" else (name, {key: options[key] for key in options if key != "space"})
    elif multiplication == "mnac":
        second = ("SigmaNMU", {}) if unit[:-3] + "MNAC" == "MNAC" else _layer(unit[:-3] + "MNAC", words)
    else:
        second = _layer("NPU" if multiplication == "npu" else "RealNPU", words)
    return [_layer(first, words), second]


def describe_unit(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the original's unit for a module of ours, and its options on the command line. ``translate`` reads them.

    Arguments:
        name: our name of the module.
        options: its options, without those at their defaults.

    Raises:
        ValueError: the original has no such module, or none with such an option.

    >>> describe_unit("RealNPU", {"clip": "both"})
    ('RealNPU', {'--npu-clip': 'wg'})
    """
    fitting = [unit for unit, (ours, fixed) in UNITS.items() if ours == name and fixed.items() <= options.items()]
    if not fitting:
        raise ValueError(f"the original has no {name}{_shown(options)}")
    unit = max(fitting, key=lambda unit: len(UNITS[unit][1]))  # the first of equals
    words: dict[str, str] = {}
    for option, value in options.items():
        if option not in UNITS[unit][1]:
            words |= _words_for(name, option, value)
    return unit, words


def _words_for(name: str, option: str, value: Any) -> dict[str, str]:
    for word, (modules, ours, values) in _CHOICES.items():
        if name in modules and ours == option and value in values.values():
            return {word: next(theirs for theirs, known in values.items() if known == value)}
    for word, (modules, ours, known) in _FLAGS.items():
        if name in modules and ours == option and value == known:
            return {word: ""}
    if option == "identity_epsilon" and name in _WITH_EPSILON:
        return {"--mnac-epsilon": repr(float(value))}
    if option == "noise" and name == "NMU":
        low, high = (1, 0) if value == "batch" else value
        return {"--nmu-noise": "", "--noise-range": f"[{low:g}, {high:g}]"}
    raise ValueError(f"the original has no {name}{_shown({option: value})}")


def _shown(options: Mapping[str, Any]) -> str:
    return " with " + ", ".join(f"{option} {value}" for option, value in options.items()) if options else ""


def _words(command: str) -> dict[str, str]:
    """Return the options with their values. A unit that comes first needs no ``--layer-type``."""
    rest = shlex.split(command)
    if rest and not rest[0].startswith("--"):
        rest = ["--layer-type", *rest]
    words = {}
    while rest:
        option, *rest = rest
        if option in _FLAGS or option == "--nmu-noise":
            words[option] = ""
        elif option in _CHOICES or option in _NUMBERS or option in _NETWORK:
            if not rest:
                raise ValueError(f"found {option} without a value in {command!r}")
            words[option], *rest = rest
        else:
            known = ", ".join(sorted([*_FLAGS, "--nmu-noise", *_CHOICES, *_NUMBERS, *_NETWORK]))
            raise ValueError(f"found {option!r} in {command!r}, expected options about a module: {known}")
    return words


def _layer(unit: str, words: dict[str, str]) -> Layer:
    if unit not in UNITS:
        raise ValueError(f"found unknown unit {unit!r} of the original, expected one of: {', '.join(UNITS)}")
    name, fixed = UNITS[unit]
    options: dict[str, Any] = dict(fixed)
    if unit == "ReRegualizedLinearNALU" and words.get("--nalu-mul") != "mnac":
        raise ValueError(f"found {unit} with --nalu-mul {words.get('--nalu-mul', 'normal')}, expected mnac")
    for option, word in words.items():
        if option in _CHOICES:
            modules, ours, values = _CHOICES[option]
            if word not in values:
                raise ValueError(f"found {option} {word}, expected one of: {', '.join(values)}")
            if name in modules and not (name == "RealNPU" and values[word] == "all"):  # which has no effect there
                options[ours] = values[word]
        elif option in _FLAGS:
            modules, ours, value = _FLAGS[option]
            if name in modules:
                options[ours] = value
    if "--mnac-epsilon" in words and name in _WITH_EPSILON:
        options["identity_epsilon"] = _number("--mnac-epsilon", words["--mnac-epsilon"])
    if "--nmu-noise" in words and name == "NMRU":
        raise ValueError(f"found {unit} --nmu-noise, expected it with an NMU: the NMRU has no noise here")
    if "--nmu-noise" in words and name == "NMU":
        low, high = _range("--noise-range", words.get("--noise-range", "[1, 5]"))
        options["noise"] = "batch" if (low, high) == (1, 0) else [low, high]
    return name, options


def _number(option: str, word: str) -> float:
    value = _literal(word)
    if not isinstance(value, int | float):
        raise ValueError(f"found {option} {word}, expected a number")
    return float(value)


def _range(option: str, word: str) -> tuple[float, float]:
    match _literal(word):
        case [int() | float() as low, int() | float() as high]:
            return float(low), float(high)
    raise ValueError(f"found {option} {word}, expected a range such as [1,5]")


def _literal(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return None
