"""Ensembles: a run is the same whatever trains beside it, compiled or eager."""

import gc
import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch._inductor.inductor_prims
from tests.training.histories import errors
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from nalm.experiments.catalog import default_recipe, load_experiment
from nalm.experiments.index import experiment_names
from nalm.log import warnings_given
from nalm.modules import MODULES
from nalm.spec.recipe import Recipe
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.trainer import make_ensemble
from nalm.training.compiling import Compiled, _store_reused_values
from nalm.training.ensemble.loop import Ensemble
from nalm.training.history import History

Runs = list[tuple[SubsetTask, int]]
Array = npt.NDArray[np.float64]

RANGES: list[tuple[list[float], list[float]]] = [([1, 2], [2, 6]), ([-2, 2], [2, 6]), ([10, 20], [20, 40])]
TASKS = [SubsetTask(operation="div", train=train, test=test) for train, test in RANGES]
NINE_RUNS: Runs = [(task, seed) for task in TASKS for seed in range(3)]


def every_module(*quick: str) -> pytest.MarkDecorator:
    """Parametrize a test over every module, and mark all but some as slow."""
    names = [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in MODULES]
    return pytest.mark.parametrize("module", names)


def recipe(module: str, iterations: int = 40, /, **changes: Any) -> Recipe:
    fields = default_recipe(module) | {"iterations": iterations, "evaluate_every": 20} | changes
    return Recipe.model_validate(fields)


def final_parameters(history: History) -> dict[str, Array]:
    return history.parameters[-1]


class Explosive(nn.Module):
    """Overflows float32 on large inputs, and only there."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(out_features, in_features))

    def forward(self, x: Tensor) -> Tensor:
        return (1e18 * x.unsqueeze(-2) * self.weight).sum(-1)


class Normalized(nn.Module):
    """Keeps statistics of its batches, which cannot be vectorized."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm1d(in_features)
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(self.normalize(x))
        return result


class Deciding(nn.Module):
    """Looks at a value, which cannot be vectorized either, and drops inputs at random."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        scale = 2.0 if self.linear.bias.sum().item() > 0 else 1.0
        result: Tensor = scale * self.linear(nn.functional.dropout(x, 0.5, self.training))
        return result


class Counting(nn.Module):
    """Can be vectorized, but counts its calls, which a compiled program would not."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        result: Tensor = self.linear(x) / self.calls
        return result


class Plain(nn.Module):
    """Anybody's module: a size and another, and a forward."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(x)
        return result


@torch.library.custom_op("nalm_tests::double", mutates_args=())
def double(x: Tensor) -> Tensor:
    return 2 * x


double.register_autograd(lambda ctx, gradient: 2 * gradient)
double.register_vmap(lambda info, dims, x: (double(x), dims[0]))


class Opaque(nn.Module):
    """Can be vectorized, but not compiled: nobody told how large the results of its operation are."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(double(x))
        return result


def own(module: type[nn.Module]) -> str:
    """Return the import path of a module in this file, which pytest imports under its own name."""
    sys.modules.setdefault("test_ensemble_modules", sys.modules[__name__])
    return f"test_ensemble_modules:{module.__name__}"


@every_module("Linear", "NALU", "NMU", "RealNPU", "NRU", "NMRU")
def test_a_run_is_the_same_alone_in_company_and_in_any_order(module: str) -> None:
    together = make_ensemble(recipe(module), NINE_RUNS, compiled=False).train()
    shuffled = random.Random(0).sample(range(len(NINE_RUNS)), len(NINE_RUNS))
    reordered = make_ensemble(recipe(module), [NINE_RUNS[index] for index in shuffled], compiled=False).train()
    np.testing.assert_array_equal(errors(together)[:, :, shuffled], errors(reordered))
    for index in (0, 4, 8):
        alone = make_ensemble(recipe(module), [NINE_RUNS[index]], compiled=False).train()
        np.testing.assert_array_equal(errors(together)[:, :, [index]], errors(alone))


def test_a_shard_trained_again_is_bit_equal() -> None:
    first, second = (make_ensemble(recipe("NMRU"), NINE_RUNS, compiled=False).train() for _ in range(2))
    np.testing.assert_array_equal(errors(first), errors(second))
    np.testing.assert_array_equal(final_parameters(first)["weight"], final_parameters(second)["weight"])


def test_a_diverged_model_is_frozen_and_leaves_the_others_untouched() -> None:
    calm = SubsetTask(operation="div", train=[1, 2], test=[2, 6])
    stormy = SubsetTask(operation="div", train=[100, 200], test=[200, 600])
    explosive = recipe(own(Explosive))
    history = make_ensemble(explosive, [(calm, 0), (stormy, 0), (calm, 1)], compiled=False).train()
    undisturbed = make_ensemble(explosive, [(calm, 0), (calm, 1)], compiled=False).train()
    assert history.diverged_at.tolist() == [-1, 1, -1]
    np.testing.assert_array_equal(errors(history)[:, :, [0, 2]], errors(undisturbed))
    assert np.isnan(final_parameters(history)["weight"][1]).all()


def test_a_planted_nan_is_recorded_and_leaves_the_others_untouched() -> None:
    disturbed = make_ensemble(recipe("RealNPU"), NINE_RUNS, compiled=False)
    disturbed.stack.state.parameters["weight"][4, 0, 0] = float("nan")
    history, undisturbed = disturbed.train(), make_ensemble(recipe("RealNPU"), NINE_RUNS, compiled=False).train()
    others = [index for index in range(9) if index != 4]
    assert (history.diverged_at >= 0).tolist() == [index == 4 for index in range(9)]
    np.testing.assert_array_equal(errors(history)[:, :, others], errors(undisturbed)[:, :, others])


def test_gradients_are_clipped_for_each_model_by_its_own_norm() -> None:
    limit = 1e-3
    ensemble = make_ensemble(
        recipe("NMRU", 0, optimizer="sgd", learning_rate=1.0, regularizers={}, clip_gradient_norm=limit),
        NINE_RUNS,
        compiled=False,
    )
    before = ensemble.stack.state.parameters["weight"].clone()
    steps = (ensemble.train().parameters[-1]["weight"] - before[:9].numpy()).reshape(9, -1)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), limit, rtol=1e-3)


def test_a_clip_by_value_bounds_every_component_of_a_gradient() -> None:
    changes: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1.0, "regularizers": {}}
    ensemble = make_ensemble(
        recipe("NMRU", 0, clip_gradient_norm=None, clip_gradient_value=1e-3, **changes), NINE_RUNS, compiled=False
    )
    before = ensemble.stack.state.parameters["weight"].clone()
    steps = np.abs(ensemble.train().parameters[-1]["weight"] - before[:9].numpy())
    assert 0.9e-3 < steps.max() < 1.001e-3


def test_n_iterations_make_n_plus_one_updates_and_the_evaluations_before_them() -> None:
    history = make_ensemble(recipe("NMRU", 50), NINE_RUNS, compiled=False).train()
    assert history.iterations == [0, 20, 40]
    assert len(history.criteria) == len(history.penalties) == 3
    longer = make_ensemble(recipe("NMRU", 60), NINE_RUNS, compiled=False).train()
    assert longer.iterations == [0, 20, 40, 60]
    np.testing.assert_array_equal(errors(longer)[:3], errors(history))
    last_evaluated, after_last_update = longer.parameters[-2:]
    assert (last_evaluated["weight"] != after_last_update["weight"]).any()


def test_draws_do_not_depend_on_how_many_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = make_ensemble(recipe("NMRU"), NINE_RUNS, compiled=False).train()
    monkeypatch.setattr("nalm.training.ensemble.loop.DRAWN_AT_ONCE", 1)
    np.testing.assert_array_equal(
        errors(usual), errors(make_ensemble(recipe("NMRU"), NINE_RUNS, compiled=False).train())
    )


def test_tasks_of_different_sizes_do_not_train_together() -> None:
    other = SubsetTask(operation="div", train=[1, 2], test=[2, 6], input_size=3)
    with pytest.raises(ValueError, match="same input layout"):
        make_ensemble(recipe("NMRU"), [(TASKS[0], 0), (other, 0)], compiled=False)


def test_a_run_does_not_depend_on_runs_of_other_operations() -> None:
    other = SubsetTask(operation="mul", train=[1, 2], test=[2, 6])
    together = make_ensemble(recipe("NMRU"), [(TASKS[0], 0), (other, 0)], compiled=False).train()
    for run, task in enumerate((TASKS[0], other)):
        alone = make_ensemble(recipe("NMRU"), [(task, 0)], compiled=False).train()
        np.testing.assert_array_equal(errors(together)[..., [run]], errors(alone))


@pytest.mark.parametrize("module", [Normalized, Deciding])
def test_a_module_that_cannot_be_vectorized_trains_one_by_one_and_independently(
    module: type[nn.Module], caplog: pytest.LogCaptureFixture
) -> None:
    history = make_ensemble(recipe(own(module), learning_rate=1e-2), NINE_RUNS).train()
    alone = make_ensemble(recipe(own(module), learning_rate=1e-2), [NINE_RUNS[4]]).train()
    np.testing.assert_array_equal(errors(history)[:, :, [4]], errors(alone))
    assert errors(history)[-1, 0, 0] < errors(history)[0, 0, 0]
    warnings = [message for message in caplog.messages if "cannot be vectorized" in message]
    assert len(warnings) == 1
    assert module.__name__ in warnings[0]


def test_a_module_without_reset_starts_as_constructed_from_the_seed() -> None:
    ensemble = make_ensemble(recipe(own(Plain)), [(TASKS[0], 7)], compiled=False)
    torch.manual_seed(7)
    expected = nn.Linear(2, 1)
    torch.testing.assert_close(ensemble.stack.state.parameters["linear.weight"][0], expected.weight, rtol=0, atol=0)


def test_training_leaves_torchs_generator_and_default_precision_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    make_ensemble(recipe("NMRU", precision="float64"), NINE_RUNS, compiled=False).train()
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_default_dtype() == torch.float32


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the graphs that are compiled during a test."""
    found: list[Any] = []
    compile_graph = torch._inductor.compile

    def compile_and_count(*args: Any) -> Any:
        found.append(args)
        return compile_graph(*args)

    monkeypatch.setattr("torch._inductor.compile", compile_and_count)
    return found


@pytest.mark.compiled
@every_module("NMRU")
def test_compiled_training_is_eager_training_within_rounding(module: str) -> None:
    changes = {"NRU": {"learning_rate": 1e-2}, "DMU": {"learning_rate": 1e-3}}.get(module, {})  # rounding grows faster
    compiled = make_ensemble(recipe(module, 100, **changes), NINE_RUNS, compiled=True)
    eager = make_ensemble(recipe(module, 100, **changes), NINE_RUNS, compiled=False)
    assert compiled.program.compiled
    # A DMU starts with sums of 0, whose sign is tanh(10^4 times the sum): it amplifies rounding.
    tolerance = 1e-2 if module == "DMU" else 1e-4
    # Errors below 1e-9 are rounding: their relative size means nothing.
    np.testing.assert_allclose(errors(compiled.train()), errors(eager.train()), rtol=tolerance, atol=1e-9)


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["pcc", "mape", "pcc_then_mse", "log_magnitude", "symlog", "huber"])
def test_every_criterion_is_compiled(criterion: str) -> None:
    ensemble = make_ensemble(recipe("NMRU", 3, criterion=criterion), NINE_RUNS, compiled=True)
    ensemble.train()
    assert ensemble.program.compiled
    assert warnings_given() == []


@cache
def _structures() -> dict[str, list[tuple[Recipe, SubsetTask]]]:
    """Return a recipe and a task for every structure that the catalog compiles, by the first experiment with it."""
    seen: set[str] = set()
    found: dict[str, list[tuple[Recipe, SubsetTask]]] = {name: [] for name in experiment_names()}
    for experiment in map(load_experiment, experiment_names()):
        for variant in experiment.variants.values():
            for task in experiment.tasks.values():
                if not isinstance(task, SubsetTask):
                    continue  # no ensemble learns it
                module = variant.model_dump_json(include={"module", "second"})
                # Of networks, which are many, only one shape.
                shape = task.group if variant.second is None else None
                parts = (module, variant.criterion, variant.optimizer, shape)
                clipping = (variant.clip_gradient_norm is None, variant.clip_gradient_value is None)
                structure = repr((parts, clipping, sorted(variant.regularizers)))
                if structure not in seen:
                    seen.add(structure)
                    found[experiment.name].append((variant, task))
    return found


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.parametrize("name", experiment_names())
def test_every_recipe_of_the_catalog_is_compiled(name: str) -> None:
    for variant, task in _structures()[name]:
        ensemble = make_ensemble(variant.model_copy(update={"iterations": 3}), [(task, seed) for seed in range(3)])
        ensemble.train()
        assert ensemble.program.compiled
    assert warnings_given() == []


@pytest.mark.compiled
@pytest.mark.slow
def test_recipes_that_differ_in_numbers_share_their_compiled_graphs(graphs: list[Any]) -> None:
    for rate in (0.1, 0.5):
        make_ensemble(recipe(own(Plain), 3, batch_size=16, learning_rate=rate), NINE_RUNS, compiled=True).train()
        assert len(graphs) == 2, "one step and one evaluation are compiled"
    terms = {"l2": {"coefficient": 1e-3}}
    make_ensemble(recipe(own(Plain), 3, batch_size=16, regularizers=terms), NINE_RUNS, compiled=True).train()
    assert len(graphs) == 4


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.parametrize("module", [{"name": "NMU", "noise": [1, 5]}, {"name": "NALU", "gate": "gumbel"}])
def test_compiled_runs_with_noise_train_to_the_end_as_eager_ones(
    module: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nalm.training.ensemble.loop.DRAWN_AT_ONCE", 7 * 3 * 2 * 128)  # 7 iterations at a time, then 3
    compiled = make_ensemble(recipe(module["name"], 44, module=module), NINE_RUNS, compiled=True)
    eager = make_ensemble(recipe(module["name"], 44, module=module), NINE_RUNS, compiled=False)
    np.testing.assert_allclose(errors(compiled.train()), errors(eager.train()), rtol=1e-4, atol=1e-9)
    assert compiled.program.compiled


@pytest.mark.compiled
def test_a_module_that_counts_its_calls_trains_eagerly_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ensemble = make_ensemble(recipe(own(Counting), 3), NINE_RUNS, compiled=True)
    ensemble.train()
    assert not ensemble.program.compiled
    assert "\n".join(caplog.messages).count("every call computes something different") == 1


@pytest.mark.compiled
def test_what_is_interrupted_while_it_is_compiled_is_compiled_the_next_time(
    graphs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = Compiled(lambda x: 2 * x, "a function", compiled=True)

    def interrupt(*args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("torch._inductor.compile", interrupt)
        with pytest.raises(KeyboardInterrupt):
            function(torch.ones(3))
    assert function(torch.ones(3)).tolist() == [2, 2, 2]
    assert len(graphs) == 1


def test_values_of_a_row_are_stored_before_its_inputs_use_them() -> None:
    def step(x: Tensor, row: Tensor) -> list[Tensor]:
        return [(x * row.cos().unsqueeze(-1)).sum(0)]

    graph = make_fx(step, tracing_mode="fake")(torch.ones(8, 3), torch.ones(8))
    _store_reused_values(graph)
    (stored,) = [node for node in graph.graph.nodes if "force_stride_order" in str(node.target)]
    assert stored.args[0].target is torch.ops.aten.cos.default


def test_garbage_is_collected_as_before_when_training_ends_in_an_error() -> None:
    def fail(ensemble: Ensemble) -> None:
        assert not gc.isenabled()
        raise RuntimeError("the disk is full")

    ensemble = make_ensemble(recipe(own(Plain), 3), NINE_RUNS, compiled=True)
    with pytest.raises(RuntimeError, match="the disk is full"):
        ensemble.train(fail)
    assert gc.isenabled()


@pytest.mark.compiled
@every_module("NMRU")
def test_a_compiled_run_is_bit_equal_in_any_company(module: str) -> None:
    company = [(task, seed) for task in TASKS for seed in range(25)]
    shuffled = random.Random(1).sample(range(len(company)), len(company))
    many = make_ensemble(recipe(module), [company[index] for index in shuffled], compiled=True).train()
    nine = make_ensemble(recipe(module), NINE_RUNS, compiled=True).train()
    alone = make_ensemble(recipe(module), [NINE_RUNS[4]], compiled=True).train()
    places = [shuffled.index(company.index(run)) for run in NINE_RUNS]
    np.testing.assert_array_equal(errors(many)[:, :, places], errors(nine))
    np.testing.assert_array_equal(errors(nine)[:, :, [4]], errors(alone))


@pytest.mark.compiled
def test_a_module_that_cannot_be_compiled_trains_eagerly_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = (make_ensemble(recipe(own(Opaque), 3), NINE_RUNS, compiled=wanted) for wanted in (True, False))
    np.testing.assert_array_equal(errors(first.train()), errors(second.train()))
    assert not first.program.compiled
    assert "\n".join(caplog.messages).count("cannot be compiled") == 1


def test_without_a_compiler_runs_are_trained_eagerly_and_one_line_says_so(tmp_path: Path) -> None:
    script = (
        "from nalm.tasks.subsets.trainer import make_ensemble\n"
        "from nalm.spec.recipe import Recipe\n"
        "from nalm.tasks.subsets.task import SubsetTask\n"
        "task = SubsetTask(operation='div', train=[1, 2], test=[2, 6])\n"
        "for seed in (1, 2):\n"
        "    recipe = Recipe(module='NMRU', iterations=2, learning_rate=seed)\n"
        "    print(make_ensemble(recipe, [(task, seed)] * seed).train().final_test_errors[0])\n"
    )
    environment = {
        "PATH": "/nowhere",
        "CXX": "/nowhere/g++",
        "HOME": str(tmp_path),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) == 2
    assert done.stderr.count("cannot compile here") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_the_same_runs() -> None:
    on_gpu = make_ensemble(recipe("NMRU"), NINE_RUNS, device="cuda", compiled=False).train()
    on_cpu = make_ensemble(recipe("NMRU"), NINE_RUNS, compiled=False).train()
    np.testing.assert_allclose(errors(on_gpu), errors(on_cpu), rtol=1e-3)
