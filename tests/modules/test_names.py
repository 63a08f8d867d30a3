"""Modules by name, by import path, and the errors of both."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nalm.modules import MODULES, NMRU, NRU, RealNPU, build, resolve

UNITS = '''
from torch import nn

NOT_CALLABLE = 3


class Scaled(nn.Module):
    """A module that is no ArithmeticModule."""

    def __init__(self, in_features, out_features, *, scale=1.0):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.scale = scale

    def forward(self, x):
        return self.scale * self.linear(x)


class Swallowing(nn.Module):
    def __init__(self, in_features, out_features, *, depth=1, **rest):
        super().__init__()


class Optionless(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()


def half(in_features, out_features):
    return nn.Linear(in_features, out_features // 2)


def number(in_features, out_features):
    return 3
'''


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Write a Python module with some layers and return its name."""
    package = tmp_path / "some_units"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "layers.py").write_text(UNITS)
    monkeypatch.syspath_prepend(tmp_path)
    yield "some_units.layers"
    for name in ("some_units.layers", "some_units"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "expected"), [("NMRU", NMRU), ("NRU", NRU), ("RealNPU", RealNPU)])
def test_a_name_finds_its_module(name: str, expected: type) -> None:
    assert resolve(name) is expected
    assert type(build(name, 3, 2, {})) is expected


def test_every_registered_module_is_built_with_its_sizes() -> None:
    for name in MODULES:
        assert build(name, 3, 2, {})(torch.ones(5, 3)).shape == (5, 2)


def test_options_reach_the_module() -> None:
    module = build("NMRU", 2, 1, {"sign": "gated", "identity_epsilon": 0.01})
    assert isinstance(module, NMRU)
    assert (module.sign, module.identity_epsilon) == ("gated", 0.01)


def test_an_import_path_finds_a_class(units: str) -> None:
    module = build(f"{units}:Scaled", 2, 3, {"scale": 0.5})
    assert type(module).__name__ == "Scaled"
    assert module.scale == 0.5
    assert module(torch.ones(4, 2)).shape == (4, 3)


def test_an_import_path_may_name_a_function_that_makes_a_module(units: str) -> None:
    assert isinstance(build(f"{units}:half", 2, 4, {}), torch.nn.Linear)


@pytest.mark.parametrize("name", ["nru", "NMUs", "", "nalm.modules.NRU"])
def test_an_unknown_name_is_told_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown module '{name}'.*RealNPU.*NRU, NMRU.*import path"):
        resolve(name)


@pytest.mark.parametrize(
    "name",
    [
        "some_units.missing:Scaled",
        "no_such_package:Scaled",
        "some_units.layers:Missing",
        "some_units.layers:",
        "some_units.layers:NOT_CALLABLE",
        ":Scaled",
        ".layers:Scaled",
    ],
)
def test_an_import_that_fails_is_an_error_that_names_the_path(units: str, name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(name)):
        resolve(name)


def test_a_factory_of_something_else_is_an_error_that_says_what_it_makes(units: str) -> None:
    with pytest.raises(ValueError, match=rf"{units}:number' makes a int, expected a torch\.nn\.Module"):
        build(f"{units}:number", 2, 1, {})


@pytest.mark.parametrize("option", ["sgn", "in_features", "self"])
def test_an_unknown_option_is_told_the_known_ones(option: str) -> None:
    with pytest.raises(
        ValueError, match=f"NMRU has no option '{option}'.*: sign, out_of_bounds, shape, identity_epsilon"
    ):
        build("NMRU", 2, 1, {option: "retrieved"})


def test_a_module_that_swallows_options_still_refuses_those_it_does_not_name(units: str) -> None:
    build(f"{units}:Swallowing", 2, 1, {"depth": 2})
    with pytest.raises(ValueError, match=r"no option 'dpeth' \(did you mean depth\?\), expected one of: depth"):
        build(f"{units}:Swallowing", 2, 1, {"dpeth": 2})


def test_a_module_without_options_says_so(units: str) -> None:
    with pytest.raises(ValueError, match="no option 'scale', expected one of: none"):
        build(f"{units}:Optionless", 2, 1, {"scale": 2})


def test_a_wrong_value_of_an_option_is_told_the_right_ones() -> None:
    with pytest.raises(ValueError, match="NMRU: sign is 'lost', expected one of: retrieved, none, gated"):
        build("NMRU", 2, 1, {"sign": "lost"})
