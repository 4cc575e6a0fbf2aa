import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .rope_scaling import Llama3Scaling

Pairing = Literal["half", "interleaved"]
PAIRINGS: tuple[Pairing, ...] = get_args(Pairing)


def rope_turns(
    positions: NDArray[np.integer], head_dim: int, theta: float, scaling: Llama3Scaling | None = None
) -> NDArray[np.uint64]:
    """Angles of rotary position embedding as fractions of a turn in 64-bit fixed point.

    Pair j turns by position * round(frequency / 2π * 2^64) mod 2^64, frequency = theta^(-2j/head_dim), scaled. Whole
    turns fall off exactly, so an angle is as good at position 131,071 as at 1.

    positions (T) -> (T, head_dim / 2)
    """
    frequencies = [theta ** (-2 * j / head_dim) for j in range(head_dim // 2)]
    if scaling:
        frequencies = [scaling.scale(frequency) for frequency in frequencies]
    return angle_turns(positions, frequencies)


def angle_turns(positions: NDArray[np.integer], angles: Sequence[float]) -> NDArray[np.uint64]:
    """The same for any angles per position, of size at most 1.

    positions (T) -> (T, pairs)
    """
    step = [round(angle / math.tau * 2**64) % 2**64 for angle in angles]
    return positions.astype(np.uint64)[:, None] * np.array(step, np.uint64)


def rope(x: NDArray, turns: NDArray[np.uint64], pairing: Pairing = "half", inverse: bool = False) -> NDArray:
    """(a, b) -> (a cos - b sin, b cos + a sin) for each pair of a head (docs/Families/miniaxion.md, RoPE).

    `half` pairs elements j and j + d/2, `interleaved` pairs 2j and 2j + 1. `inverse` turns back: by minus the angle.

    x (T, heads, d), turns (T, d / 2) -> (T, heads, d)
    """
    # Read as signed, a turn is the nearest fraction in [-1/2, 1/2).
    angle = turns.view(np.int64).astype(x.dtype) * (math.tau / 2**64)
    cos, sin = np.cos(angle)[:, None, :], np.sin(-angle if inverse else angle)[:, None, :]
    half = x.shape[-1] // 2
    first, second = {
        "half": (slice(None, half), slice(half, None)),
        "interleaved": (slice(0, None, 2), slice(1, None, 2)),
    }[pairing]
    a, b = x[..., first], x[..., second]
    out = np.empty_like(x)
    out[..., first] = a * cos - b * sin
    out[..., second] = b * cos + a * sin
    return out
