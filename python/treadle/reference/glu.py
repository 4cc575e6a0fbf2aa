from numpy.typing import NDArray

from .sigmoid import sigmoid


def glu(gate: NDArray, up: NDArray) -> NDArray:
    """silu(gate) * up with silu(x) = x * sigmoid(x) (docs/Families/miniaxion.md, MLP).

    gate, up (..., n) -> (..., n)
    """
    return gate * sigmoid(gate) * up
