"""Rounding to the types in which a library stores matrices and the operands that meet them."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Storage = Literal["f32", "bf16"]
STORAGES: tuple[Storage, ...] = get_args(Storage)


def bf16_bits(x: NDArray) -> NDArray[np.uint16]:
    """The bfloat16 nearest to each element, ties to even, as its 16 bits. NaN stays NaN.

    A float64 is rounded to float32 first: activations of a library are float32 before they become bfloat16.
    """
    single = np.ascontiguousarray(x, dtype=np.float32)
    bits = single.view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet_nan = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(single), quiet_nan, nearest).astype(np.uint16).reshape(np.shape(x))


def bf16_values(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 values of bfloat16 bits."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def round_bf16(x: NDArray) -> NDArray:
    """`x` rounded to bfloat16, in the type of `x`."""
    return bf16_values(bf16_bits(x)).astype(x.dtype)


def round_to(storage: Storage, x: NDArray) -> NDArray:
    """`x` as it is stored: unchanged for f32."""
    return round_bf16(x) if storage == "bf16" else x
