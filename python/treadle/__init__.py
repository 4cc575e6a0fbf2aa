"""Treadle: an ahead-of-time compiler for language models.

`random_weights` is the function of a module of the same name. It is imported here, not on demand, because the first
import of a submodule binds its name in the package: a later one would hide the function.
"""

from treadle import reference
from treadle.random_weights import random_weights

__all__ = ["random_weights", "reference"]
