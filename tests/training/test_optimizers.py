"""The functional optimizers are torch.optim's."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.training.ensembles import assert_bit_equal, trained
from torch import nn

from nalm.errors import NalmError
from nalm.spec.document import valid
from nalm.spec.optimizers import OPTIMIZERS
from nalm.spec.recipe import Recipe
from nalm.training.optimizers import iteration_scalars, optimizer, optimizer_structure

STEPS = 200
BETAS = {"betas": [0.8, 0.99]}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "adam": [{}, BETAS | {"eps": 1e-6}, {"weight_decay": 0.1}, {"amsgrad": True}],
    "sgd": [
        {},
        {"momentum": 0.9},
        {"weight_decay": 0.1},
        {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"momentum": 0.8, "nesterov": True},
    ],
    "adamw": [{}, BETAS | {"weight_decay": 0.2}, {"amsgrad": True}, {"weight_decay": 0}],
    "nadam": [{}, BETAS | {"momentum_decay": 0.1}, {"weight_decay": 0.1, "decoupled_weight_decay": True}],
    "radam": [
        {},
        BETAS,
        {"betas": [0.9, 0.3]},
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ],
    "adamax": [{}, BETAS | {"weight_decay": 0.1, "eps": 1e-5}],
    "rmsprop": [{}, {"momentum": 0.9}, {"alpha": 0.9, "centered": True, "eps": 1e-4}, {"weight_decay": 0.1}],
    "adagrad": [{}, {"lr_decay": 0.1, "initial_accumulator_value": 0.1}, {"weight_decay": 0.1, "eps": 1e-5}],
    "adadelta": [{}, {"rho": 0.8, "eps": 1e-4, "weight_decay": 0.1}],
}
CASES = [(name, options) for name, several in OPTIONS.items() for options in several]
STRUCTURES = [
    *[(name, {}) for name in OPTIONS],
    ("adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("nadam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("rmsprop", {"momentum": 0.9, "centered": True}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("sgd", {"momentum": 0.9, "dampening": 0.5}),
]


def recipe(name: str, options: dict[str, Any], **changes: Any) -> Recipe:
    return Recipe.model_validate({"module": "NMRU", "optimizer": {"name": name, **options}} | changes)


def test_every_optimizer_is_compared_with_torch() -> None:
    assert list(OPTIONS) == list(OPTIMIZERS)


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_steps_are_those_of_torch_optim(name: str, options: dict[str, Any], precision: str) -> None:
    torch.manual_seed(0)
    ours = recipe(name, options, precision=precision, learning_rate=1e-2)
    dtype, rule = ours.dtype, optimizer(ours)
    start = torch.randn(5, 3, 2, dtype=dtype)
    gradients = (
        torch.randn(STEPS, 5, 3, 2, dtype=dtype) * torch.logspace(-8, 0, STEPS, dtype=dtype)[:, None, None, None]
    )
    reference = nn.Parameter(start.clone())
    theirs = OPTIMIZERS[name].stateful([reference], ours)
    parameters, state = {"weight": start}, rule.state({"weight": start})
    columns = rule.scalars(np.arange(STEPS), 1e-2)
    for step, gradient in enumerate(gradients):
        reference.grad = gradient.clone()
        theirs.step()
        scalars = {key: torch.tensor(values[step], dtype=dtype) for key, values in columns.items()}
        parameters, state = rule.update(parameters, {"weight": gradient}, state, scalars)
    # RMSprop's large first steps leave more of the rounding of float32.
    single = 1e-5 if name == "rmsprop" else 1e-6
    torch.testing.assert_close(
        parameters["weight"], reference.detach(), rtol=1e-7 if dtype == torch.float64 else single, atol=single / 10
    )


@pytest.mark.parametrize(("name", "options"), CASES)
def test_torchs_optimizer_gets_every_option(name: str, options: dict[str, Any]) -> None:
    theirs = OPTIMIZERS[name].stateful([nn.Parameter(torch.zeros(1))], recipe(name, options))
    group = theirs.param_groups[0]
    assert {key: list(group[key]) if key == "betas" else group[key] for key in options} == options


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_scalars_of_an_iteration_do_not_depend_on_those_before(name: str, options: dict[str, Any]) -> None:
    whole = iteration_scalars(recipe(name, options), np.arange(3000))
    for first, last in [(0, 1), (777, 800), (2999, 3000)]:
        part = iteration_scalars(recipe(name, options), np.arange(first, last))
        for key, values in part.items():
            np.testing.assert_array_equal(values, whole[key][first:last], err_msg=key)


def test_optimizers_that_differ_in_numbers_share_a_program() -> None:
    def structure(**options: Any) -> Any:
        return optimizer_structure(recipe("adamw", options)), list(
            iteration_scalars(recipe("adamw", options), np.zeros(1, np.int64))
        )

    assert structure(weight_decay=0.1, betas=[0.5, 0.9]) == structure(weight_decay=0.2, eps=1e-3)
    assert structure(weight_decay=0) != structure(weight_decay=0.2)
    assert structure(amsgrad=True) != structure()


@pytest.mark.parametrize(("name", "options"), STRUCTURES)
def test_training_that_is_resumed_is_uninterrupted_training_to_the_bit(name: str, options: dict[str, Any]) -> None:
    ours = recipe(name, options, iterations=20, evaluate_every=10)
    assert_bit_equal(trained(ours, resumed=True), trained(ours))


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), STRUCTURES)
def test_compiled_training_is_eager_training_and_goes_on_to_the_bit(name: str, options: dict[str, Any]) -> None:
    ours = recipe(name, options, iterations=20, evaluate_every=10, precision="float64")
    compiled = trained(ours, compiled=True)
    assert_bit_equal(trained(ours, compiled=True, resumed=True), compiled)
    np.testing.assert_allclose(compiled.final_test_errors, trained(ours).final_test_errors, rtol=1e-9)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_options_at_their_defaults_are_left_out(name: str, options: dict[str, Any]) -> None:
    defaults = OPTIMIZERS[name].Options().model_dump(mode="json")
    assert recipe(name, defaults) == Recipe.model_validate({"module": "NMRU", "optimizer": name})
    read = recipe(name, options)
    assert Recipe.model_validate(read.model_dump(mode="json", exclude_defaults=True)) == read
    assert Recipe.model_validate_json(read.model_dump_json(), context="stored") == read


def test_momentum_is_one_field_however_it_is_written() -> None:
    expected = Recipe.model_validate({"module": "NMRU", "optimizer": "sgd", "momentum": 0.9})
    assert recipe("sgd", {"momentum": 0.9}) == expected
    assert recipe("sgd", {"momentum": 0.9}, momentum=0.9) == expected


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (5, "found 5, expected an optimizer's name, or {name: …, option: …}"),
        ({"weight_decay": 1}, "expected an optimizer's name, or {name: …, option: …}"),
        ({"name": "adamm"}, "found unknown optimizer 'adamm' (did you mean adam?), expected one of: adam, sgd, adamw"),
        (
            {"name": "adamw", "weight_decy": 1},
            "adamw has no option 'weight_decy' (did you mean weight_decay?), expected one of: amsgrad, betas, eps",
        ),
        ({"name": "adam", "weight_decay": -1}, "adam: weight_decay: found -1, expected greater than or equal to 0"),
        ({"name": "adam", "weight_decay": float("nan")}, "adam: weight_decay: found nan, expected a finite number"),
        ({"name": "adam", "betas": 0.9}, "adam: betas: found 0.9, expected a list"),
        ({"name": "adam", "betas": [0.9]}, "adam: betas[1]: found nothing, expected a value"),
        ({"name": "adam", "betas": [0.9, 1]}, "adam: betas[1]: found 1, expected less than 1"),
        ({"name": "adam", "amsgrad": 1}, "adam: amsgrad: found 1, expected a boolean"),
        ({"name": "adam", "momentum": 0.5}, "adam has no option 'momentum', expected one of: amsgrad"),
        ({"name": "sgd", "nesterov": True}, "found nesterov, expected it with a momentum above 0 and without damp"),
        ({"name": "sgd", "dampening": 0.5}, "found dampening 0.5 without momentum, expected both or none"),
        ({"name": "sgd", "momentum": 2}, "found 2, expected less than 1"),
        ({"name": "rmsprop", "alpha": "x"}, "rmsprop: alpha: found 'x', expected a number"),
    ],
)
def test_a_wrong_optimizer_is_refused_in_one_sentence(written: Any, sentence: str) -> None:
    with pytest.raises(NalmError) as caught:
        valid(Recipe, {"module": "NMRU", "optimizer": written})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
