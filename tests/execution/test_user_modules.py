"""Anybody's module takes part by its import path."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import nalm
from nalm.analysis.results import Results
from nalm.errors import NalmError

WriteYaml = Callable[..., Path]
UserModule = Callable[[str, str], None]

PLAIN = """
import torch
from torch import nn

class MyUnit(nn.Module):
    def __init__(self, in_features, out_features, power=-1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(out_features, in_features))
        self.power = power

    def forward(self, x):
        return ((x[..., :1] * x[..., 1:] ** self.power).unsqueeze(-2) * self.scale).mean(-1)
"""

NORMALIZED = """
from torch import nn

class MyUnit(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.norm = nn.BatchNorm1d(in_features)
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.linear(self.norm(x))
"""

ITEM = """
from torch import nn

class MyUnit(nn.Linear):
    def forward(self, x):
        return super().forward(x) * (2.0 if x.mean().item() > 0 else 1.0)
"""

DATA_DEPENDENT = """
from torch import nn

class MyUnit(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else -super().forward(x)
"""


@pytest.fixture
def train(write_yaml: WriteYaml, user_module: UserModule, tmp_path: Path) -> Callable[[str, str], Results]:
    """Train a user's module beside NMRU, eagerly and in this process."""

    def call(name: str, source: str) -> Results:
        user_module(name, source)
        recipe = f"{{module: '{name}:MyUnit', learning_rate: 1e-2}}"
        path = write_yaml(
            ranges="ranges: [{train: [1, 2], test: [2, 6]}, {train: {union: [[-2, -1], [1, 2]]}, test: [2, 6]}]",
            variants=f"variants: [{{label: mine, recipe: {recipe}}}, {{label: NMRU, recipe: {{base: nmru}}}}]",
        )
        nalm.run(str(path), tmp_path / "results", workers=0, compiled=False)
        return nalm.load(tmp_path / "results")

    return call


Train = Callable[[str, str], Results]


def test_a_plain_module_trains_like_any_other(train: Train, caplog: pytest.LogCaptureFixture) -> None:
    results = train("plain_layers", PLAIN)
    runs = results.runs()
    mine = runs[runs["variant"] == "mine"]
    assert results.missing == 0
    assert len(mine) == 4
    assert mine["sparsity_error"].isna().all()  # a plain module does not know any
    history = results.run("mine", "U[1,2)", 0).history()
    assert history["validation_error"].is_monotonic_decreasing
    assert list(history.columns[-2:]) == ["scale.0", "scale.1"]
    assert caplog.messages == []


def test_options_of_a_users_module_are_part_of_its_recipe(
    write_yaml: WriteYaml, user_module: UserModule, tmp_path: Path
) -> None:
    user_module("optional_layers", PLAIN)
    variants = "variants: [{label: A, recipe: {module: {name: 'optional_layers:MyUnit', power: 1.0}}}]"
    nalm.run(str(write_yaml(variants=variants)), tmp_path / "results", workers=0, compiled=False)
    assert nalm.load(tmp_path / "results").module("A", "U[1,2)", 0).power == 1.0


def test_a_layer_of_torch_trains(write_yaml: WriteYaml, tmp_path: Path) -> None:
    variants = "variants: [{label: A, recipe: {module: 'torch.nn:Linear'}}]"
    nalm.run(str(write_yaml(variants=variants)), tmp_path / "results", workers=0, compiled=False)
    assert isinstance(nalm.load(tmp_path / "results").module("A", "U[1,2)", 0), torch.nn.Linear)


@pytest.mark.parametrize(
    ("name", "source"), [("normalized_layers", NORMALIZED), ("item_layers", ITEM), ("branching_layers", DATA_DEPENDENT)]
)
def test_a_module_that_cannot_be_vectorized_trains_one_by_one_and_a_warning_says_so_once(
    train: Train, caplog: pytest.LogCaptureFixture, name: str, source: str
) -> None:
    results = train(name, source)
    runs = results.runs()
    assert results.missing == 0
    assert runs["test_error"].notna().all()
    (warning,) = caplog.messages
    assert warning.startswith(f"{name}:MyUnit cannot be vectorized (")
    assert warning.endswith("): its runs train one by one")


def test_a_module_has_the_same_results_one_by_one_and_together(
    write_yaml: WriteYaml, user_module: UserModule, tmp_path: Path
) -> None:
    user_module("together_layers", PLAIN)
    user_module("alone_layers", PLAIN.replace("return ", "return (1 if x.mean().item() < 99 else 0) * "))
    labels = ["together", "alone"]
    listed = ", ".join(f"{{label: {label}, recipe: {{module: '{label}_layers:MyUnit'}}}}" for label in labels)
    nalm.run(str(write_yaml(variants=f"variants: [{listed}]")), tmp_path / "results", workers=0, compiled=False)
    columns = ["validation_error", "test_error", "scale.0", "scale.1"]
    results = nalm.load(tmp_path / "results")
    together, alone = (results.run(label, "U[1,2)", 1).history()[columns].to_numpy() for label in labels)
    # 1e-5: the same float32 arithmetic, summed in another order.
    assert alone == pytest.approx(together, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "source"), [("kept_plain", PLAIN), ("kept_item", ITEM), ("kept_normalized", NORMALIZED)]
)
def test_a_users_trained_module_has_the_error_that_was_stored(
    train: Train, test_rows: Callable[[float, float], tuple[torch.Tensor, torch.Tensor]], name: str, source: str
) -> None:
    trained = train(name, source).run("mine", "U[1,2)", 1)
    x, target = test_rows(2, 6)
    with torch.no_grad():
        error = ((trained.module()(x) - target) ** 2).mean().item()
    assert error == pytest.approx(trained.final_test_error, rel=1e-4)  # sums of 10,000 float32 numbers


@pytest.mark.parametrize(("name", "source"), [("single_plain", PLAIN), ("single_normalized", NORMALIZED)])
def test_a_users_module_trained_on_its_own_has_the_error_that_is_returned(
    user_module: UserModule,
    test_rows: Callable[[float, float], tuple[torch.Tensor, torch.Tensor]],
    name: str,
    source: str,
) -> None:
    user_module(name, source)
    experiment = nalm.single_run(f"{name}:MyUnit", "div").changed({"iterations": 20, "evaluate_every": 10})
    trained = nalm.train_single(experiment, compiled=False)
    x, target = test_rows(2, 6)
    with torch.no_grad():
        error = ((trained.module(x) - target) ** 2).mean().item()
    assert error == pytest.approx(trained.test_error, rel=1e-4)  # sums of 10,000 float32 numbers


def test_a_module_that_raises_in_training_is_reported_in_one_sentence_and_the_others_are_saved(
    write_yaml: WriteYaml, user_module: UserModule, tmp_path: Path
) -> None:
    user_module(
        "raising_layers",
        PLAIN.replace("return ", "if len(x) > 2: raise RuntimeError('no luck today')\n        return "),
    )
    variants = "{label: mine, recipe: {module: 'raising_layers:MyUnit'}}, {label: NMRU, recipe: {base: nmru}}"
    path = write_yaml(variants=f"variants: [{variants}]")
    with pytest.raises(NalmError) as error:
        nalm.run(str(path), tmp_path / "results", workers=0, compiled=False)
    sentence = "1 of 2 shards failed, the others are saved; the first failed with RuntimeError: no luck today"
    assert str(error.value).startswith(sentence)
    results = nalm.load(tmp_path / "results")
    assert set(results.runs()["variant"]) == {"NMRU"}
    assert results.missing == 2


POWER = "self.power = power"
BUFFERED = PLAIN.replace(POWER, f"{POWER}; self.register_buffer('fixed', torch.rand(1))")
FROZEN = PLAIN.replace(POWER, f"{POWER}; self.fixed = nn.Parameter(torch.rand(1), requires_grad=False)")


@pytest.mark.parametrize(("name", "source"), [("buffered_layers", BUFFERED), ("frozen_layers", FROZEN)])
def test_buffers_and_frozen_parameters_depend_on_the_seed_and_stay(train: Train, name: str, source: str) -> None:
    results = train(name, source.replace("return (", "return self.fixed + ("))
    first, second = (results.run("mine", "U[1,2)", seed) for seed in (0, 1))
    values = [trained.module().state_dict()["fixed"].item() for trained in (first, second)]
    assert values[0] != values[1]
    alone = nalm.single_run(f"{name}:MyUnit", "div", seed=1).changed({"iterations": 20, "learning_rate": 1e-2})
    trained = nalm.train_single(alone, compiled=False)
    assert trained.module.state_dict()["fixed"].item() == values[1]
    assert trained.test_error == pytest.approx(second.final_test_error, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("flat_layers", PLAIN.replace("mean(-1)", "mean(-1).mean(-1)"), "maps shape (2, 2) to (2,), expected (2, 1)"),
        ("lost_layers", PLAIN.replace("((x", "(nowhere(x"), "fails on an input of shape (2, 2): NameError"),
    ],
)
def test_a_module_that_does_not_map_inputs_to_outputs_is_refused_before_anything_is_written(
    write_yaml: WriteYaml, user_module: UserModule, tmp_path: Path, name: str, source: str, sentence: str
) -> None:
    user_module(name, source)
    path = write_yaml(variants=f"variants: [{{label: mine, recipe: {{module: '{name}:MyUnit'}}}}]")
    with pytest.raises(NalmError) as error:
        nalm.run(str(path), tmp_path / "results", workers=0, compiled=False)
    assert sentence in str(error.value)
    assert not (tmp_path / "results").exists()


UNIT = """
import torch
from torch import nn

class MyUnit(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(out_features, in_features, dtype=torch.{dtype}))

    def forward(self, x):
        {forward}
"""

REFUSED = {
    "complex": (
        UNIT.format(dtype="complex64", forward="return (x.to(torch.complex64) @ self.weight.T).real"),
        "has parameters of torch.complex64, expected floating-point numbers",
    ),
    "double": (
        UNIT.format(dtype="float64", forward="return (x.double() @ self.weight.T).to(x.dtype)"),
        r"fails on an input of shape \(2, 2\): .*\(its own parameters are torch.float64, the recipe's precision is ",
    ),
    "in_place": (
        UNIT.format(dtype="float32", forward="y = (x @ self.weight.T).exp(); y += 1; return y"),
        r"fails in the backward pass of an input of shape \(2, 2\): RuntimeError: ",
    ),
    "detached": (
        UNIT.format(dtype="float32", forward="return (x @ self.weight.T).detach()"),
        "gives outputs that are detached from its parameters, expected real numbers with a gradient",
    ),
    "changing": (
        UNIT.format(dtype="float32", forward="x.mul_(2); return x @ self.weight.T"),
        "changes its inputs in place, expected them as they were",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_modules_that_cannot_be_trained_are_refused_before_anything_is_written(
    kind: str, train: Train, tmp_path: Path
) -> None:
    source, found = REFUSED[kind]
    with pytest.raises(NalmError, match=f"module 'refused_{kind}:MyUnit' {found}") as caught:
        train(f"refused_{kind}", source)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results").exists()


LAZY = """
from torch import nn

class MyUnit(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.linear = nn.LazyLinear(out_features)

    def forward(self, x):
        return self.linear(x)
"""


def test_lazy_parameters_get_their_shapes_and_train(train: Train) -> None:
    trained = train("lazy_unit", LAZY).trained[0]
    assert trained.parameters()["linear.weight"].shape[1:] == (1, 2)
    assert len(set(trained.parameters()["linear.weight"][:, 0, 0].tolist())) > 2


def test_parameters_of_another_precision_train_in_the_recipes(train: Train) -> None:
    unit = UNIT.format(dtype="float64", forward="return x @ self.weight.T.to(x.dtype)")
    assert train("double_unit", unit).module("mine", "U[1,2)", 0).get_parameter("weight").dtype == torch.float32
