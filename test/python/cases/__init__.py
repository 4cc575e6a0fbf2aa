"""Tiny models of every family, in which every two options meet, with fixed weights and inputs.

A family is a module here with
  FACTORS    the options and their levels, as `pairwise.covering_rows` takes them
  CASES      the models
  LONG       where more than keys and values is remembered: a tiny model with room for 4,096 tokens
  RECURRENT  where tokens write a state that is no row of each: one of CASES
  FURTHER    models that only compiled libraries are tested with: one of a published size, if that is small
  TYPICAL    one of CASES, for tests of what no option changes
  OPTIONS    what `flips` must reach over all cases
  flips      the changes of one option that a case's tensors allow, by option
  deepen     the config with another number of layers
  row_bytes  bytes of all append states for one token, without its id and mask, at `max_loops`
"""

from types import ModuleType

from . import llama, miniaxion, nanohammer, neollm, om
from .case import Case, Flip

FAMILIES: dict[str, ModuleType] = {
    "llama": llama,
    "miniaxion": miniaxion,
    "nanohammer": nanohammer,
    "neollm": neollm,
    "om": om,
}

CASES: list[Case] = [case for family in FAMILIES.values() for case in family.CASES]

__all__ = ["CASES", "FAMILIES", "Case", "Flip"]
