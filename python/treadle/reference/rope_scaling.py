import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Llama3Scaling:
    """Rotary frequencies of a context longer than the one first trained for (docs/Families/llama.md, Rotary scaling).

    With wavelength λ = 2π / frequency and the first context L: λ < L / high_freq_factor stays, λ > L / low_freq_factor
    turns slower by `factor`, and between them u = (L / λ - low) / (high - low) blends: u of the former.
    """

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def scale(self, frequency: float) -> float:
        low, high = self.low_freq_factor, self.high_freq_factor
        waves = self.original_max_position_embeddings * frequency / math.tau
        if waves > high:
            return frequency
        if waves < low:
            return frequency / self.factor
        u = (waves - low) / (high - low)
        return (1 - u) * frequency / self.factor + u * frequency


LLAMA_3_2 = Llama3Scaling(32.0, 1.0, 4.0, 8192)
"""As Llama 3.2 stretches 8,192 positions to 131,072."""


def rope_scaling(value: Mapping[str, Any] | None) -> Llama3Scaling | None:
    """The scaling that the value of a config's `rope_scaling` asks for."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"/rope_scaling: expected an object or null, got {value!r}")
    kind = value.get("rope_type")
    if kind == "default":
        return None
    if kind != "llama3":
        raise ValueError(f"/rope_scaling/rope_type: expected llama3 or default, got {kind!r}")
    names = Llama3Scaling.__dataclass_fields__
    for name in names:
        if type(value.get(name)) not in (int, float):
            raise ValueError(f"/rope_scaling/{name}: expected a number, got {value.get(name)!r}")
    return Llama3Scaling(**{name: value[name] for name in names})
