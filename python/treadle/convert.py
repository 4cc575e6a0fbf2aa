"""A `model.pt` of PyTorch as safetensors, without PyTorch and without running what the file says."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from treadle import _safetensors
from treadle._progress import Progress
from treadle._torch_archive import FLOAT_TYPES, Checkpoint
from treadle._torch_pickle import ELEMENT_BYTES, ConvertError, TensorRef
from treadle.reference import FAMILIES

_LEGACY_PICKLE = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""How files begin that PyTorch before 1.6 wrote: protocol 2 and the number 0x1950a86a20f9469cfc6c."""


def convert(model: str | os.PathLike, out: str | os.PathLike, progress: Progress = "auto") -> list[str]:
    """Writes the floating-point tensors of `model`, a state dict saved by PyTorch 1.6 or later, to the safetensors
    file `out`, under their names.

    float64 becomes float32; tensors of other types are left out. A matrix that a family ties to another is left out
    where both hold the same numbers. Returns a note on each tensor that was left out or changed.

    Raises `ConvertError`, a `ValueError`, on anything else in the file; `out` is then not written.
    """
    try:
        with zipfile.ZipFile(model) as archive:
            return _convert(Checkpoint(archive, os.path.getsize(model)), out, progress)
    except ConvertError as error:
        raise ConvertError(f"{model}: {error}") from None
    except zipfile.BadZipFile as error:
        raise ConvertError(f"{model}: {_what_else(Path(model), error)}") from None
    except (NotImplementedError, RuntimeError, EOFError, UnicodeDecodeError) as error:
        raise ConvertError(f"{model}: expected a plain zip archive, found another: {error!s:.200}") from None


def _convert(checkpoint: Checkpoint, out: str | os.PathLike, progress: Progress) -> list[str]:
    tensors = checkpoint.state_dict()
    notes = []
    for name, tensor in list(tensors.items()):
        element_type = tensor.storage.element_type
        if element_type not in FLOAT_TYPES:
            notes.append(f"{name}: left out, {element_type} is not a floating-point type")
            del tensors[name]
        elif element_type == "F64":
            notes.append(f"{name}: rounded from F64 to F32")
    for name, kept in _tied(tensors, checkpoint):
        notes.append(f"{name}: left out, it holds the numbers of {kept}")
        del tensors[name]
    if not tensors:
        raise ConvertError("expected at least one floating-point tensor, found none")

    # Wide types first keeps every tensor aligned; tensors of one storage stand together, so that it is read once.
    first_use = {tensor.storage: i for i, tensor in reversed(list(enumerate(tensors.values())))}
    order = sorted(
        tensors, key=lambda n: (-ELEMENT_BYTES[tensors[n].storage.element_type], first_use[tensors[n].storage])
    )
    entries = {name: (_written_type(tensors[name]), tensors[name].shape) for name in order}
    _check_size(tensors, checkpoint)
    _safetensors.save(out, entries, (_block(name, tensors[name], checkpoint) for name in order), progress)
    return notes


def _tied(tensors: Mapping[str, TensorRef], checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """Names that hold the numbers of the matrix they are tied to, with the name of that matrix."""
    for family in FAMILIES.values():
        for name, kept in family.tied.items():
            if name in tensors and kept in tensors:
                a, b = tensors[name], tensors[kept]
                if a == b or (
                    a.storage.element_type == b.storage.element_type
                    and np.array_equal(checkpoint.elements(a), checkpoint.elements(b))
                ):
                    yield name, kept


def _check_size(tensors: Mapping[str, TensorRef], checkpoint: Checkpoint) -> None:
    """Bounds what many views of one storage can unfold to."""
    total = sum(prod(t.shape) * ELEMENT_BYTES[t.storage.element_type] for t in tensors.values())
    limit = 2 * checkpoint.file_bytes
    if total > limit:
        raise ConvertError(f"expected tensors of at most {limit} bytes, twice the file, found {total}")


def _written_type(tensor: TensorRef) -> str:
    return "F32" if tensor.storage.element_type == "F64" else tensor.storage.element_type


def _block(name: str, tensor: TensorRef, checkpoint: Checkpoint) -> NDArray:
    try:
        with np.errstate(over="raise"):
            return checkpoint.elements(tensor).astype(_safetensors.FILE_TYPES[_written_type(tensor)])
    except FloatingPointError:
        raise ConvertError(f"{name!r}: expected values within float32, found a larger one") from None


def _what_else(path: Path, error: Exception) -> str:
    """What a file is that is no zip archive."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"PK"):
        return f"expected a whole zip archive, found a damaged one: {error!s:.200}"
    found = "no archive"
    if start.startswith(_LEGACY_PICKLE):
        found = "the pickle format of PyTorch before 1.6; load and save it with a later one"
    elif start[257:262] == b"ustar":
        found = "a tar archive of an early PyTorch; load and save it with a later one"
    return f"expected a zip archive written by torch.save, found {found}"
