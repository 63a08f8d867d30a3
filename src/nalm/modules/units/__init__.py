"""The modules. Their list is ``__init__.pyi`` in this folder; each is imported when it is first used."""

import lazy_loader

from nalm.registry import LazyMapping, names_in_stub

_FILES = names_in_stub(__file__)
MODULES = LazyMapping({name: f"{__name__}.{file}:{name}" for file, names in _FILES.items() for name in names})
"""Every module of this library by name."""

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_FILES)
