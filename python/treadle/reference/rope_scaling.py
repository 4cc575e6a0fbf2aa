import math
from dataclasses import dataclass

from .config_fields import ConfigFields


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


def rope_scaling(fields: ConfigFields, *kinds: str) -> Llama3Scaling | None:
    """The scaling that a config's `rope_scaling` asks for, whose `rope_type` is one of `kinds`."""
    given = fields.object("rope_scaling")
    if given is None or given.choice("rope_type", *kinds, required=True) == "default":
        return None
    low, high = given.number("low_freq_factor"), given.number("high_freq_factor")
    if low >= high:
        raise ValueError(f"/rope_scaling/high_freq_factor: expected more than low_freq_factor {low:g}, got {high:g}")
    positions = given.integer("original_max_position_embeddings")
    return Llama3Scaling(given.number("factor"), low, high, positions)
