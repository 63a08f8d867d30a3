"""One class for every extension point: where names are looked up, and what errors say."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nalm.registry import Registry, did_you_mean, import_paths

WriteModule = Callable[[str, str], None]
Install = Callable[[str], None]


def whole(path: str, found: Any) -> None:
    if not isinstance(found, int):
        raise ValueError(f"{path!r} is not a number")


@pytest.fixture
def colours() -> Registry[int]:
    """Make a registry with two built-in names, one of which is imported when it is first used."""
    built_in: dict[str, int | str] = {"red": 1, "green": "somebodys_colours:GREEN"}
    return Registry("colour", "colours", built_in, whole, "mypackage.paints:MINE")


@pytest.fixture
def install(tmp_path: Path, user_module: WriteModule) -> Install:
    """Install a package with entry points for colours."""

    def add(entry_points: str) -> None:
        user_module("somebodys_colours", "GREEN, BLUE, TEXT = 2, 3, 'four'")
        information = tmp_path / "colours-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: colours\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[nalm.colours]\n{entry_points}\n")

    return add


def test_a_built_in_name_finds_its_object(colours: Registry[int]) -> None:
    assert colours["red"] == 1
    assert "red" in colours
    assert list(colours) == colours.names() == ["red", "green"]


def test_a_string_is_imported_when_its_name_is_first_used(colours: Registry[int], user_module: WriteModule) -> None:
    user_module("somebodys_colours", "GREEN = 2")
    assert "green" in colours
    assert "somebodys_colours" not in sys.modules
    assert colours["green"] == 2
    assert "somebodys_colours" in sys.modules
    del sys.modules["somebodys_colours"]
    assert colours["green"] == 2
    assert "somebodys_colours" not in sys.modules


def test_names_of_installed_packages_come_last_and_sorted(colours: Registry[int], install: Install) -> None:
    install("yellow = somebodys_colours:GREEN\nblue = somebodys_colours:BLUE")
    assert colours.names() == ["red", "green", "blue", "yellow"]
    assert "blue" in colours
    assert "somebodys_colours" not in sys.modules
    assert colours["blue"] == 3


def test_an_installed_package_does_not_replace_a_built_in_name(colours: Registry[int], install: Install) -> None:
    install("red = somebodys_colours:BLUE")
    assert colours.names() == ["red", "green"]
    assert colours["red"] == 1


def test_an_import_path_finds_an_object_and_is_not_a_name(colours: Registry[int], user_module: WriteModule) -> None:
    user_module("somebodys_colours", "BLUE = 3")
    assert colours["somebodys_colours:BLUE"] == 3
    assert "somebodys_colours:BLUE" not in colours
    assert colours.check_name("somebodys_colours:BLUE") == "somebodys_colours:BLUE"


def test_import_paths_are_forbidden_within_the_block_and_names_are_not(
    colours: Registry[int], install: Install
) -> None:
    install("blue = somebodys_colours:BLUE")
    with import_paths(False):
        assert (colours["red"], colours["blue"]) == (1, 3)
        with import_paths(True):
            assert colours["somebodys_colours:BLUE"] == 3
        expected = "found colour 'somebodys_colours:BLUE', an import path, whose code would be run: "
        with pytest.raises(ValueError, match=f"{expected}imports are not allowed"):
            colours["somebodys_colours:BLUE"]
    assert colours["somebodys_colours:BLUE"] == 3


@pytest.mark.parametrize("allowed", [True, False])
def test_the_permission_ends_with_the_block_after_an_error(colours: Registry[int], allowed: bool) -> None:
    with pytest.raises(ZeroDivisionError), import_paths(allowed):
        1 / 0  # noqa: B018
    with pytest.raises(ValueError, match="cannot import colour 'no_such_package:BLUE'"):
        colours["no_such_package:BLUE"]


def test_an_unknown_name_is_told_every_name_and_the_closest_one(colours: Registry[int], install: Install) -> None:
    install("blue = somebodys_colours:BLUE")
    with pytest.raises(ValueError, match="unknown colour 'Gren'") as caught:
        colours["Gren"]
    assert str(caught.value) == (
        "found unknown colour 'Gren' (did you mean green?), expected one of: red, green, blue, "
        "or an import path such as mypackage.paints:MINE"
    )
    with pytest.raises(ValueError, match=r"'bleu' \(did you mean blue\?\)"):
        colours.check_name("bleu")


def test_a_name_that_is_close_to_none_gets_no_proposal(colours: Registry[int]) -> None:
    with pytest.raises(ValueError, match="found unknown colour 'xyz', expected one of: red, green, or"):
        colours["xyz"]
    assert did_you_mean("xyz", ["red"]) == ""


@pytest.mark.parametrize("path", ["somebodys_colours:MISSING", "no_such_package:RED", ":RED", "somebodys_colours:"])
def test_a_failed_import_is_an_error_that_names_the_path(
    colours: Registry[int], user_module: WriteModule, path: str
) -> None:
    user_module("somebodys_colours", "BLUE = 3")
    with pytest.raises(ValueError, match=f"cannot import colour '{path}'"):
        colours[path]


def test_a_package_that_fails_while_it_is_imported_is_named_with_its_reason(
    colours: Registry[int], user_module: WriteModule
) -> None:
    user_module("somebodys_colours", "raise KeyError('paint')")
    with pytest.raises(ValueError, match="cannot import colour 'somebodys_colours:RED': 'paint'"):
        colours["somebodys_colours:RED"]


def test_an_entry_point_that_leads_nowhere_is_an_error_that_names_it(colours: Registry[int], install: Install) -> None:
    install("blue = somebodys_colours:MISSING")
    with pytest.raises(ValueError, match="cannot import colour 'somebodys_colours:MISSING'"):
        colours["blue"]


def test_an_object_of_another_kind_is_refused(colours: Registry[int], install: Install) -> None:
    install("text = somebodys_colours:TEXT")
    for name in ("text", "somebodys_colours:TEXT"):
        with pytest.raises(ValueError, match="'somebodys_colours:TEXT' is not a number"):
            colours[name]
