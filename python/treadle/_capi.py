"""include/treadle-c/model.h in ctypes: its numbers, structs and table, and handles that are given back once.

Calls release the GIL. What each function does, and which errors it has, stands in the header.
"""

import _ctypes
import ctypes
import os
import struct
import tempfile
import threading
import weakref
from collections.abc import Callable
from ctypes import (
    CFUNCTYPE,
    POINTER,
    c_char_p,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Self

MODEL_ABI = 1
LOOPS_CONFIG = -1
SESSION_POISON = 1
OPEN_ALL_THREADS = 1
MAX_STATE_RANK = 8
MESSAGE_BYTES = 1024


class Status(IntEnum):
    """treadle_status"""

    OK = 0
    INVALID_ARGUMENT = 1
    OUT_OF_MEMORY = 2
    FULL = 3
    BUFFER_TOO_SMALL = 4
    UNSUPPORTED = 5
    IO = 6
    MISMATCH = 7
    CORRUPT = 8
    NEEDS_CHECKPOINT = 9
    OVERWRITTEN = 10
    NOT_A_NUMBER = 11
    FAILED = 12
    DEVICE = 13


LOGITS = {"none": 0, "last": 1, "all": 2}
ON_FULL = {"stop": 0, "recompute": 1}
MARKS = {"begin": -1, "wait": -2, "end": -3}
WEIGHTS_MODES = ("none", "embed", "external")
ENTRY_KINDS = ("forward", "head", "open", "close")
STATE_KINDS = ("append", "fixed", "ring")
ELEMENTS = ("f32", "bf16", "i32", "u8")


class TreadleError(Exception):
    """What a library or the compiler answers where it refuses.

    status   a `Status` of model.h, or a number that this package does not know
    message  one sentence
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status: int = _known(status)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.message)


def check(status: int, message: bytes, path: Path | None = None) -> None:
    """Raises unless the status says that all is well; `path` is that of the library, for the message."""
    if status:
        raise TreadleError(status, f"{path}: {text(message)}" if path else text(message))


def _known(status: int) -> int:
    try:
        return Status(status)
    except ValueError:
        return status


#
# Structs
#


class Versioned(ctypes.Structure):
    """A struct that begins with its own size."""

    def __init__(self, **fields: Any):
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class OpenParams(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("weights", c_char_p),
        ("device", c_char_p),
        ("cuda_driver", c_char_p),
        ("threads", c_int32),
        ("flags", c_uint32),
        ("run", c_void_p),
        ("run_context", c_void_p),
    ]


class SessionParams(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("loops", c_int32),
        ("on_full", c_int32),
        ("context", c_int64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class SampleParams(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("temperature", c_float),
        ("top_k", c_int32),
        ("top_p", c_float),
        ("random", POINTER(c_uint64)),
    ]


class StateValue(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("index", c_size_t),
        ("values", c_void_p),
        ("rank", c_size_t),
        ("dims", c_uint64 * MAX_STATE_RANK),
    ]


class ModelInfo(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("json", c_char_p),
        ("config_digest", POINTER(c_uint8 * 32)),
        ("library_id", POINTER(c_uint8 * 32)),
        ("vocab_size", c_uint32),
        ("hidden_size", c_uint32),
        ("context", c_uint64),
        ("config_context", c_uint64),
        ("period", c_uint64),
        ("max_loops", c_uint32),
        ("config_loops", c_uint32),
        ("eos_ids", POINTER(c_int32)),
        ("eos_count", c_size_t),
        ("entry_count", c_size_t),
        ("state_count", c_size_t),
        ("state_bytes", c_uint64),
        ("weights_mode", c_int32),
        ("token_count", c_uint32),
        ("weights_bytes", c_uint64),
    ]


class EntryInfo(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("kind", c_int32),
        ("rows", c_uint32),
        ("arena_bytes", c_uint64),
        ("threads", c_int32),
        ("reserved", c_int32),
    ]


class StateInfo(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("kind", c_int32),
        ("element", c_int32),
        ("rows", c_uint64),
        ("lead", c_uint64),
        ("row_bytes", c_uint64),
        ("bytes", c_uint64),
        ("pass_row_bytes", c_uint64),
        ("by_turn", c_uint32),
        ("reserved", c_uint32),
    ]


class SessionInfo(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("position", c_int64),
        ("since_turn", c_int64),
        ("forgotten", c_int64),
        ("context", c_int64),
        ("loops", c_int32),
        ("on_full", c_int32),
    ]


class StateShape(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("rank", c_size_t),
        ("dims", c_uint64 * MAX_STATE_RANK),
        ("count", c_uint64),
    ]


class SelfTestReport(Versioned):
    _fields_ = [
        ("struct_size", c_size_t),
        ("golden_count", c_size_t),
        ("golden_worst", c_float),
        ("invariance_rows", c_uint32),
        ("invariance_loops", c_uint32),
        ("reserved", c_uint32),
    ]


#
# The table
#


def _function(result: Any, *arguments: Any) -> Any:
    return CFUNCTYPE(result, *arguments)


class Table(ctypes.Structure):
    """treadle_model_api. Arrays are passed as addresses."""

    _fields_ = [
        ("struct_size", c_uint32),
        ("version", c_uint32),
        ("status_name", _function(c_char_p, c_int32)),
        ("model_open", _function(c_int32, POINTER(OpenParams), POINTER(c_void_p), c_char_p, c_size_t)),
        ("model_close", _function(None, c_void_p)),
        ("model_info", _function(c_int32, c_void_p, POINTER(ModelInfo))),
        ("entry_info", _function(c_int32, c_void_p, c_size_t, POINTER(EntryInfo))),
        ("state_info", _function(c_int32, c_void_p, c_size_t, POINTER(StateInfo))),
        ("model_verify", _function(c_int32, c_void_p, c_char_p, c_size_t)),
        ("model_selftest", _function(c_int32, c_void_p, POINTER(SelfTestReport), c_char_p, c_size_t)),
        (
            "session_create",
            _function(c_int32, c_void_p, POINTER(SessionParams), POINTER(c_void_p), c_char_p, c_size_t),
        ),
        ("session_destroy", _function(None, c_void_p)),
        ("session_message", _function(c_char_p, c_void_p)),
        ("session_info", _function(c_int32, c_void_p, POINTER(SessionInfo))),
        ("session_position", _function(c_int64, c_void_p)),
        ("session_reset", _function(c_int32, c_void_p)),
        (
            "session_forward",
            _function(c_int32, c_void_p, c_void_p, c_void_p, c_size_t, c_int32, c_void_p, c_size_t),
        ),
        ("session_truncate", _function(c_int32, c_void_p, c_int64)),
        ("checkpoint_size", _function(c_int32, c_void_p, POINTER(c_size_t))),
        ("session_checkpoint", _function(c_int32, c_void_p, c_void_p, c_size_t)),
        ("session_rollback", _function(c_int32, c_void_p, c_void_p, c_size_t)),
        ("session_fork", _function(c_int32, c_void_p, POINTER(c_void_p))),
        ("save_size", _function(c_int32, c_void_p, POINTER(c_size_t))),
        ("session_save", _function(c_int32, c_void_p, c_void_p, c_size_t)),
        ("session_load", _function(c_int32, c_void_p, c_void_p, c_size_t)),
        ("state_shape", _function(c_int32, c_void_p, c_size_t, POINTER(StateShape))),
        ("state_get", _function(c_int32, c_void_p, c_size_t, c_void_p, c_size_t)),
        ("state_set", _function(c_int32, c_void_p, POINTER(StateValue), c_size_t)),
        (
            "session_sample",
            _function(c_int32, c_void_p, c_void_p, c_size_t, POINTER(SampleParams), POINTER(c_int32)),
        ),
        ("session_counters", _function(c_int32, c_void_p, POINTER(c_uint64), c_size_t)),
        ("session_turn", _function(c_int32, c_void_p)),
        ("session_profile", _function(c_int32, c_void_p, c_void_p, c_void_p)),
    ]


#
# Handles
#


class Handle:
    """What a library gave out, with the call that takes it back.

    `with handle as pointer:` uses it, one thread at a time. It is given back once: by `close`, or when nobody refers
    to the handle any more; not within another thread's `with`, nor before handles that have this one as `owner`.
    """

    def __init__(self, what: str, pointer: Any, give_back: Callable[[Any], Any], owner: "Handle | None" = None):
        self._what = what
        self._pointer = pointer
        self._lock = threading.RLock()
        # The finalizer keeps the owner, also where both are collected as part of one cycle.
        self._finalizer = weakref.finalize(self, _give_back, give_back, pointer, owner)
        self._finalizer.atexit = False

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def __enter__(self) -> Any:
        self._lock.acquire()
        if self._finalizer.alive:
            return self._pointer
        self._lock.release()
        raise TreadleError(Status.INVALID_ARGUMENT, f"the {self._what} has been closed")

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._finalizer()


def _give_back(give_back: Callable[[Any], Any], pointer: Any, owner: Handle | None) -> None:
    del owner
    give_back(pointer)


class Library:
    """A loaded library that treadle-compile wrote, and its table."""

    def __init__(self, table: Table, handle: Handle):
        self.table = table
        self.handle = handle

    @classmethod
    def load(cls, path: Path, prefix: str | None = None) -> Self:
        library = _load_library(path)
        handle = Handle("library", library._handle, _ctypes.dlclose)
        symbol = f"{prefix}_treadle_model_query" if prefix else "treadle_model_query"
        try:
            query = library[symbol]
        except AttributeError:
            raise TreadleError(
                Status.CORRUPT,
                f"{path}: expected a library that treadle-compile wrote, found no symbol {symbol}; one compiled with "
                "--symbol-prefix=NAME needs prefix=NAME",
            ) from None
        query.restype, query.argtypes = POINTER(Table), [c_uint32]
        table = query(MODEL_ABI)
        if not table or table.contents.struct_size < ctypes.sizeof(Table):
            raise TreadleError(Status.UNSUPPORTED, f"{path}: expected a library of interface version {MODEL_ABI}")
        # A copy, so that nothing is read from a library that has been unloaded.
        return cls(Table.from_buffer_copy(table.contents), handle)


def _load_library(path: Path) -> ctypes.CDLL:
    """Raises OSError where there is no such file.

    The dynamic loader knows libraries by the name that they were loaded under before it looks at the file. Under a
    name of its own, a library that was compiled anew to the same place is not taken for the one before.
    """
    file = path.resolve(strict=True)
    with open(file, "rb") as stream, tempfile.TemporaryDirectory(prefix="treadle-") as folder:
        if _is_cut(stream):
            raise TreadleError(Status.CORRUPT, f"{path}: expected a library for this machine: it is cut short")
        link = Path(folder, file.name)
        link.symlink_to(file)
        try:
            return ctypes.CDLL(os.fspath(link))
        except OSError as error:
            reason = str(error).replace(os.fspath(link), os.fspath(path))
            raise TreadleError(Status.CORRUPT, f"{path}: expected a library for this machine: {reason}") from None


def _is_cut(stream: BinaryIO) -> bool:
    """A library that is cut short can be loaded, and the process dies where what is missing is touched. The linker puts
    the table of sections last."""
    header = stream.read(64)
    if len(header) < 64 or header[:4] != b"\x7fELF":
        return False  # the dynamic loader says what is wrong with it
    (sections,) = struct.unpack_from("<Q", header, 40)
    entry_size, count = struct.unpack_from("<HH", header, 58)
    return sections + entry_size * count > os.fstat(stream.fileno()).st_size


def address(array: Any) -> int | None:
    """Where a NumPy array's elements lie; None for None."""
    return None if array is None else array.ctypes.data


def text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def word(words: tuple[str, ...], number: int) -> str:
    """A number of an enum in words; one that a newer library uses stays a number."""
    return words[number] if number < len(words) else str(number)
