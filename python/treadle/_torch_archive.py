"""The zip archive that PyTorch 1.6 and later write, opened without trust."""

import zipfile
from math import prod

import numpy as np
from numpy.typing import NDArray

from treadle._safetensors import FILE_TYPES
from treadle._torch_pickle import ELEMENT_BYTES, ConvertError, StorageRef, TensorRef, read_state_dict

MAX_PICKLE_BYTES = 4 << 20
"""Room for 20,000 tensors. Small, since one byte of a pickle can make an object of 64."""
MAX_DIMENSIONS = 8

FLOAT_TYPES = {**FILE_TYPES, "F64": "<f8"}
"""Floating-point element types -> NumPy type; bfloat16 as bits."""


class Checkpoint:
    """The archive: one directory with data.pkl, a member data/<key> for each storage, all uncompressed."""

    def __init__(self, archive: zipfile.ZipFile, file_bytes: int):
        self._archive = archive
        self.file_bytes = file_bytes
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            name = member.filename
            if name in self._members:
                raise ConvertError(f"{name!r:.80}: expected one member of that name, found two")
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise ConvertError(f"{name!r:.80}: expected an uncompressed member, as PyTorch writes it")
            if not 0 <= member.header_offset < file_bytes:
                raise ConvertError(f"{name!r:.80}: expected a member within the file's {file_bytes} bytes")
            self._members[name] = member
        total = sum(member.file_size for member in self._members.values())
        if total > file_bytes:
            raise ConvertError(f"expected members within the file's {file_bytes} bytes, found {total} bytes of them")

        pickles = [name for name in self._members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ConvertError(f"expected one member */data.pkl, found {len(pickles)}")
        self._root = pickles[0].removesuffix("data.pkl")
        if self._member_size("byteorder") is not None and self._read("byteorder") != b"little":
            raise ConvertError("byteorder: expected little")
        self._last: tuple[str, bytes] = ("", b"")

    def state_dict(self) -> dict[str, TensorRef]:
        """The tensors by name, each checked to lie within its storage."""
        size = self._member_size("data.pkl") or 0
        if size > MAX_PICKLE_BYTES:
            raise ConvertError(f"data.pkl: expected at most {MAX_PICKLE_BYTES} bytes, found {size}")
        try:
            tensors = read_state_dict(self._read("data.pkl"))
        except ConvertError as error:
            raise ConvertError(f"data.pkl: {error}") from None
        for name, tensor in tensors.items():
            # __metadata__ is no tensor in a safetensors file.
            if not 0 < len(name) < 256 or not name.isprintable() or name == "__metadata__":
                raise ConvertError(f"data.pkl: expected a tensor's name, found {name!r:.80}")
            if not isinstance(tensor, TensorRef):
                raise ConvertError(f"{name!r}: expected a tensor, found a {type(tensor).__name__}")
            try:
                self._check(tensor)
            except ConvertError as error:
                raise ConvertError(f"{name!r}: {error}") from None
        return tensors

    def elements(self, tensor: TensorRef) -> NDArray:
        """The elements of a floating-point tensor; bfloat16 as bits. Keeps the last storage, so ask in their order."""
        key = f"data/{tensor.storage.key}"
        if self._last[0] != key:
            self._last = (key, self._read(key))
        storage = np.frombuffer(self._last[1], FLOAT_TYPES[tensor.storage.element_type])
        return np.lib.stride_tricks.as_strided(
            storage[tensor.offset :],
            tensor.shape,
            # The stride of a dimension of one element is never taken, and may be any number.
            [stride * storage.itemsize if n > 1 else 0 for n, stride in zip(tensor.shape, tensor.strides)],
            writeable=False,
        )

    def _check(self, tensor: TensorRef) -> None:
        storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
        self._check_storage(storage)
        if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
            raise ConvertError(
                f"expected a shape and strides of at most {MAX_DIMENSIONS} dimensions, "
                f"found {len(shape)} and {len(strides)}"
            )
        if any(not 0 < n < 1 << 63 for n in shape) or any(n < 0 for n in strides) or tensor.offset < 0:
            raise ConvertError(
                f"expected a positive shape, strides and offset not below 0, "
                f"found {list(shape)!r:.80}, {list(strides)!r:.80} and {tensor.offset!r:.40}"
            )
        last = tensor.offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
        if max(last + 1, prod(shape)) > storage.elements:
            raise ConvertError(
                f"expected a view within the {storage.elements} elements of its storage, "
                f"found {prod(shape)!r:.40} elements up to number {last!r:.40}"
            )

    def _check_storage(self, storage: StorageRef) -> None:
        found = self._member_size(f"data/{storage.key}")
        if found is None:
            raise ConvertError(f"expected a member data/{storage.key!s:.80}, found none")
        expected = storage.elements * ELEMENT_BYTES[storage.element_type]
        if found != expected:
            raise ConvertError(f"data/{storage.key!s:.80}: expected {expected} bytes, found {found}")

    def _member_size(self, name: str) -> int | None:
        member = self._members.get(self._root + name)
        return None if member is None else member.file_size

    def _read(self, name: str) -> bytes:
        return self._archive.read(self._members[self._root + name])
