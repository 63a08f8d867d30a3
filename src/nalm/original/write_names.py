"""Name our runs as the original research code would (see `parse_names`)."""

from collections.abc import Mapping
from typing import Any, cast

from nalm.experiments.runs import recipe_fields
from nalm.original.parse_names import (
    CLIPS,
    CRITERIA,
    DEFAULT_GROWTH,
    DEFAULT_RAMP,
    FLAGS,
    INITS,
    UNNAMED,
    named_run,
)
from nalm.original.units import BOUNDED, POWER, describe_unit
from nalm.spec.distributions import Benford, Exponential, TruncatedNormal
from nalm.spec.ranges import Halves, Interval, Range, Union
from nalm.spec.recipe import Recipe
from nalm.spec.schedules import Term
from nalm.spec.task import Task
from nalm.tasks.subsets.task import SubsetTask

__all__ = ["name_form", "named_recipe", "named_task"]

Fields = dict[str, Any]
Words = Mapping[str, str]


def name_form(recipe: Recipe, task: Task) -> str:
    """Return the original's name of a run, with ``{seed}`` in place of its seed.

    Raises:
        ValueError: the original could not have made such a run, or its name for it would mean another run.
    """
    if not task.on_rows:
        raise ValueError("the original's names of runs on sequences are not known")
    if recipe.second is not None:
        raise ValueError("the original's names of networks of two layers are not known")
    form = "_".join(_fields_of(recipe, cast(SubsetTask, task)))
    parsed = named_run(form.replace("{seed}", "0"))
    ours = _flat(named_recipe(recipe), named_task(task))
    theirs = _flat(recipe_fields(parsed.recipe), parsed.task.identity)
    lost = sorted(field for field in ours | theirs if ours.get(field) != theirs.get(field))
    if lost:
        raise ValueError(f"the original's names cannot express the {', '.join(lost)}")
    return form


def named_recipe(recipe: Recipe) -> Fields:
    """Return the fields that identify a recipe, without what the original's names don't tell."""
    fields = recipe_fields(
        recipe.model_copy(update={"iterations": 50_000, "evaluate_every": 1000, "precision": "float32"})
    )
    module = recipe.module.name
    if module in ("NAU", "NRU") and recipe.module.options.get("init") == "beta":
        kept = {option: value for option, value in fields["module"].items() if option != "init"}
        fields["module"] = kept if len(kept) > 1 else module
    regularizers = fields.get("regularizers", {})
    if "l2" in regularizers and "l1" not in regularizers:
        fields["regularizers"] = {"l1" if name == "l2" else name: term for name, term in regularizers.items()}
    return fields


def named_task(task: Task) -> Fields:
    """Return the fields that identify a task, without what the original's names don't tell."""
    fields = task.identity
    if not task.on_rows:
        return fields
    ranges = cast(SubsetTask, task)
    halves = isinstance(ranges.train, Union | Halves)
    for field, known in (("train", ranges.train), ("test", ranges.test)):
        if isinstance(known, Union | Halves):
            fields[field] = (Halves if halves else Union)(intervals=known.intervals).written()
    return fields


def _flat(recipe: Fields, task: Fields) -> Fields:
    terms = {f"regularizer {name}": term for name, term in recipe.pop("regularizers", {}).items()}
    return recipe | terms | task


def _fields_of(recipe: Recipe, task: SubsetTask) -> list[str]:
    module, terms = recipe.module.name, recipe.regularizers
    unit, words = describe_unit(module, recipe.module.options)
    if unit in UNNAMED:
        raise ValueError(f"the original's name of {module} is not known")
    if module == "NALU" and "gate" in terms:
        words = words | {"--nalu-gate": "regualized"}
    scheduled = [term for name, term in terms.items() if name in ("weight", "gate") and module != "NALU"]
    ramp = next((term.ramp for term in scheduled if term.ramp is not None), DEFAULT_RAMP)
    exponential = any(term.exponential is not None for term in scheduled)
    grown = [term.growth for name, term in terms.items() if term.growth is not None]
    growth = grown[0] if grown else DEFAULT_GROWTH
    by_ramp = any(term.growth is None for term in scheduled) and (module in POWER or "gate" in terms)
    shape = "none" if module in POWER else words.get("--regualizer-shape", "linear")
    power_terms: Mapping[str, Term] = terms if module in POWER else {}
    norm = recipe.clip_gradient_norm
    noise = words.get("--noise-range", "[1, 5]").strip("[]").replace(", ", "-")
    return [
        unit.lower() + _flags(words),
        f"op-{task.operation}",
        f"oob-{words.get('--oob-mode', 'clip')[0]}",
        f"rs-{'exp' if exponential else 'linear'}-{shape}",
        f"eps-{words.get('--mnac-epsilon', '0')}",
        f"rl-{ramp[0]}-{ramp[1]}",
        f"r-{_weight(module, terms)}-{_typed(terms, 'input', 0)}-{_bounds(words, terms)}",
        f"i-{_range(task.train)}",
        f"e-{_range(task.test)}",
        "z-simple" if task.simple else f"z-{task.input_size}-{task.subset_ratio!r}-{task.overlap_ratio!r}",
        f"b{recipe.batch_size}",
        "s{seed}",
        "h2",
        f"z{task.subsets}",
        f"lr-{recipe.optimizer_name}-{recipe.learning_rate:.5f}-{recipe.momentum!r}",
        f"D-{_distribution(task.train, task.test)}",
        f"n-{noise}",
        f"L1{'T' if 'l1' in terms or 'l2' in terms else 'F'}",
        f"rb-{growth.start!r}-{growth.end!r}-{growth.every}-{_python(growth.factor)}",
        f"rWnpu-{_coefficient(power_terms, 'weight')}-{'b' if words.get('--realnpu-reg-type') == 'bias' else 'W'}",
        f"rg-{_coefficient({} if module == 'NALU' else terms, 'gate')}",
        f"r{'M' if by_ramp else 'H'}",
        f"clip-{CLIPS[words.get('--npu-clip', 'none')]}",
        f"WrI-{INITS[words.get('--npu-Wr-init', 'xavier-uniform')]}",
        f"nM{'T' if '--nmu-noise' in words else 'F'}",
        f"gn-{'F' if norm is None else repr(norm)}",
        CRITERIA[recipe.criterion]
        + (f"-{recipe.pcc_iterations}" if recipe.criterion == "pcc_then_mse" else "")
        + ("-TC" if "--trash-cell" in words else ""),
    ]


def _flags(words: Words) -> str:
    given = {f"{option} {value}".strip() for option, value in words.items()}
    if "--nalu-mul mnac" in given:
        raise ValueError("the original's name of NALU with multiplication nmu is not known")
    return "".join(flag for flag, word in FLAGS.items() if word in given)


def _weight(module: str, terms: Mapping[str, Term]) -> str:
    """Return the weight penalty: its default for units without it, 0 for power units, as in the papers' commands."""
    if module in BOUNDED:
        return _typed(terms, "weight", 10) if "weight" in terms else "0.0"
    return "0.0" if module in POWER else "10"


def _bounds(words: Words, terms: Mapping[str, Term]) -> str:
    penalized = words.get("--oob-mode") == "regualized"
    return ("0.0" if "out_of_bounds" not in terms else _typed(terms, "out_of_bounds", 1)) if penalized else "1"


def _typed(terms: Mapping[str, Term], name: str, default: int) -> str:
    """Return a coefficient as the original prints it: the default as an integer, a typed value as a float."""
    value = terms[name].coefficient if name in terms else default
    return str(default) if value == default else repr(float(value))


def _coefficient(terms: Mapping[str, Term], name: str) -> str:
    return _python(terms[name].coefficient) if name in terms else "0"


def _python(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _ends(known: Range) -> tuple[tuple[float, float], ...]:
    if isinstance(known, Interval | Union | Halves):
        return known.intervals
    if isinstance(known, TruncatedNormal | Benford):
        return (known.within,)
    raise ValueError(f"the original has no range of the kind {type(known).__name__}")


def _range(known: Range) -> str:
    if isinstance(known, Exponential):
        return "1-2"  # the original ignores this field
    intervals = [list(map(_python, interval)) for interval in _ends(known)]
    if len(intervals) == 1:
        return "-".join(intervals[0])
    return "-".join(f"[{low}, {high}]" for low, high in intervals)


def _distribution(train: Range, test: Range) -> str:
    match train, test:
        case TruncatedNormal(), TruncatedNormal():
            numbers = (train.mean, train.deviation, test.mean, test.deviation)
            return "-".join(["tn", *(str(int(number)) for number in numbers)])
        case Exponential(), Exponential():
            return f"e-{train.scale!r}"
        case Benford(), Benford():
            return "b"
    if any(isinstance(known, TruncatedNormal | Exponential | Benford) for known in (train, test)):
        raise ValueError("the original has only one distribution per run")
    return "u"
