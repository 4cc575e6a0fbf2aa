"""Writes what torch.save writes, well formed or not, without PyTorch."""

import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    data = value.to_bytes(16, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def tuple_of(items: Sequence[bytes]) -> bytes:
    return b"(" + b"".join(items) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


EMPTY = name("collections", "OrderedDict") + b")R"


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    return name(module, attribute) + tuple_of(arguments) + b"R"


@dataclass
class Tensor:
    """A view of the storage data/`key`, of `elements` elements of the class torch.`kind`."""

    shape: Sequence[int]
    strides: Sequence[int]
    elements: int
    key: str = "0"
    offset: int = 0
    kind: str = "FloatStorage"

    def pickled(self) -> bytes:
        storage = tuple_of(
            [text("storage"), name("torch", self.kind), text(self.key), text("cpu"), integer(self.elements)]
        )
        shape, strides = (tuple_of([integer(n) for n in numbers]) for numbers in (self.shape, self.strides))
        return call(
            "torch._utils", "_rebuild_tensor_v2", storage + b"Q", integer(self.offset), shape, strides, b"\x89", EMPTY
        )


def state_dict(items: Sequence[tuple[str, Tensor | bytes]]) -> bytes:
    """The pickle of a dictionary; a value is a tensor or an opcode sequence that pushes something else."""
    pairs = [text(key) + (value.pickled() if isinstance(value, Tensor) else value) for key, value in items]
    return b"\x80\x02" + EMPTY + b"(" + b"".join(pairs) + b"u."


@dataclass
class TorchFile:
    pickle: bytes
    storages: dict[str, bytes] = field(default_factory=dict)
    extra: Sequence[tuple[str, bytes]] = (("byteorder", b"little"),)
    compression: int = zipfile.ZIP_STORED

    def write(self, path: Path) -> Path:
        with zipfile.ZipFile(path, "w", self.compression) as archive:
            archive.writestr("model/data.pkl", self.pickle)
            for member, data in [*self.extra, *((f"data/{key}", data) for key, data in self.storages.items())]:
                archive.writestr(f"model/{member}", data)
        return path
