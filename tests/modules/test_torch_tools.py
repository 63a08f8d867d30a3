"""Torch's compiler, vmap, exporter and ONNX compute what the module computes."""

from typing import Any

import pytest
import torch
from tests.modules.helpers import (
    FORWARD,
    REPRESENTATIVES,
    both_modes,
    every_variant,
    inputs_for,
    mostly_slow,
    random_variant,
    scattered,
    width,
    with_noise,
)
from tests.modules.variants import VARIANTS
from torch import Tensor, nn
from torch.export import Dim, export
from torch.func import functional_call, stack_module_state, vmap

from nalm.modules import (
    MODULES,
    ArithmeticModule,
)


@pytest.mark.parametrize("name", mostly_slow(FORWARD))
def test_compiled_in_one_graph_it_trains_the_same(name: str) -> None:
    torch.compiler.reset()
    module = random_variant(name, training=True)
    arguments = with_noise(module, inputs_for(name, 5))
    compiled: Any = torch.compile(module, backend="eager", fullgraph=True)
    ours, theirs = compiled(*arguments), module(*arguments)
    assert torch.equal(ours, theirs)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for result, expected in zip(
        torch.autograd.grad(ours.sum(), parameters, allow_unused=True),
        torch.autograd.grad(theirs.sum(), parameters, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(result, expected)


@both_modes
@every_variant
def test_parameters_may_be_stacked_and_mapped_over(name: str, training: bool) -> None:
    modules = [random_variant(name, training=training, seed=seed) for seed in range(3)]
    arguments = with_noise(modules[0], inputs_for(name, 5))
    parameters, buffers = stack_module_state([*modules])

    def call(parameters: Any, buffers: Any) -> Any:
        return functional_call(modules[0], (parameters, buffers), arguments)

    expected = torch.stack([module(*arguments) for module in modules])
    torch.testing.assert_close(vmap(call)(parameters, buffers), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_an_exported_program_computes_the_same_for_any_number_of_rows(name: str) -> None:
    module = random_variant(name)
    program: Any = export(module, (inputs_for(name, 5),), dynamic_shapes=({0: Dim("rows", min=2)},))
    x = inputs_for(name, 9, seed=1)
    torch.testing.assert_close(program.module()(x), module(x), rtol=1e-13, atol=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
@every_variant
def test_torchscript_is_refused_in_one_sentence_that_names_what_replaces_it(name: str) -> None:
    module = VARIANTS[name](width(name), 1)
    for model in (module, nn.Sequential(module, nn.ReLU())):
        with pytest.raises(ValueError, match=f"^{type(module).__name__}: found a call of torch.jit.script, expected"):
            torch.jit.script(model)


class SideBySide(nn.Module):
    """Many modules with the same inputs: exporting them at once is faster than one by one."""

    def __init__(self, modules: list[ArithmeticModule]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(layer(x) for layer in self.layers)


def evaluated_by_onnx(model: nn.Module, x: Tensor) -> list[Tensor]:
    from onnx.reference import ReferenceEvaluator

    exported = torch.onnx.export(model, (x,), dynamo=True, verbose=False)
    assert exported is not None
    proto = exported.model_proto
    found = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x.numpy()})
    assert isinstance(found, list)
    return [torch.tensor(values) for values in found]


@pytest.fixture(scope="module")
def from_onnx() -> dict[str, tuple[Tensor, Tensor]]:
    """Results of ONNX's reference implementation, and ours, by variant."""
    pytest.importorskip("onnxscript")
    model = SideBySide([random_variant(name).float() for name in REPRESENTATIVES]).eval()
    x = inputs_for("MulMCFC-none", 6).float() * torch.tensor([1, 1, -1])  # both signs
    found = evaluated_by_onnx(model, x)
    return dict(zip(REPRESENTATIVES, zip(found, model(x), strict=True), strict=True))


def test_onnx_is_tried_with_every_class() -> None:
    assert {type(VARIANTS[name](2, 1)).__name__ for name in REPRESENTATIVES} | {"ReLU"} == set(MODULES)


# torch's exporter warns of torch's own deprecated calls.
of_the_exporter = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")


@of_the_exporter
@pytest.mark.slow
@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_an_onnx_model_computes_the_same(from_onnx: dict[str, tuple[Tensor, Tensor]], name: str) -> None:
    found, expected = from_onnx[name]
    assert expected.isfinite().all()
    # Both compute in float32, some twenty roundings.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@of_the_exporter
def test_modules_that_clamp_their_weights_become_onnx_models() -> None:
    pytest.importorskip("onnxscript")
    names = ["NAU-penalty", "NMU-penalty", "NRU-penalty", "NMRU-penalty", "NACNMU-penalty"]
    model = SideBySide([scattered(VARIANTS[name](3, 2)) for name in names]).eval()
    x = inputs_for("NMU", 6).float()
    for name, found, expected in zip(names, evaluated_by_onnx(model, x), model(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, msg=name)
