"""Normalform turns repeated text into foreign keys in a live PostgreSQL database.

The commands are functions of :mod:`normalform.api`; errors are in :mod:`normalform.errors`.
"""

from importlib.metadata import version

__version__ = version("normalform")
__all__ = ["__version__"]
