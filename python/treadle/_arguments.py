"""What users give, checked and in the form that the C interface takes. Wrong values raise `TreadleError`, things of
another kind `TypeError`."""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from treadle import _capi
from treadle._capi import Status, TreadleError

Ids = Sequence[int] | NDArray[np.integer]


def integer(name: str, value: SupportsIndex) -> int:
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {value!r:.60}")
    return value.__index__()


def int64(name: str, value: SupportsIndex) -> int:
    number = integer(name, value)
    if not -(2**63) <= number < 2**63:
        raise TreadleError(Status.INVALID_ARGUMENT, f"{name}: expected an integer of 64 bits, got {number}")
    return number


def choice(name: str, value: str, choices: Mapping[str, int]) -> int:
    if value not in choices:
        raise TreadleError(Status.INVALID_ARGUMENT, f"{name}: expected {', '.join(choices)}, got {value!r:.60}")
    return choices[value]


def _sequence(name: str, value: object) -> NDArray[Any]:
    array = np.asarray(value)
    if array.ndim != 1:
        raise TypeError(f"{name}: expected one dimension, got {array.ndim}")
    return array


def token_ids(ids: Ids, token_count: int) -> NDArray[np.int32]:
    array = _sequence("ids", ids)
    if not array.size:
        return np.empty(0, np.int32)
    # Numbers of more than 64 bits come as objects.
    if array.dtype.kind not in "iu" and not all(type(token) is int for token in array):
        raise TypeError(f"ids: expected integers, got an array of {array.dtype}")
    for index in np.flatnonzero((array < 0) | (array >= token_count)):
        raise TreadleError(
            Status.INVALID_ARGUMENT,
            f"expects token ids from 0 to {token_count - 1}, got {array[index]} at index {index}",
        )
    return np.ascontiguousarray(array, np.int32)


def token_mask(mask: ArrayLike, count: int) -> NDArray[np.uint8]:
    array = _sequence("mask", mask)
    if array.dtype.kind not in "biu" and array.size:
        raise TypeError(f"mask: expected booleans or integers, got an array of {array.dtype}")
    if len(array) != count:
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects a mask of {count} tokens, got {len(array)}")
    for index in np.flatnonzero((array != 0) & (array != 1)):
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects a mask of 0 and 1, got {array[index]} at index {index}")
    return np.ascontiguousarray(array, np.uint8)


def bytes_of(name: str, value: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
    """The bytes where they lie."""
    try:
        return np.frombuffer(memoryview(value).cast("B"), np.uint8)
    except TypeError:
        raise TypeError(f"{name}: expected contiguous bytes, got {type(value).__name__}") from None


def sample_params(temperature: float, top_k: int, top_p: float, random: ctypes.c_uint64) -> _capi.SampleParams:
    if not 0 <= integer("top_k", top_k) < 2**31:
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects a top_k that is not negative, got {top_k}")
    return _capi.SampleParams(temperature=temperature, top_k=top_k, top_p=top_p, random=ctypes.pointer(random))
