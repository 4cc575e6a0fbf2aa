import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .sigmoid import sigmoid

Activation = Literal["relu", "gelu", "abs", "silu", "sigmoid"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)

_erf = np.vectorize(math.erf, otypes=[np.float64])


def activation(name: Activation, x: NDArray) -> NDArray:
    """A pointwise nonlinearity; gelu is the exact one, x / 2 (1 + erf(x / sqrt 2)).

    x (..., n) -> (..., n)
    """
    if name == "relu":
        return np.maximum(x, 0)
    if name == "gelu":
        return 0.5 * x * (1 + _erf(x / math.sqrt(2)).astype(x.dtype))
    if name == "abs":
        return np.abs(x)
    return x * sigmoid(x) if name == "silu" else sigmoid(x)


def swish(x: NDArray, beta: NDArray) -> NDArray:
    """x sigmoid(beta x)

    x (..., n), beta () -> (..., n)
    """
    return x * sigmoid(beta * x)
