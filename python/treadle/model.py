"""Compiled models in Python: `load` opens one, `Model.session` starts a sequence."""

import ctypes
import json
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from treadle import _capi
from treadle._arguments import choice, integer
from treadle._capi import Handle, Library, Status, TreadleError, check
from treadle.session import Session


def load(
    library: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    device: str = "cpu",
    cuda_driver: str | os.PathLike[str] | None = None,
    *,
    prefix: str | None = None,
    all_threads: bool = False,
) -> "Model":
    """Opens a library that treadle-compile wrote.

    weights      file of packed weights, for a library that keeps them outside; None: the file that treadle-compile
                 writes beside it, m.weights for m.so
    threads      how many threads may run a call together; None: one for each processor, 1: the caller's alone. Work
                 that is too small for them runs on fewer. The bits are the same
    device       "cpu"; "cuda", or "cuda:1" for the second one: an NVIDIA GPU, with a library compiled for it
    cuda_driver  the CUDA driver to open in place of libcuda.so.1, with a CUDA device
    prefix       the --symbol-prefix that the library was compiled with
    all_threads  run every call on all threads, even where fewer are faster, for tests
    """
    if threads is not None and not 1 <= integer("threads", threads) < 2**31:
        raise TreadleError(Status.INVALID_ARGUMENT, f"threads: expected at least 1, got {threads}")
    path = Path(library)
    params = _capi.OpenParams(
        device=device.encode(),
        cuda_driver=None if cuda_driver is None else os.fsencode(cuda_driver),
        threads=threads or 0,
        flags=_capi.OPEN_ALL_THREADS if all_threads else 0,
    )
    return Model(Library.load(path, prefix), path, weights, params)


@dataclass(frozen=True)
class SelfTest:
    """What `Model.selftest` ran.

    golden_count      golden vectors of the reference; 0: the library holds none
    golden_worst      their largest max |difference| / (tolerance * max |expected|), at most 1
    invariance_rows   tokens that gave the same bits whole, one by one and in ragged pieces
    invariance_loops  for each number of loops up to this one
    """

    golden_count: int
    golden_worst: float
    invariance_rows: int
    invariance_loops: int


class Model:
    """An open model: weights and code. `load` makes one; it is closed by `close` or at the end of a `with` block.

    Any thread may use it, and sessions of one model run concurrently.
    """

    def __init__(
        self,
        library: Library,
        path: Path,
        weights: str | os.PathLike[str] | None,
        params: _capi.OpenParams,
    ):
        self._library = library
        self._path = path
        self._info = _describe(library)
        if weights is None and self._info["weights"]["mode"] == "external":
            beside = path.with_suffix(".weights") if path.suffix == ".so" else Path(f"{path}.weights")
            weights = beside if beside.exists() else None
        params.weights = None if weights is None else os.fsencode(weights)
        pointer, message = ctypes.c_void_p(), ctypes.create_string_buffer(_capi.MESSAGE_BYTES)
        status = library.table.model_open(params, pointer, message, len(message))
        check(status, message.value, path)
        self._handle = Handle("model", pointer.value, library.table.model_close, library.handle)
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()

    @property
    def entry_threads(self) -> dict[tuple[str, int], int]:
        """How many threads a call runs on at most, by kind and rows of the entry point."""
        found = {}
        with self._handle as model:
            for index in range(len(self._info["entry_points"])):
                c = _capi.EntryInfo()
                check(self._library.table.entry_info(model, index, c), b"the library does not describe its entry points")
                found[_capi.word(_capi.ENTRY_KINDS, c.kind), c.rows] = c.threads
        return found

    @property
    def info(self) -> dict[str, Any]:
        """What the model is: `family`, `config`, `parameters`, `dtype`, `targets` and what else the family says;
        `name`, `vocab_size` (the width of logits), `token_count` (ids are below it; the columns from there on are
        -infinity), `hidden_size`, `context` (0: no limit), `period` (tokens between turns at most, or 0), `max_loops`,
        `eos_ids`, ...; `entry_points` and `states` with their rows and bytes; `weights`; `abi`."""
        return self._info

    def session(
        self,
        loops: int | Literal["config"] | None = None,
        context: int | None = None,
        on_full: Literal["stop", "recompute"] = "stop",
        *,
        poison: bool = False,
    ) -> Session:
        """An empty session.

        loops    how often the model's loop runs; None: once, "config": as often as the config says
        context  how many positions it may take; None: as many as the library; of no effect where that has no limit
        on_full  what `forward` does with tokens beyond the context: "stop" refuses them, "recompute" runs the last
                 `context` tokens from scratch for each
        poison   fill memory that holds nothing yet with signalling NaNs, for tests
        """
        number = _capi.LOOPS_CONFIG if loops == "config" else 1 if loops is None else integer("loops", loops)
        if loops != "config" and not 1 <= number < 2**31:
            raise TreadleError(Status.INVALID_ARGUMENT, f"loops: expected at least 1, 'config' or None, got {loops}")
        positions = 0 if context is None else integer("context", context)
        if context is not None and not 1 <= positions < 2**63:
            raise TreadleError(Status.INVALID_ARGUMENT, f"context: expected at least 1 or None, got {context}")
        params = _capi.SessionParams(
            loops=number,
            on_full=choice("on_full", on_full, _capi.ON_FULL),
            context=positions,
            flags=_capi.SESSION_POISON if poison else 0,
        )
        pointer, message = ctypes.c_void_p(), ctypes.create_string_buffer(_capi.MESSAGE_BYTES)
        with self._handle as model:
            status = self._library.table.session_create(model, params, pointer, message, len(message))
            check(status, message.value)
            return self._adopt(pointer)

    def _adopt(self, pointer: ctypes.c_void_p) -> Session:
        session = Session(self, Handle("session", pointer.value, self._library.table.session_destroy, self._handle))
        self._sessions.add(session)
        return session

    def verify(self) -> None:
        """Hashes the weights (about 0.3 GB/s). Raises `TreadleError` if they are not what their header says."""
        message = ctypes.create_string_buffer(_capi.MESSAGE_BYTES)
        with self._handle as model:
            status = self._library.table.model_verify(model, message, len(message))
        check(status, message.value)

    def selftest(self) -> SelfTest:
        """Runs what the library can check of itself. Raises `TreadleError` if something comes out wrong."""
        report, message = _capi.SelfTestReport(), ctypes.create_string_buffer(_capi.MESSAGE_BYTES)
        with self._handle as model:
            status = self._library.table.model_selftest(model, report, message, len(message))
        check(status, message.value)
        return SelfTest(report.golden_count, report.golden_worst, report.invariance_rows, report.invariance_loops)

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def close(self) -> None:
        """Closes all sessions of the model, then the model; waits for calls that other threads are in."""
        with self._handle._lock:
            for session in list(self._sessions):
                session.close()
            self._handle.close()
            self._library.handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<treadle.Model {self._info['name']!r} of {str(self._path)!r}{', closed' if self.closed else ''}>"


#
# Descriptions
#


def _describe(library: Library) -> dict[str, Any]:
    """`Model.info`: the family's JSON and the numbers of the interface."""
    table, c = library.table, _capi.ModelInfo()
    check(table.model_info(None, c), b"the library does not describe itself")
    info: dict[str, Any] = json.loads(_capi.text(c.json))
    info["targets"] = [info.pop("target")] if "target" in info else []
    info |= {
        "name": _capi.text(c.name),
        "vocab_size": c.vocab_size,
        "token_count": c.token_count,
        "hidden_size": c.hidden_size,
        "context": c.context,
        "config_context": c.config_context,
        "period": c.period,
        "max_loops": c.max_loops,
        "config_loops": c.config_loops,
        "eos_ids": c.eos_ids[: c.eos_count],
        "entry_points": [_describe_entry(table, index) for index in range(c.entry_count)],
        "states": [_describe_state(table, index) for index in range(c.state_count)],
        "state_bytes": c.state_bytes,
        "weights": {"mode": _capi.word(_capi.WEIGHTS_MODES, c.weights_mode), "bytes": c.weights_bytes},
        "config_digest": bytes(c.config_digest.contents).hex(),
        "library_id": bytes(c.library_id.contents).hex(),
        "abi": table.version,
    }
    return info


def _describe_entry(table: _capi.Table, index: int) -> dict[str, Any]:
    c = _capi.EntryInfo()
    check(table.entry_info(None, index, c), b"the library does not describe its entry points")
    return {"kind": _capi.word(_capi.ENTRY_KINDS, c.kind), "rows": c.rows, "arena_bytes": c.arena_bytes}


def _describe_state(table: _capi.Table, index: int) -> dict[str, Any]:
    c = _capi.StateInfo()
    check(table.state_info(None, index, c), b"the library does not describe its states")
    return {
        "name": _capi.text(c.name),
        "kind": _capi.word(_capi.STATE_KINDS, c.kind),
        "element": _capi.word(_capi.ELEMENTS, c.element),
        "rows": c.rows,
        "lead": c.lead,
        "row_bytes": c.row_bytes,
        "bytes": c.bytes,
        "pass_row_bytes": c.pass_row_bytes,
        "by_turn": bool(c.by_turn),
    }
