"""Neural arithmetic logic modules, and a laboratory that trains hundreds of them at once.

What each command does, one function does: ``nalm.run("figure-3", "results")``, ``nalm.load("results").summary()``.
The public names stand in ``__init__.pyi``, each with the module that has it, which is imported when the name is first
used: a person who wants one layer imports :mod:`nalm.modules` and gets torch and nothing else.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
