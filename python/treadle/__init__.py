"""Treadle: an ahead-of-time compiler for language models.

`convert` and `random_weights` are functions of modules of the same name. They are imported here, not on demand,
because the first import of a submodule binds its name in the package: a later one would hide the function.
"""

from treadle import reference
from treadle.convert import convert
from treadle.random_weights import random_weights

__all__ = ["convert", "random_weights", "reference"]
