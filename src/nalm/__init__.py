"""Neural arithmetic logic modules, and a laboratory that trains hundreds of them at once."""

__version__ = "0.1.0"
