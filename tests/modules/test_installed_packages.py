"""Modules of installed packages are found by the names of their entry points."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from nalm.modules import MODULES, NRU, build, canonical, module_names, resolve

LAYERS = """
from torch import nn


class Scaled(nn.Module):
    def __init__(self, in_features, out_features, *, scale=1.0):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.scale = scale

    def forward(self, x):
        return self.scale * self.linear(x)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs a package ``some_layers`` with a class in it, and the given entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(entry_points: str) -> None:
        (tmp_path / "some_layers.py").write_text(LAYERS)
        information = tmp_path / "something-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: something\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[nalm.modules]\n{entry_points}\n")

    yield write
    sys.modules.pop("some_layers", None)


def test_a_module_of_an_installed_package_is_found_by_its_name(install: Callable[[str], None]) -> None:
    assert "Scaled" not in module_names()
    install("Scaled = some_layers:Scaled")
    assert module_names() == [*MODULES, "Scaled"]
    assert resolve("Scaled").__module__ == "some_layers"
    module = build("Scaled", 3, 2, {"scale": 0.5})
    assert module.scale == 0.5
    assert module(torch.ones(4, 3)).shape == (4, 2)
    assert canonical("Scaled") == ("Scaled", {})


def test_names_of_installed_packages_come_last_and_in_order(install: Callable[[str], None]) -> None:
    install("Zeta = some_layers:Scaled\nAlpha = some_layers:Scaled")
    assert module_names() == [*MODULES, "Alpha", "Zeta"]


def test_an_installed_package_does_not_take_our_names(install: Callable[[str], None]) -> None:
    install("NRU = some_layers:Scaled")
    assert resolve("NRU") is NRU
    assert module_names() == list(MODULES)


def test_an_unknown_name_is_told_those_of_installed_packages_too(install: Callable[[str], None]) -> None:
    install("Scaled = some_layers:Scaled")
    with pytest.raises(
        ValueError,
        match=r"unknown module 'Scald' \(did you mean Scaled\?\), expected one of: .*, Scaled, or an import path",
    ):
        resolve("Scald")


def test_options_of_an_installed_module_are_checked(install: Callable[[str], None]) -> None:
    install("Scaled = some_layers:Scaled")
    with pytest.raises(
        ValueError, match=r"Scaled has no option 'scal' \(did you mean scale\?\), expected one of: scale"
    ):
        build("Scaled", 3, 2, {"scal": 2})


@pytest.mark.parametrize("value", ["some_layers:Missing", "no_such_package:Scaled"])
def test_an_entry_point_that_leads_nowhere_is_an_error_that_names_it(
    install: Callable[[str], None], value: str
) -> None:
    install(f"Broken = {value}")
    assert "Broken" in module_names()
    with pytest.raises(ValueError, match=re.escape(value)):
        resolve("Broken")
