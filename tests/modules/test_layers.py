"""Modules are ordinary layers of torch: batch shapes, state, copies, dtypes, devices, autocast."""

import copy
import pickle
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from tests.modules.helpers import (
    both_modes,
    every_variant,
    inputs_for,
    random_variant,
    randomized,
    width,
    with_noise,
)
from tests.modules.variants import VARIANTS
from torch import nn

from nalm.modules import (
    DMU,
    MCFC,
    NMU,
    ArithmeticModule,
    MulMCFC,
)


@both_modes
@every_variant
def test_every_leading_shape_gives_the_results_of_its_rows(name: str, training: bool) -> None:
    module = random_variant(name, training=training)
    alone = name == "NMU-normalized" or (training and name == "NMU-batch-noise")  # a batch of one has no deviation
    for shape in ((), (7,), (2, 3)):
        x = inputs_for(name, *shape)
        _, *noise = with_noise(module, x)
        results = module(x, *noise)
        assert results.shape == (*shape, 2)
        assert results.isfinite().all()
        rows = [x[index] for index in np.ndindex(shape)]
        if noise and module.noise_shape(x.shape) != module.noise_shape(rows[0].shape):
            # The rows have numbers of their own, in the dimensions before the last.
            before = noise[0].ndim - len(shape) - 1
            noises = [[noise[0][(slice(None),) * before + index]] for index in np.ndindex(shape)]
        else:
            noises = [noise] * len(rows)
        if not alone:
            each = [module(row, *numbers) for row, numbers in zip(rows, noises, strict=True)]
            # Vectorized and scalar functions may differ in their last place.
            torch.testing.assert_close(results, torch.stack(each).reshape(*shape, 2), rtol=1e-12, atol=1e-13)


@every_variant
def test_state_dicts_carry_everything_that_a_module_computes_with(name: str) -> None:
    module, other = random_variant(name, seed=1), random_variant(name, seed=2)
    x = inputs_for(name, 10)
    assert not torch.equal(other(x), module(x)) or isinstance(module, DMU)  # whose rounded weights may be the same
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))


def pickled(module: ArithmeticModule) -> ArithmeticModule:
    restored: ArithmeticModule = pickle.loads(pickle.dumps(module))
    return restored


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
@every_variant
def test_copies_in_both_modes_compute_the_same_with_parameters_of_their_own(
    name: str, duplicate: Callable[[ArithmeticModule], ArithmeticModule]
) -> None:
    for training in (True, False):
        module = random_variant(name, training=training)
        arguments = with_noise(module, inputs_for(name, 10))
        copied = duplicate(module)
        expected = module(*arguments)
        assert torch.equal(copied(*arguments), expected)
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.fill_(0.7)
        assert torch.equal(module(*arguments), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@every_variant
def test_modules_are_made_and_compute_in_the_wanted_dtype(name: str, dtype: torch.dtype) -> None:
    module = VARIANTS[name](width(name), 2, dtype=dtype)
    assert {parameter.dtype for parameter in module.parameters()} == {dtype}
    result = module(inputs_for(name, 5).to(dtype))
    assert result.dtype == dtype
    assert {term.dtype for term in module.regularizers(inputs_for(name, 5).to(dtype)).values()} <= {dtype}


@every_variant
def test_modules_are_made_on_the_wanted_device(name: str) -> None:
    module = VARIANTS[name](width(name), 2, device="meta")
    assert {parameter.device.type for parameter in module.parameters()} == {"meta"}


@every_variant
def test_shapes_are_computed_without_numbers(name: str) -> None:
    module = VARIANTS[name](width(name), 2).to("meta")
    for mode in (module.train(), module.eval()):
        result = mode(torch.ones(5, width(name), device="meta"))
        assert (result.device.type, tuple(result.shape)) == ("meta", (5, 2))


@every_variant
def test_parameters_on_the_meta_device_can_be_drawn_later(name: str) -> None:
    torch.manual_seed(1)
    early = VARIANTS[name](width(name), 2)
    early.reset_parameters()
    late = VARIANTS[name](width(name), 2, device="meta").to_empty(device="cpu")
    torch.manual_seed(1)
    VARIANTS[name](width(name), 2)  # what is drawn on construction
    late.reset_parameters()
    for key, value in early.state_dict().items():
        torch.testing.assert_close(late.state_dict()[key], value, rtol=0, atol=0)


@every_variant
def test_modules_are_layers_of_a_sequential(name: str) -> None:
    first = random_variant(name)
    second = randomized(VARIANTS[name](2, 1), seed=1).eval()
    x = inputs_for(name, 5).abs()
    result = nn.Sequential(first, second)(x)
    assert result.shape == (5, 1)
    torch.testing.assert_close(result, second(first(x)), rtol=0, atol=0, equal_nan=True)


@every_variant
def test_modules_print_their_class_and_sizes(name: str) -> None:
    module = VARIANTS[name](2, 4)
    assert repr(module).startswith(type(module).__name__)
    assert "in_features=2, out_features=4" in repr(module)


def warned(call: Callable[[], Any]) -> list[warnings.WarningMessage]:
    """Return the warnings of a call about half precision."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [warning for warning in caught if "under autocast" in str(warning.message)]


@every_variant
def test_under_autocast_to_half_precision_a_module_warns(name: str) -> None:
    module = VARIANTS[name](width(name), 2)
    x = inputs_for(name, 5).float()
    for mode in (module.train(), module.eval()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            caught = warned(partial(mode, x))
        assert issubclass(caught[0].category, UserWarning)
        assert str(caught[0].message).startswith(f"{type(module).__name__} runs under autocast to torch.bfloat16")


def test_the_warning_points_at_the_call() -> None:
    module = NMU(2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (caught,) = warned(lambda: module(torch.ones(2)))
    assert caught.filename == __file__


@pytest.mark.filterwarnings("ignore:In CPU autocast, but the target dtype is not supported")
@every_variant
def test_in_full_precision_a_module_does_not_warn(name: str) -> None:
    call = partial(VARIANTS[name](width(name), 2), inputs_for(name, 5).float())
    assert not warned(call)
    with torch.autocast("cpu", enabled=False):
        assert not warned(call)
    with torch.autocast("cpu", dtype=torch.float32):
        assert not warned(call)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.autocast("cpu", enabled=False):
        assert not warned(call)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")
def test_every_module_runs_on_a_graphics_card() -> None:
    for name, training in product(VARIANTS, (True, False)):
        module = VARIANTS[name](width(name), 2, device="cuda").train(training)
        reference = copy.deepcopy(module).cpu()
        arguments = [argument.float() for argument in with_noise(reference, inputs_for(name, 5))]
        result = module(*(argument.cuda() for argument in arguments))
        result.sum().backward()
        assert all(parameter.grad is None or parameter.grad.is_cuda for parameter in module.parameters()), name
        # Exponentials and logarithms differ between devices in their last places.
        torch.testing.assert_close(result.cpu(), reference(*arguments), rtol=1e-4, atol=1e-5, msg=name)


@every_variant
def test_inputs_of_another_width_are_refused_and_not_broadcast(name: str) -> None:
    module = VARIANTS[name](width(name), 1)
    for shape, found in (((4, width(name) + 1), f"{width(name) + 1} inputs"), ((), "a single number")):
        with pytest.raises(ValueError, match=f"{type(module).__name__}: found {found}, expected {width(name)}"):
            module(torch.ones(shape))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64], ids=str)
@every_variant
def test_inputs_that_are_no_floating_point_numbers_are_refused(name: str, dtype: torch.dtype) -> None:
    module = VARIANTS[name](width(name), 1)
    with pytest.raises(ValueError, match=f"{type(module).__name__}: found inputs of {dtype}, expected floating-point"):
        module(torch.ones(4, width(name), dtype=dtype))


@pytest.mark.parametrize("build", [MCFC, MulMCFC, partial(MCFC, trash=True)])
def test_mass_conserving_layers_are_drawn_in_half_precision(build: Any) -> None:
    assert build(3, 2, dtype=torch.bfloat16)(torch.ones(3, dtype=torch.bfloat16)).isfinite().all()
