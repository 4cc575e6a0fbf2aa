from numpy.typing import NDArray

from .activation import activation


def gpas(x: NDArray, alpha: NDArray) -> NDArray:
    """x (1 - silu(alpha)) (docs/Families/neollm.md, GPAS).

    x (..., n), alpha () -> (..., n)
    """
    return x * (1 - activation("silu", alpha))
