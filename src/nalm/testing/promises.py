"""The promises of every module, except those about gold weights: one function each."""

import copy
import inspect
import math
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import torch
from torch.func import functional_call, stack_module_state, vmap

from nalm.modules import ArithmeticModule
from nalm.testing.subject import Subject, noise_for, randomize_, same, same_parameters

__all__ = ["PROMISES"]

BATCHES: list[tuple[int, ...]] = [(), (7,), (2, 3)]
"""Batch shapes ``*`` of inputs ``(*, in_features)``."""
STACKED_ERROR = 1e-11
"""Allowed difference between modules that are vectorized and modules one by one, in float64."""


def _built(subject: Subject) -> None:
    """Check that it is built from its sizes as an ArithmeticModule."""
    module = subject.build(subject.in_features, subject.out_features, **subject.options)
    subject.expect(isinstance(module, ArithmeticModule), "an ArithmeticModule", f"a {type(module).__name__}")
    sizes = (module.in_features, module.out_features)
    subject.expect(
        sizes == (subject.in_features, subject.out_features),
        f"the sizes {(subject.in_features, subject.out_features)} as in_features and out_features",
        sizes,
    )
    for option in [*inspect.signature(subject.build).parameters.values()][2:]:
        named = option.kind in (option.KEYWORD_ONLY, option.VAR_KEYWORD)
        subject.expect(named, f"a keyword-only option {option.name}", f"a {option.kind.description} one")


def _sizes(subject: Subject) -> None:
    """Check that sizes that are not positive integers are refused."""
    for size in (0, -1, 1.5, True, "2"):
        build = partial(subject.build, **subject.options)
        subject.refuses(f"in_features={size!r}", partial(build, size, subject.out_features))
        subject.refuses(f"out_features={size!r}", partial(build, subject.in_features, size))


def _widths(subject: Subject) -> None:
    """Check that inputs of another width are refused."""
    module = subject.made()
    for shape in ((4, subject.in_features + 1), ()):
        subject.refuses(f"inputs of shape {shape}", partial(module, torch.ones(shape, dtype=torch.float64)))


def _integers(subject: Subject) -> None:
    """Check that inputs that are not floating-point numbers are refused."""
    module = subject.made()
    for dtype in (torch.int64, torch.bool):
        subject.refuses(f"inputs of {dtype}", partial(module, torch.ones(4, subject.in_features, dtype=dtype)))


def _shapes(subject: Subject) -> None:
    """Check that inputs (*, in_features) give finite outputs (*, out_features)."""
    for batch, training in product(BATCHES, (True, False)):
        module, x = subject.random(training=training), subject.inputs(*batch)
        result = subject.called(module, x)
        expected = (*batch, subject.out_features)
        inputs = f"for inputs {tuple(x.shape)}"
        subject.expect(result.shape == expected, f"outputs of shape {expected} {inputs}", tuple(result.shape))
        subject.expect(bool(result.isfinite().all()), f"finite outputs {inputs}", result.flatten()[:4].tolist())


def _dtypes(subject: Subject) -> None:
    """Check that it computes in the precision of its parameters."""
    for dtype in (torch.float32, torch.float64):
        module, x = subject.made().to(dtype), subject.inputs(5).to(dtype)
        found = {"outputs": module(x)} | module.regularizers(x)
        for part, value in found.items():
            subject.expect(value.dtype == dtype, f"{part} in {dtype} with parameters and inputs in it", value.dtype)


def _gradients(subject: Subject) -> None:
    """Check that every initial parameter gets a finite gradient."""
    torch.manual_seed(0)
    module = subject.made()
    torch.autograd.backward(subject.called(module, 4 * subject.inputs(20)).square().mean())
    gradients = []
    for name, parameter in module.named_parameters():
        gradient = torch.full_like(parameter, math.nan) if parameter.grad is None else parameter.grad
        subject.expect(parameter.grad is not None, f"a gradient of the parameter {name}", "none")
        subject.expect(bool(gradient.isfinite().all()), f"a finite gradient of the parameter {name}", gradient.tolist())
        gradients.append(gradient)
    subject.expect(bool(gradients), "parameters to train", "none")
    subject.expect(any(bool(gradient.any()) for gradient in gradients), "a gradient other than 0", "0 everywhere")


def _copies(subject: Subject) -> None:
    """Check that deep copies compute the same with their own parameters."""
    module, x = subject.random(), subject.inputs(5)
    expected, copied = module(x), copy.deepcopy(module)
    subject.expect(same(copied(x), expected), "equal outputs of a deep copy", "different ones")
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.fill_(0.7)
    subject.expect(same(module(x), expected), "a deep copy with its own parameters", "shared ones")


def _evaluation(subject: Subject) -> None:
    """Check that evaluation draws no random numbers."""
    module, x = subject.random(), subject.inputs(5)
    before = torch.get_rng_state()
    first, second = module(x), module(x)
    subject.expect(same(first, second), "equal outputs of two evaluations of the same inputs", "different ones")
    subject.expect(torch.equal(before, torch.get_rng_state()), "no random numbers drawn in evaluation", "some")


def _noise(subject: Subject) -> None:
    """Check that training with the same noise gives the same outputs."""
    module, x = subject.random(training=True), subject.inputs(5)
    equal = same(subject.called(module, x), subject.called(module, x))
    subject.expect(equal, "equal outputs in training, given the noise that noise_shape announces", "different ones")


def _bounds(subject: Subject) -> None:
    """Check that project_ clamps parameters to their bounds and leaves other parameters alone."""
    module = subject.made()
    names = dict(module.named_parameters())
    for method, keys in (("bounds", module.bounds()), ("domain", module.domain)):
        for name in keys:
            subject.expect(name in names, f"only parameters in {method}: {', '.join(names)}", name)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-3, 3, generator=generator)
    before = copy.deepcopy(module)
    subject.expect(module.project_() is module, "the module from project_()", "something else")
    for name, parameter in module.named_parameters():
        low, high = module.bounds().get(name, (-math.inf, math.inf))
        kept = same(parameter, before.get_parameter(name).clamp(low, high))
        subject.expect(kept, f"the parameter {name} clamped to [{low:g}, {high:g}] by project_()", parameter.tolist())


def _regularizers(subject: Subject) -> None:
    """Check that regularizers are finite scalars, and that inputs only add some."""
    for training in (True, False):
        module = subject.random(training=training)
        alone, given = module.regularizers(), module.regularizers(subject.inputs(5))
        subject.expect(alone.keys() <= given.keys(), f"regularizers {[*alone]} with inputs too", [*given])
        for name, value in given.items():
            subject.expect(value.shape == (), f"a scalar as regularizer {name}", f"the shape {tuple(value.shape)}")
            subject.expect(bool(value.isfinite()), f"a finite regularizer {name}", value.item())
            unchanged = name not in alone or same(alone[name], value)
            subject.expect(unchanged, f"the same regularizer {name} with and without inputs", "different ones")


def _discrete(subject: Subject) -> None:
    """Check that discretizing twice is discretizing once."""
    module = subject.random()
    subject.expect(module.discretize() is module, "the module from discretize()", "something else")
    once = copy.deepcopy(module)
    module.discretize()
    subject.expect(same_parameters(module, once, 1e-12), "parameters that a second discretize() leaves", "others")
    subject.expect(module.idealize() is module, "the module from idealize()", "something else")


def _sparsity(subject: Subject) -> None:
    """Check that the sparsity error is a number of at least 0, or NaN."""
    error = subject.random().sparsity_error()
    subject.expect(error.shape == (), "a scalar as sparsity error", f"the shape {tuple(error.shape)}")
    subject.expect(bool(error >= 0) or bool(error.isnan()), "a sparsity error of at least 0", error.item())


def _reset(subject: Subject) -> None:
    """Check that reset_parameters draws new parameters from torch's generator."""
    module, other = randomize_(subject.made(), 1), randomize_(subject.made(), 2)
    before = copy.deepcopy(module)
    for reset in (module, other):
        torch.manual_seed(0)
        reset.reset_parameters()
    subject.expect(not same_parameters(module, before), "new parameters from reset_parameters()", "the old ones")
    equal = same_parameters(module, other)
    subject.expect(equal, "equal parameters from reset_parameters() with the same seed of torch", "different ones")


def _state(subject: Subject) -> None:
    """Check that a state_dict carries everything that the module computes with."""
    module, other, x = subject.random(seed=1), subject.random(seed=2), subject.inputs(5)
    other.load_state_dict(module.state_dict())
    subject.expect(same(other(x), module(x)), "equal outputs after loading the state_dict of another", "different ones")


def _stacked(subject: Subject) -> None:
    """Check that stacked modules, where torch can vectorize them, compute the same as one by one."""
    for training in (True, False):
        modules, x = [subject.random(seed, training) for seed in range(3)], subject.inputs(5)
        expected = torch.stack([subject.called(module, x) for module in modules])
        parameters, buffers = stack_module_state([*modules])
        noise = noise_for(modules[0], x)

        def call(*state: Any, first: Any = modules[0], arguments: Any = (x, *noise)) -> Any:
            return functional_call(first, state, arguments)

        try:
            result = vmap(call)(parameters, buffers)
        except Exception:  # then an ensemble trains such modules one by one
            return
        subject.expect(same(result, expected, STACKED_ERROR), "equal outputs under torch.func.vmap", "different ones")


PROMISES: tuple[Callable[[Subject], None], ...] = (
    _built,
    _sizes,
    _widths,
    _integers,
    _shapes,
    _dtypes,
    _gradients,
    _evaluation,
    _noise,
    _copies,
    _bounds,
    _regularizers,
    _discrete,
    _sparsity,
    _reset,
    _state,
    _stacked,
)
"""Every promise, in the order in which they are checked."""
