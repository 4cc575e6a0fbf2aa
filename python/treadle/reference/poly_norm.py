import numpy as np
from numpy.typing import NDArray


def poly_norm(x: NDArray, weight: NDArray, bias: NDArray, eps: float) -> NDArray:
    """w0 n(x^3) + w1 n(x^2) + w2 n(x) + b with n(a) = a / sqrt(mean(a^2) + eps) over the last dimension
    (docs/Families/neollm.md, PolyNorm).

    x (..., n), weight (3), bias () -> (..., n)
    """

    def unit(a: NDArray) -> NDArray:
        return a / np.sqrt(np.mean(a * a, axis=-1, keepdims=True) + eps)

    return weight[0] * unit(x * x * x) + weight[1] * unit(x * x) + weight[2] * unit(x) + bias
