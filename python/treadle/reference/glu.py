from numpy.typing import NDArray

from .activation import Activation, activation


def glu(gate: NDArray, up: NDArray, name: Activation = "silu") -> NDArray:
    """act(gate) * up (docs/Families/miniaxion.md, MLP).

    gate, up (..., n) -> (..., n)
    """
    return activation(name, gate) * up
