import numpy as np
from numpy.typing import NDArray

from .rounding import Storage, round_to


def linear(
    x: NDArray, weight: NDArray, storage: Storage = "f32", bias: NDArray | None = None, groups: int = 1
) -> NDArray:
    """x · weightᵀ + bias with both operands of the product rounded to `storage`; the bias is added to the sum as it is.

    Each of `groups` equal parts of x meets the one matrix, or its own of a stack; the results lie side by side. The
    bias has an entry per output, or those of one group for all.

    x (..., groups * in), weight (out, in) or (groups, out, in), bias (out) or (groups, out) -> (..., groups * out)
    """
    x, weight = round_to(storage, x), round_to(storage, weight)
    if groups == 1:
        y = x @ weight.reshape(weight.shape[-2:]).T
    else:
        parts = x.reshape(-1, groups, weight.shape[-1]).transpose(1, 0, 2)
        y = (parts @ weight.swapaxes(-1, -2)).transpose(1, 0, 2)
    if bias is not None:
        y = y + bias.reshape(-1) if groups == 1 else y + bias
    return y.reshape(*x.shape[:-1], -1)
