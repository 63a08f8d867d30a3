"""Every module keeps every promise, with every value of its options."""

import inspect
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from tests.modules.helpers import every_variant_mostly_slow, width
from tests.modules.variants import VARIANTS

from nalm.modules import MODULES
from nalm.testing import check_module


@every_variant_mostly_slow
def test_every_promise_is_kept(name: str) -> None:
    check_module(VARIANTS[name], in_features=width(name))


def test_every_module_and_every_value_of_an_option_is_among_the_variants() -> None:
    given: dict[str, list[dict[str, Any]]] = {name: [] for name in MODULES}
    for build in VARIANTS.values():
        given[type(build(2, 1)).__name__].append(getattr(build, "keywords", {}))
    for name, found in given.items():
        defaults = inspect.signature(MODULES[name]).parameters
        for option, hint in get_type_hints(MODULES[name].__init__).items():
            # A golden NALU has the NALU's options, which are tried there; these four concern no forward pass.
            if (
                name != "GNALU"
                and option not in ("init", "shape", "clip", "attract")
                and (get_origin(hint) is Literal or hint is bool)
            ):
                expected = {False, True} if hint is bool else set(get_args(hint))
                assert {options.get(option, defaults[option].default) for options in found} >= expected, (name, option)
        assert found, name


@pytest.mark.parametrize("name", MODULES)
def test_options_are_given_by_name(name: str) -> None:
    options = [*inspect.signature(MODULES[name]).parameters.values()][2:]
    assert {option.kind for option in options} == {inspect.Parameter.KEYWORD_ONLY}
    assert {"device", "dtype"} <= {option.name for option in options}
