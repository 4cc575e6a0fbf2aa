"""Reading and writing the safetensors container: an 8-byte length, a JSON header, then the tensors back to back.

The safetensors package has no bfloat16 in NumPy and builds a file in memory; neither serves here.
"""

import json
import os
import struct
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from treadle._progress import Progress, ProgressBar
from treadle.reference.rounding import bf16_bits, bf16_values

FILE_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""Type name in a file -> NumPy type of its elements; bfloat16 as bits."""

Entry = tuple[str, tuple[int, ...]]
"""Type name and shape of a tensor."""


def to_file_type(array: NDArray, file_type: str) -> NDArray:
    """The elements as they stand in a file, rounded to nearest."""
    return bf16_bits(array) if file_type == "BF16" else array.astype(FILE_TYPES[file_type])


def save(
    path: str | os.PathLike, entries: Mapping[str, Entry], blocks: Iterable[NDArray], progress: Progress = "off"
) -> None:
    """Writes a file whose tensors are `entries`, their elements the concatenation of `blocks`.

    Blocks are taken and written one at a time. The file appears under its name when it is whole; after an error there
    is none, and an older file of that name is as it was.
    """
    header, end = {}, 0
    for name, (file_type, shape) in entries.items():
        begin, end = end, end + prod(shape) * np.dtype(FILE_TYPES[file_type]).itemsize
        header[name] = {"dtype": file_type, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with ProgressBar(progress) as bar, unfinished.open("xb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for block in blocks:
                file.write(np.ascontiguousarray(block).data)
                bar.update(f"writing {path.name}", file.tell() / (8 + len(text) + end))
            assert file.tell() == 8 + len(text) + end, "the blocks are not those of the entries"
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | os.PathLike) -> dict[str, NDArray[np.float32]]:
    """All tensors of a file as float32. For files of our own making: the compiler is what judges strange ones."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        elements = np.frombuffer(data[begin:end], FILE_TYPES[entry["dtype"]])
        values = bf16_values(elements) if entry["dtype"] == "BF16" else elements.astype(np.float32)
        tensors[name] = values.reshape(entry["shape"])
    return tensors
