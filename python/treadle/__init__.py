"""Treadle: an ahead-of-time compiler for language models.

`compile`, `convert`, `random_weights` and `score` are functions of modules of the same name. They are imported here,
not on demand, because the first import of a submodule binds its name in the package: a later one would hide the
function. `compile` loads libTreadle.so when it is called.
"""

from treadle import om, reference
from treadle._capi import Status, TreadleError
from treadle.chat import Chat
from treadle.compile import CompileError, compile
from treadle.convert import convert
from treadle.model import Model, load
from treadle.random_weights import random_weights
from treadle.score import score
from treadle.session import Session

__all__ = [
    "Chat",
    "CompileError",
    "Model",
    "Session",
    "Status",
    "TreadleError",
    "compile",
    "convert",
    "load",
    "om",
    "random_weights",
    "reference",
    "score",
]
