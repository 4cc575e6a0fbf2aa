from numpy.typing import NDArray

from .sigmoid import sigmoid


def gate_blend(x: NDArray, x0: NDArray, gate: NDArray) -> NDArray:
    """g * x + (1 - g) * x0 with g = sigmoid(gate) (docs/Families/miniaxion.md, Thinking loop).

    x, x0 (..., n), gate () -> (..., n)
    """
    g = sigmoid(gate)
    return g * x + (1 - g) * x0
