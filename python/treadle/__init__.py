"""Treadle: an ahead-of-time compiler for language models.

`convert`, `random_weights` and `score` are functions of modules of the same name. They are imported here, not on
demand, because the first import of a submodule binds its name in the package: a later one would hide the function.
"""

from treadle import reference
from treadle._capi import Status, TreadleError
from treadle.convert import convert
from treadle.model import Model, Session, load
from treadle.random_weights import random_weights
from treadle.score import score

__all__ = [
    "Model",
    "Session",
    "Status",
    "TreadleError",
    "convert",
    "load",
    "random_weights",
    "reference",
    "score",
]
