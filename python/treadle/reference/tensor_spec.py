import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class TensorSpec:
    """Shape of a weight, and the normal distribution that gives its sublayer's output O(1) size."""

    shape: tuple[int, ...]
    std: float
    mean: float = 0.0


def has_any(names: Iterable[str], pattern: str) -> bool:
    """Whether a tensor is stored whose whole name the regular expression matches: one stands for all of its kind."""
    return any(map(re.compile(pattern).fullmatch, names))


def parameter_count(specs: Mapping[str, TensorSpec]) -> int:
    """Parameters of a model, a tied matrix once."""
    return sum(prod(spec.shape) for spec in specs.values())
