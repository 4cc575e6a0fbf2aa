"""The compiler, over the C interface of `treadle-c/compiler.h`.

The shared library `libTreadle.so` is looked for, in this order: where `library=` says; in the package's own folder
(a wheel); in `lib` of the installation prefix that holds the package; in `build/<preset>/lib` of the source tree that
holds it, `release` first; by the system's loader.
"""

import ctypes
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from treadle._progress import Progress, ProgressBar

__all__ = ["CompileError", "compile"]

_TEXT_FIELDS = (
    "config weights out family golden dtype target cpu triple gpu rows recurrence_form weights_mode symbol_prefix "
    "from to dump_phases plugins sanitize"
).split()

_WarningFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_ProgressFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_double)


class CompileError(Exception):
    """A compilation failed; the text is the compiler's one line."""


class _Options(ctypes.Structure):
    """`treadle_compile_options`."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        *[(name, ctypes.c_char_p) for name in _TEXT_FIELDS],
        ("max_context", ctypes.c_int64),
        ("max_loops", ctypes.c_int64),
        ("allow_unknown_keys", ctypes.c_int32),
        ("pack", ctypes.c_int32),
    ]


def _candidates() -> Iterator[Path]:
    name = "libTreadle.so"
    package = Path(__file__).resolve().parent
    yield package / name
    yield Path(sys.prefix) / "lib" / name
    for parent in package.parents:
        if parent.name == "lib":
            yield parent / name
    builds = package.parent.parent / "build"
    yield from sorted(builds.glob(f"*/lib/{name}"), key=lambda path: (path.parts[-3] != "release", path))


def _load(library: str | os.PathLike | None) -> ctypes.CDLL:
    if library is None:
        library = next((path for path in _candidates() if path.exists()), "libTreadle.so")
    try:
        compiler = ctypes.CDLL(os.fspath(library))
    except OSError as error:
        raise CompileError(f"cannot load the compiler, build it or name it with library=: {error}") from None
    handle, status = ctypes.c_void_p, ctypes.c_int32
    for function, result, arguments in [
        ("create", handle, []),
        ("destroy", None, [handle]),
        ("set_options", status, [handle, ctypes.POINTER(_Options)]),
        ("set_callbacks", status, [handle, _WarningFunction, _ProgressFunction, ctypes.c_void_p]),
        ("run", status, [handle]),
        ("get_message", ctypes.c_char_p, [handle]),
        ("get_text", ctypes.c_char_p, [handle]),
    ]:
        prototype = getattr(compiler, f"treadle_compiler_{function}")
        prototype.restype, prototype.argtypes = result, arguments
    return compiler


def _encode(name: str, value) -> bytes:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(str(part) for part in value).encode()
    if isinstance(value, os.PathLike):
        return os.fsencode(value)
    text = str(value).encode(errors="surrogateescape")
    if b"\0" in text:
        raise CompileError(f"{name}: expected text without a NUL")
    return text


def _make_options(values: dict) -> _Options:
    options = _Options(struct_size=ctypes.sizeof(_Options))
    for name, value in values.items():
        if value is None or value == [] or value == ():
            continue
        if name in _TEXT_FIELDS:
            value = _encode(name, value)
        setattr(options, name, value)
    return options


def compile(
    config: str | os.PathLike,
    weights: str | os.PathLike | None = None,
    out: str | os.PathLike | None = None,
    dtype: str = "f32",
    *,
    target: str | Sequence[str] | None = None,
    cpu: str | None = None,
    triple: str | None = None,
    gpu: str | Sequence[str] | None = None,
    max_context: int | None = None,
    max_loops: int | None = None,
    rows: Sequence[int] | None = None,
    weights_mode: str | None = None,
    recurrence_form: str | None = None,
    golden: str | os.PathLike | None = None,
    pack: bool = False,
    family: str | None = None,
    allow_unknown_keys: bool = False,
    symbol_prefix: str | None = None,
    to: str | None = None,
    from_phase: str | None = None,
    dump_phases: str | os.PathLike | None = None,
    load_pass_plugin: Sequence[str | os.PathLike] | None = None,
    sanitize: str | None = None,
    progress: Callable[[str, float], None] | Progress = "auto",
    library: str | os.PathLike | None = None,
) -> str | None:
    """Compiles a config (a file or a checkpoint directory) into the shared library `out`.

    The options are the flags of `treadle-compile`, of the same names (`from_phase` is `--from`). `progress` is
    "auto" (a bar on a terminal), "off", or a function that is called with the step at hand and the part done, 0 to 1.
    Warnings of the compiler are Python warnings. With `to`, and
    without `out`, returns the text of that phase; otherwise None.
    """
    compiler = _load(library)
    bar = ProgressBar("off" if callable(progress) else progress)
    update = progress if callable(progress) else bar.update
    for name, number in (("max_context", max_context), ("max_loops", max_loops)):
        if number is not None and number < 1:  # 0 is the interface's word for the default
            raise CompileError(f"{name}: expected a positive number, got {number}")
    options = _make_options(
        {
            "config": config,
            "weights": weights,
            "out": out,
            "dtype": dtype,
            "target": target,
            "cpu": cpu,
            "triple": triple,
            "gpu": gpu,
            "max_context": max_context,
            "max_loops": max_loops,
            "rows": rows,
            "weights_mode": weights_mode,
            "recurrence_form": recurrence_form,
            "golden": golden,
            "pack": int(pack),
            "family": family,
            "allow_unknown_keys": int(allow_unknown_keys),
            "symbol_prefix": symbol_prefix,
            "to": to,
            "from": from_phase,
            "dump_phases": dump_phases,
            "plugins": load_pass_plugin and [os.fspath(plugin) for plugin in load_pass_plugin],
            "sanitize": sanitize,
        }
    )
    # Raised after the call: an exception cannot pass through the compiler.
    texts: list[str] = []
    failures: list[BaseException] = []

    def report(_, step: bytes, done: float) -> None:
        try:
            if not failures:
                update(step.decode(), done)
        except BaseException as failure:
            failures.append(failure)

    on_warning = _WarningFunction(lambda _, text: texts.append(text.decode(errors="replace")))
    on_progress = _ProgressFunction(report)
    handle = compiler.treadle_compiler_create()
    if not handle:
        raise MemoryError
    try:
        compiler.treadle_compiler_set_callbacks(handle, on_warning, on_progress, None)
        with bar:
            failed = compiler.treadle_compiler_set_options(handle, options) or compiler.treadle_compiler_run(handle)
        for text in texts:
            warnings.warn(text, stacklevel=2)
        if failures:
            raise failures[0]
        if failed:
            raise CompileError(compiler.treadle_compiler_get_message(handle).decode(errors="replace"))
        text = compiler.treadle_compiler_get_text(handle).decode()
        return text if to not in (None, "binary") and out is None else None
    finally:
        compiler.treadle_compiler_destroy(handle)
