"""The pickle inside a `model.pt`, read as data.

A state dict saved by PyTorch uses a handful of the pickle opcodes and names a handful of globals. This reads just
those: names are looked up in a table of inert markers, and nothing is imported or called. Anything else is an error.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

STORAGE_TYPES = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
"""Class name in the module `torch` -> element type as safetensors names it."""


ELEMENT_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


class ConvertError(ValueError):
    """A file that cannot be converted: file, place, what was expected, what was found."""


@dataclass(frozen=True)
class StorageRef:
    """A typed storage: `elements` elements in the archive member data/`key`."""

    element_type: str
    key: str
    elements: int


@dataclass(frozen=True)
class TensorRef:
    """A strided view of a storage; offset, shape and strides count elements. Not yet checked against it."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


_ORDERED_DICT = _Global("collections", "OrderedDict")
_REBUILD_TENSOR = _Global("torch._utils", "_rebuild_tensor_v2")
_REBUILD_PARAMETER = _Global("torch._utils", "_rebuild_parameter")
_STORAGES = {_Global("torch", name): element_type for name, element_type in STORAGE_TYPES.items()}
_ALLOWED = {_ORDERED_DICT, _REBUILD_TENSOR, _REBUILD_PARAMETER, *_STORAGES}

_MARK = object()


def read_state_dict(data: bytes) -> dict[str, Any]:
    """The dictionary in a pickle of protocol 2; tensors in it are `TensorRef`s."""
    reader = _Reader(data)
    result = reader.run()
    if not isinstance(result, dict):
        raise ConvertError(f"expected a state dict, found {_describe(result)}")
    return result


class _Reader:
    def __init__(self, data: bytes):
        self._data = data
        self._at = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        while True:
            start = self._at
            code = self._take(1)
            try:
                if code == b".":
                    return self._pop()
                if code not in _OPCODES:
                    raise ConvertError(f"expected an opcode of a PyTorch state dict, found {code!r}")
                _OPCODES[code](self)
            except ConvertError as error:
                raise ConvertError(f"at byte {start}: {error}") from None

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise ConvertError(f"expected {count} more bytes, found {len(taken)}")
        self._at += count
        return taken

    def _unpack(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _line(self) -> str:
        end = self._data.find(b"\n", self._at, self._at + 256)
        if end < 0:
            raise ConvertError("expected a name of at most 255 bytes")
        line = self._take(end + 1 - self._at)[:-1]
        return _text(line)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise ConvertError("expected a value on the stack, found none")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        for i in range(len(self._stack) - 1, -1, -1):
            if self._stack[i] is _MARK:
                values = self._stack[i + 1 :]
                del self._stack[i:]
                return values
        raise ConvertError("expected a mark on the stack, found none")

    def _top(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise ConvertError(f"expected a {kind.__name__} on the stack")
        return self._stack[-1]

    # Opcodes, in the order of the table below.

    def protocol(self) -> None:
        version = self._unpack("B")
        if version != 2:
            raise ConvertError(f"expected pickle protocol 2, found {version}")

    def mark(self) -> None:
        self._stack.append(_MARK)

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_number(self, layout: str) -> None:
        self.push(self._unpack(layout))

    def push_long(self) -> None:
        self.push(int.from_bytes(self._take(self._unpack("B")), "little", signed=True))

    def push_text(self) -> None:
        self.push(_text(self._take(self._unpack("<I"))))

    def push_global(self) -> None:
        name = _Global(self._line(), self._line())
        if name not in _ALLOWED:
            raise ConvertError(f"expected a tensor or dictionary of tensors, found {str(name)!r:.80}")
        self.push(name)

    def push_tuple(self, count: int) -> None:
        self.push(tuple(reversed([self._pop() for _ in range(count)])))

    def push_tuple_to_mark(self) -> None:
        self.push(tuple(self._pop_to_mark()))

    def append(self) -> None:
        value = self._pop()
        self._top(list).append(value)

    def append_to_mark(self) -> None:
        values = self._pop_to_mark()
        self._top(list).extend(values)

    def set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def set_items_to_mark(self) -> None:
        self._set(self._pop_to_mark())

    def _set(self, pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise ConvertError("expected pairs of key and value")
        target = self._top(dict)
        for key, value in zip(pairs[::2], pairs[1::2]):
            if not isinstance(key, str):
                raise ConvertError(f"expected text as a key, found {_describe(key)}")
            if key in target:
                raise ConvertError(f"expected distinct keys, found {key!r:.80} twice")
            target[key] = value

    def build(self) -> None:
        """Attributes of the dictionary (`_metadata`, version numbers of modules) say nothing about tensors."""
        self._pop()
        self._top(dict)

    def put(self, layout: str) -> None:
        index = self._unpack(layout)
        value = self._pop()
        self._memo[index] = value
        self.push(value)

    def get(self, layout: str) -> None:
        index = self._unpack(layout)
        if index not in self._memo:
            raise ConvertError(f"expected a memo entry, found no number {index}")
        self.push(self._memo[index])

    def persistent(self) -> None:
        match self._pop():
            case ("storage", _Global() as kind, str(key), str(), int(count)) if (
                kind in _STORAGES and type(count) is int and 0 <= count < 1 << 63
            ):
                self.push(StorageRef(_STORAGES[kind], key, count))
            case other:
                raise ConvertError(f"expected a storage, found {_describe(other)}")

    def reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        match function, arguments:
            case (f, ()) if f == _ORDERED_DICT:
                self.push({})
            case (f, (StorageRef() as storage, int(offset), tuple(shape), tuple(strides), *_)) if f == _REBUILD_TENSOR:
                if not all(type(n) is int for n in (offset, *shape, *strides)):
                    raise ConvertError("expected integers as a tensor's offset, shape and strides")
                self.push(TensorRef(storage, offset, shape, strides))
            case (f, (TensorRef() as tensor, *_)) if f == _REBUILD_PARAMETER:
                self.push(tensor)
            case _:
                raise ConvertError(f"expected a tensor or dictionary of tensors, found a call of {_describe(function)}")


_OPCODES: dict[bytes, Callable[[_Reader], None]] = {
    b"\x80": _Reader.protocol,
    b"(": _Reader.mark,
    b"N": lambda r: r.push(None),
    b"\x88": lambda r: r.push(True),
    b"\x89": lambda r: r.push(False),
    b"}": lambda r: r.push({}),
    b"]": lambda r: r.push([]),
    b")": lambda r: r.push(()),
    b"J": lambda r: r.push_number("<i"),
    b"K": lambda r: r.push_number("<B"),
    b"M": lambda r: r.push_number("<H"),
    b"G": lambda r: r.push_number(">d"),
    b"\x8a": _Reader.push_long,
    b"X": _Reader.push_text,
    b"c": _Reader.push_global,
    b"\x85": lambda r: r.push_tuple(1),
    b"\x86": lambda r: r.push_tuple(2),
    b"\x87": lambda r: r.push_tuple(3),
    b"t": _Reader.push_tuple_to_mark,
    b"a": _Reader.append,
    b"e": _Reader.append_to_mark,
    b"s": _Reader.set_item,
    b"u": _Reader.set_items_to_mark,
    b"b": _Reader.build,
    b"q": lambda r: r.put("<B"),
    b"r": lambda r: r.put("<I"),
    b"h": lambda r: r.get("<B"),
    b"j": lambda r: r.get("<I"),
    b"Q": _Reader.persistent,
    b"R": _Reader.reduce,
}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConvertError("expected UTF-8 text") from None


def _describe(value: Any) -> str:
    """A value in a message. Containers are only named: they may nest deeper than repr can go."""
    if isinstance(value, _Global):
        return repr(str(value))
    if isinstance(value, (str, int, float, type(None))):
        return f"{value!r:.80}"
    return f"a {type(value).__name__}"
