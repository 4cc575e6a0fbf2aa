from numpy.typing import NDArray

from .rounding import Storage, round_to


def linear(x: NDArray, weight: NDArray, storage: Storage = "f32") -> NDArray:
    """x · weightᵀ with both operands rounded to `storage`, no bias.

    x (..., in), weight (out, in) -> (..., out)
    """
    return round_to(storage, x) @ round_to(storage, weight).T
