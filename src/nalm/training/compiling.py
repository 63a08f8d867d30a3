"""Compilation of functions, where the machine has a compiler.

A function is traced once, with all its transforms (``vmap``, ``grad``), into a flat graph of tensor operations. The
graph goes to torch's compiler directly. Compared with ``torch.compile`` this compiles faster, and calls check no
guards, which would take a noticeable part of a step's time.
"""

import contextlib
import ctypes
import functools
import gc
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, cast

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_structure, tree_unflatten

from nalm.log import warn_once
from nalm.paths import first_line
from nalm.training.compiler_cache import in_a_fresh_cache, open_cache, verify_vector_units
from nalm.training.probes import forget_probes, passes, remember_vector_units

__all__ = ["Compiled", "compiler_problem", "load_cpp", "rare_garbage_collection", "warm_up"]

P = ParamSpec("P")
R = TypeVar("R")
Carry = TypeVar("Carry")

Flat = Callable[..., Sequence[Tensor]]
"""A function that maps tensors to a sequence of tensors."""


class Compiled(Generic[P, R]):
    """A function that is compiled when it is first called.

    Arguments and results are nested tuples and dictionaries of tensors, whose shapes never change. If the function
    cannot be compiled, or depends on anything but its arguments, it runs eagerly, with a warning.

    Arguments:
        function: the function to compile.
        name: name of the function in warnings.
        compiled: whether to compile at all.
        steady: whether it is known to depend on its arguments alone. Otherwise it is traced twice to find out.
    """

    def __init__(self, function: Callable[P, R], name: str, compiled: bool, steady: bool = False) -> None:
        self.compiled = compiled
        self._steady = steady
        self._function = function
        self._name = name
        self._call: Flat | None = None
        self._results: TreeSpec | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        leaves, structure = tree_flatten((args, kwargs))
        return self._unflatten(self._flat(structure, leaves)(*leaves))

    def repeat(self, carry: Carry, slices: Any, constants: Any) -> tuple[Carry, Any]:
        """Call ``function(carry, slice, constants)`` for each slice; it returns the next carry and a report.

        Structures are flattened once, not in every call.

        Arguments:
            carry: the carry of the first call.
            slices: tensors whose first dimension counts the calls.
            constants: passed unchanged to every call.

        Returns:
            The carry after the last call, and the report of the first call.

        Raises:
            ValueError: there are no slices.
            TypeError: the function returns a carry with another structure than it was given.
        """
        leaves, structure = tree_flatten(((carry, slices, constants), {}))
        state, shared = tree_leaves(carry), tree_leaves(constants)
        stacked = leaves[len(state) : len(leaves) - len(shared)]
        report: Sequence[Tensor] | None = None
        for current in zip(*(leaf.contiguous().unbind(0) for leaf in stacked), strict=True):
            arguments = [*state, *current, *shared]
            results = self._flat(structure, arguments)(*arguments)
            state = list(results[: len(state)])
            report = report or results[len(state) :]
        if report is None:
            raise ValueError("found no slices, expected at least one")
        after, first_report = cast(tuple[Carry, Any], self._unflatten([*state, *report]))
        if tree_structure(after) != tree_structure(carry):
            raise TypeError(f"{self._name}: a step returns a state with another structure than it was given")
        return after, first_report

    def _unflatten(self, results: Sequence[Tensor]) -> R:
        assert self._results is not None
        return cast(R, tree_unflatten(results, self._results))

    def _flat(self, structure: TreeSpec, leaves: Sequence[Tensor]) -> Flat:
        """Return the function as one of the leaves of its arguments, compiled if possible."""
        if self._call is not None:
            return self._call

        def flat(*leaves: Tensor) -> list[Tensor]:
            args, kwargs = tree_unflatten(leaves, structure)
            results, self._results = tree_flatten(self._function(*args, **kwargs))
            return results

        call: Flat = flat
        if self.compiled:
            try:
                call = _compile(flat, leaves, self._steady)
            except Exception as error:  # whatever tracing or the compiler raises
                forget_probes()
                warn_once(f"{self._name} cannot be compiled ({first_line(error)}): it runs eagerly, many times slower")
                self.compiled = False
        self._call = call
        return call


def _compile(flat: Flat, leaves: Sequence[Tensor], steady: bool = True) -> Flat:
    """Return the compiled function. If the compiler fails, it is asked again with an empty cache."""
    open_cache()
    verify_vector_units()
    remember_vector_units()
    graph = _traced(flat, leaves)
    if not steady and graph.code != _traced(flat, leaves).code:
        raise RuntimeError("every call computes something different")
    try:
        return _compile_graph(graph, leaves)
    except Exception:
        return in_a_fresh_cache(lambda: _compile_graph(_traced(flat, leaves), leaves))


def _traced(flat: Flat, leaves: Sequence[Tensor]) -> fx.GraphModule:
    import torch._inductor.inductor_prims  # noqa: F401 – defines inductor_force_stride_order

    return make_fx(flat, tracing_mode="fake", _allow_non_fake_inputs=True)(*leaves)


def _compile_graph(graph: fx.GraphModule, leaves: Sequence[Tensor]) -> Flat:
    # Imported here because they take a second, and because a torch without these private modules can train eagerly.
    from torch._guards import TracingContext, tracing
    from torch._inductor import compile as compile_graph, config
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    if leaves[0].device.type == "cpu":
        _store_reused_values(graph)
    # The compiler's cache on disk needs a shape environment, although no shape is dynamic.
    with (
        tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True))),
        config.patch(compile_threads=1),  # a pool of threads would not survive being forked, and we wait anyway
    ):
        return cast(Flat, compile_graph(graph, list(leaves)))


def _store_reused_values(graph: fx.GraphModule) -> None:
    """Store two kinds of values that the compiler would otherwise compute again wherever they are used.

    First, values that several elements of a larger result need; otherwise the cosine of a row would be computed for
    each of its inputs. Second, values rounded to another precision, such as the inputs; otherwise twice as many bytes
    would be read each time.
    """
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and not _is_view(node):
            broadcast = [_source(used) for used in node.all_input_nodes if _smallest(used) < _elements(node)]
            for value in [*broadcast, *([node] if _is_rounding(node) else [])]:
                if _is_worth_storing(value):
                    _store(graph, value)
    graph.recompile()


def _store(graph: fx.GraphModule, value: fx.Node) -> None:
    stride = list(value.meta["val"].stride())
    with graph.graph.inserting_after(value):
        stored = graph.graph.call_function(torch.ops.prims.inductor_force_stride_order.default, (value, stride))
    stored.meta = dict(value.meta)
    value.replace_all_uses_with(stored, delete_user_cb=lambda user: user is not stored)


def _is_worth_storing(value: fx.Node) -> bool:
    """Tell whether a value is computed, and is no reduction (always stored), no scalar, and not stored already."""
    return (
        value.op == "call_function"
        and value.target is not torch.ops.prims.inductor_force_stride_order.default
        and _elements(value) > 1
        and all(_elements(used) <= _elements(value) for used in value.all_input_nodes)
        and 0 not in value.meta["val"].stride()
    )


def _is_rounding(node: fx.Node) -> bool:
    if node.target is not torch.ops.aten._to_copy.default or not node.all_input_nodes:  # constants have no inputs
        return False
    before, after = node.all_input_nodes[0].meta["val"].dtype, node.meta["val"].dtype
    return bool(before.is_floating_point and after.is_floating_point and before != after)


def _elements(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.numel() if isinstance(value, Tensor) else 0


def _is_view(node: fx.Node) -> bool:
    """Tell whether a node is a view of another value."""
    if node.op != "call_function":
        return False
    return node.target is operator.getitem or bool(getattr(node.target, "is_view", False))


def _views(node: fx.Node) -> Iterator[fx.Node]:
    """Yield the node, the node it is a view of, and so on."""
    yield node
    while _is_view(node):
        node = node.all_input_nodes[0]
        yield node


def _source(node: fx.Node) -> fx.Node:
    """Return the value at the end of a chain of views."""
    return list(_views(node))[-1]


def _smallest(node: fx.Node) -> int:
    """Return the largest number of different elements that a view can have."""
    return min(_elements(view) or _elements(node) for view in _views(node))


@contextlib.contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Turn off automatic garbage collection between steps; evaluations collect young objects.

    Compiling leaves so many objects behind that scanning them repeatedly takes longer than some steps.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@functools.cache
def compiler_problem(device_type: str) -> str | None:
    """Compile a tiny kernel; return the reason why nothing can be compiled here, or None if it can.

    A kernel that was compiled on this machine before is not compiled again.
    """
    open_cache()
    problem: str | None = None

    def compiles() -> bool:
        nonlocal problem
        try:
            _compile(_tiny, [torch.ones(16, device=device_type)])
        except Exception as error:  # any error of the tool chain: no compiler, no headers, no writable cache
            problem = first_line(error)
        return problem is None

    return None if passes(f"a kernel for {device_type}", compiles) else problem


def warm_up() -> None:
    """Do in this process what its first compilation would do, so that processes that are forked from it need not."""
    _compile(_tiny, [torch.ones(16)])


def _tiny(x: Tensor) -> list[Tensor]:
    return [x * 2 + 1]


def load_cpp(source: str) -> ctypes.CDLL:
    """Compile C++ for this machine's vector units, or load the library from the cache.

    Raises:
        Exception: any error of the tool chain.
    """
    open_cache()
    verify_vector_units()
    remember_vector_units()
    try:
        return _load_cpp(source)
    except Exception:
        return in_a_fresh_cache(lambda: _load_cpp(source))


def _load_cpp(source: str) -> ctypes.CDLL:
    from torch._inductor.codecache import CppCodeCache  # here, because it takes a second

    return cast(ctypes.CDLL, CppCodeCache.load(source, needs_vec_isa=True))
