"""Every module in the ensemble: vectorized and one by one, with noise, late regularizers and restarts."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.training.histories import errors

from nalm.log import LOGGER
from nalm.modules import MODULES, ArithmeticModule, build
from nalm.spec.recipe import Recipe, Restart
from nalm.tasks.subsets.task import SubsetTask
from nalm.tasks.subsets.trainer import make_ensemble
from nalm.training.ensemble import programs
from nalm.training.ensemble.step import VectorizedModels
from nalm.training.history import History
from nalm.training.restarts import RestartTracker

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "NAC": [{"base": "golden"}],
    "NACSigma": [{"space": "linear"}],
    "NACNMU": [{"space": "linear"}, {"out_of_bounds": "penalty"}],
    "NALU": [
        {"separate": True, "two_gates": True, "bias": True},
        {"multiplication": "safe"},
        {"multiplication": "trig"},
        {"multiplication": "nmu", "gate": "gumbel"},
        {"gate": "row_gumbel", "two_gates": True},
    ],
    "NAU": [{"init": "beta"}],
    "NMU": [{"noise": [1, 5]}, {"noise": "batch"}, {"normalized": True}],
    "GatedNAUNMU": [{"gate": "gumbel", "bias": True}],
    "NPU": [{"clip": "all"}],
    "NRU": [{"sign": "separate"}, {"trash": True}, {"eps": 1e-7}],
    "NMRU": [{"sign": "none"}, {"sign": "gated"}, {"eps": 1e-7}],
    "MCFC": [{"trash": True}],
    "MulMCFC": [{"sign": "inalu", "trash": True}, {"sign": "real_npu"}, {"eps": 1e-7}],
    "DMU": [{"selector": "sum"}, {"selector": "difference"}, {"heads": True}],
}
"""Options that change what is computed, by module."""
SETTINGS = [(name, options) for name in MODULES for options in [{}, *OPTIONS.get(name, [])]]


def operations(name: str, options: dict[str, Any]) -> list[str]:
    module = build(name, 2, 1, options)
    assert isinstance(module, ArithmeticModule)
    return list(module.operations) or ["add"]


def recipe_of(name: str, options: dict[str, Any], **changes: Any) -> Recipe:
    module = build(name, 2, 1, options)
    assert isinstance(module, ArithmeticModule)
    terms: dict[str, Any] = {term: {"coefficient": 1e-3} for term in module.regularizers(torch.ones(1, 2))}
    fields = {"module": {"name": name, **options}, "regularizers": terms, "iterations": 12, "evaluate_every": 6}
    return Recipe.model_validate(fields | changes)


def runs_of(operation: str, seeds: int = 3) -> list[tuple[SubsetTask, int]]:
    return [(SubsetTask(operation=operation, train=[1, 2], test=[2, 6]), seed) for seed in range(seeds)]


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train runs as if their module could not be vectorized."""

    def train(recipe: Recipe, runs: list[tuple[SubsetTask, int]]) -> History:
        with monkeypatch.context() as patched:
            patched.setattr(programs, "_vectorization_problem", lambda *_: "a test says so")
            patched.setattr(programs, "_PROGRAMS", {})
            patched.setattr(LOGGER, "disabled", True)
            return make_ensemble(recipe, runs, compiled=False).train()

    return train


@pytest.mark.parametrize(
    ("name", "options", "operation"),
    [
        # Of every setting, the first operation is enough for a quick look.
        pytest.param(name, options, operation, marks=pytest.mark.slow if number else ())
        for name, options in SETTINGS
        for number, operation in enumerate(operations(name, options))
    ],
    ids=str,
)
def test_together_it_learns_what_it_learns_one_by_one(
    name: str, options: dict[str, Any], operation: str, one_by_one: Any
) -> None:
    recipe, runs = recipe_of(name, options), runs_of(operation)
    together = make_ensemble(recipe, runs, compiled=False).train()
    apart = one_by_one(recipe, runs)
    # The same operations in another order; a DMU starts with sums of 0, whose sign has a slope of 10^4.
    tolerance = 1e-2 if name == "DMU" else 1e-4
    np.testing.assert_allclose(errors(together), errors(apart), rtol=tolerance, atol=1e-9)
    before, after = together.parameters[0], together.parameters[-1]
    assert any(not np.array_equal(before[parameter], after[parameter]) for parameter in before), "it learns"
    assert np.isfinite(errors(together)[:, 2]).all()


NOISY = [(name, options) for name, options in SETTINGS if "noise" in options or "gumbel" in str(options)]


@pytest.mark.parametrize(("name", "options"), NOISY, ids=str)
def test_noise_is_each_runs_own_whatever_its_company(name: str, options: dict[str, Any]) -> None:
    recipe, runs = recipe_of(name, options), runs_of("mul", 4)
    together = make_ensemble(recipe, runs, compiled=False).train()
    alone = make_ensemble(recipe, [runs[2]], compiled=False).train()
    np.testing.assert_array_equal(errors(together)[:, :, [2]], errors(alone))


def test_noise_goes_on_where_the_initial_weights_ended() -> None:
    recipe, (run,) = recipe_of("NMU", {"noise": [1, 5]}, iterations=0), runs_of("mul", 1)
    ensemble = make_ensemble(recipe, [run], compiled=False)
    torch.manual_seed(run[1])
    module = recipe.module.build(2, 1)
    assert isinstance(module, ArithmeticModule)
    module.reset_parameters()
    expected = torch.rand(recipe.batch_size, 2)
    noise = ensemble._noise(1)
    assert noise is not None
    assert torch.equal(noise[0, 0], expected)


def test_a_late_term_waits_for_its_iteration_and_for_a_low_validation_error() -> None:
    def penalties(**condition: Any) -> list[float]:
        terms = {"saturation": {"coefficient": 1.0} | condition}
        recipe = recipe_of("INALU", {}, regularizers=terms, iterations=3, evaluate_every=1)
        history = make_ensemble(recipe, runs_of("add", 1), compiled=False).train()
        return [float(values[0]) for values in history.penalties]

    always = penalties()
    assert min(always) > 0
    waiting = penalties(after=1)
    assert waiting[:2] == [0, 0]
    assert min(waiting[2:]) > 0
    assert penalties(below=1e-9) == [0, 0, 0, 0]
    assert penalties(below=1e9) == always


def test_each_run_has_its_own_condition() -> None:
    easy, hard = (SubsetTask(operation="add", train=train, test=[2, 6]) for train in ([0.001, 0.002], [100, 200]))
    recipe = recipe_of("NAU", {}, regularizers={"weight": {"coefficient": 1.0, "below": 1.0}}, iterations=0)
    (penalties,) = make_ensemble(recipe, [(easy, 0), (hard, 0)], compiled=False).train().penalties
    assert penalties[0] > 0
    assert penalties[1] == 0


# --- new starts -------------------------------------------------------------------------------------------------


def found(errors_of_run: list[float], rule: Restart, iterations: int, evaluate_every: int = 10) -> list[int]:
    """Return the iterations at which one run is found stuck."""
    stuck = RestartTracker(rule, evaluate_every, 1)
    for iteration in range(iterations):
        measured = [np.array([error]) for error in errors_of_run[: iteration // evaluate_every + 1]]
        stuck.find(iteration, measured)
    return stuck.restarts[0]


def expected(errors_of_run: list[float], rule: Restart, iterations: int, evaluate_every: int = 10) -> list[int]:
    """Apply the rule literally: every iteration appends the latest error to a list."""
    remembered: list[float] = []
    starts = []
    for iteration in range(iterations):
        remembered.append(errors_of_run[iteration // evaluate_every])
        if iteration > 0 and iteration % rule.every == 0 and len(remembered) > rule.history:
            middle = len(remembered) // 2
            earlier, later = np.array(remembered[:middle]), np.array(remembered[middle:])
            if earlier.mean() <= later.mean() + later.std() and later.mean() > rule.above:
                starts.append(iteration)
                remembered = []
    return starts


@pytest.mark.parametrize(
    "series",
    [[5.0] * 40, [0.5] * 40, list(np.linspace(50, 2, 40)), [9.0] * 12 + [0.1] * 28, list(np.geomspace(1e-3, 1e6, 40))],
    ids=["constant", "low", "falling", "solved late", "exploding"],
)
@pytest.mark.parametrize("rule", [Restart(history=50), Restart(every=7, history=33, above=4.0)], ids=["10", "7"])
def test_a_run_is_stuck_when_the_rule_says_so(series: list[float], rule: Restart) -> None:
    assert found(series, rule, 400) == expected(series, rule, 400)


def test_a_stuck_run_starts_again_with_new_weights_and_the_others_go_on() -> None:
    easy, hard = (SubsetTask(operation="mul", train=train, test=[2, 6]) for train in ([0.1, 0.2], [100, 200]))
    rule = {"every": 2, "history": 4, "above": 1.0}
    changes = {"iterations": 12, "evaluate_every": 2, "learning_rate": 1e-6, "regularizers": {}}
    recipe = recipe_of("NAC", {}, reinitialize=rule, **changes)
    history = make_ensemble(recipe, [(easy, 0), (hard, 1), (easy, 2)], compiled=False).train()
    assert history.restarts == [[], [4, 10], []]
    weights = np.stack([values["weight_hat"] for values in history.parameters])
    moved = np.abs(np.diff(weights, axis=0)).max(axis=(2, 3)) > 1e-3
    assert moved[:, 1].tolist() == [False, False, True, False, False, True, False]
    assert not moved[:, [0, 2]].any()
    undisturbed = make_ensemble(
        recipe_of("NAC", {}, **changes), [(easy, 0), (hard, 1), (easy, 2)], compiled=False
    ).train()
    np.testing.assert_array_equal(errors(history)[:, :, [0, 2]], errors(undisturbed)[:, :, [0, 2]])


def test_the_weights_of_a_new_start_come_from_the_runs_own_random_numbers() -> None:
    hard = SubsetTask(operation="mul", train=[100, 200], test=[2, 6])
    recipe = recipe_of(
        "NAC",
        {},
        reinitialize={"every": 1, "history": 1, "above": 0.0},
        regularizers={},
        iterations=2,
        evaluate_every=1,
        learning_rate=1e-12,
    )
    history = make_ensemble(recipe, [(hard, 1), (hard, 2)], compiled=False).train()
    assert history.restarts == [[1], [1]]
    for run, seed in enumerate((1, 2)):
        torch.manual_seed(seed)
        module = recipe.module.build(2, 1)
        assert isinstance(module, ArithmeticModule)
        for _ in range(2):
            module.reset_parameters()
        drawn = module.get_parameter("weight_hat").detach().numpy()
        np.testing.assert_allclose(history.parameters[2]["weight_hat"][run], drawn, atol=1e-4)


def test_the_originals_name_of_a_module_makes_the_same_recipe() -> None:
    ours = Recipe.model_validate({"module": {"name": "NMRU", "sign": "none"}})
    theirs = Recipe.model_validate({"module": "--layer-type NMRU"})
    assert ours == theirs


def test_a_module_with_random_gates_and_a_gate_regularizer_trains_together() -> None:
    terms = {"gate": {"coefficient": 1e-3}}
    recipe = recipe_of("NALU", {"gate": "gumbel"}, regularizers=terms)
    ensemble = make_ensemble(recipe, runs_of("mul"), compiled=False)
    assert isinstance(ensemble.program.models, VectorizedModels)


def test_a_network_of_two_layers_is_not_one_module() -> None:
    with pytest.raises(ValueError, match=r"a network of two layers \(NAU and NMU\), expected one module"):
        Recipe.model_validate({"module": "ReRegualizedLinearNAC --nac-mul mnac"})
