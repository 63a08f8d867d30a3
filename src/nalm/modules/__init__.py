"""Neural arithmetic modules: plain ``torch.nn.Module`` layers that depend on torch alone.

The public names stand in ``__init__.pyi``; the file that has a name is imported when the name is first used.
"""

import lazy_loader

from nalm.modules.units import MODULES
from nalm.registry import names_in_stub

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs=names_in_stub(__file__) | {"units": [*MODULES, "MODULES"]}
)
