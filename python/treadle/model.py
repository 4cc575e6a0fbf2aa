"""Compiled models in Python: `load` opens one, `Model.session` starts a sequence."""

import ctypes
import json
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from treadle import _capi
from treadle._capi import Handle, Library, Status, TreadleError

Ids = Sequence[int] | NDArray[np.integer]


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
    threads      how many threads may run a call together; None: the caller's alone. Work that is too small for them
                 runs on fewer. The bits are the same. More than the processors that are idle are slower than one
    device       "cpu"
    cuda_driver  the CUDA driver to open in place of libcuda.so.1, with a CUDA device
    prefix       the --symbol-prefix that the library was compiled with
    all_threads  run every call on all threads, even where fewer are faster, for tests
    """
    if threads is not None and not 1 <= _integer("threads", threads) < 2**31:
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
        _check(status, message.value, path)
        self._handle = Handle("model", pointer.value, library.table.model_close, library.handle)
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()

    @property
    def entry_threads(self) -> dict[tuple[str, int], int]:
        """How many threads a call runs on at most, by kind and rows of the entry point."""
        found = {}
        with self._handle as model:
            for index in range(len(self._info["entry_points"])):
                c = _capi.EntryInfo()
                _check(self._library.table.entry_info(model, index, c), b"the library does not describe its entry points")
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
    ) -> "Session":
        """An empty session.

        loops    how often the model's loop runs; None: once, "config": as often as the config says
        context  how many positions it may take; None: as many as the library; of no effect where that has no limit
        on_full  what `forward` does with tokens beyond the context: "stop" refuses them, "recompute" runs the last
                 `context` tokens from scratch for each
        poison   fill memory that holds nothing yet with signalling NaNs, for tests
        """
        number = _capi.LOOPS_CONFIG if loops == "config" else 1 if loops is None else _integer("loops", loops)
        if loops != "config" and not 1 <= number < 2**31:
            raise TreadleError(Status.INVALID_ARGUMENT, f"loops: expected at least 1, 'config' or None, got {loops}")
        positions = 0 if context is None else _integer("context", context)
        if context is not None and not 1 <= positions < 2**63:
            raise TreadleError(Status.INVALID_ARGUMENT, f"context: expected at least 1 or None, got {context}")
        params = _capi.SessionParams(
            loops=number,
            on_full=_choice("on_full", on_full, _capi.ON_FULL),
            context=positions,
            flags=_capi.SESSION_POISON if poison else 0,
        )
        pointer, message = ctypes.c_void_p(), ctypes.create_string_buffer(_capi.MESSAGE_BYTES)
        with self._handle as model:
            status = self._library.table.session_create(model, params, pointer, message, len(message))
            _check(status, message.value)
            return self._adopt(pointer)

    def _adopt(self, pointer: ctypes.c_void_p) -> "Session":
        session = Session(self, Handle("session", pointer.value, self._library.table.session_destroy, self._handle))
        self._sessions.add(session)
        return session

    def verify(self) -> None:
        """Hashes the weights (about 0.3 GB/s). Raises `TreadleError` if they are not what their header says."""
        message = ctypes.create_string_buffer(_capi.MESSAGE_BYTES)
        with self._handle as model:
            status = self._library.table.model_verify(model, message, len(message))
        _check(status, message.value)

    def selftest(self) -> SelfTest:
        """Runs what the library can check of itself. Raises `TreadleError` if something comes out wrong."""
        report, message = _capi.SelfTestReport(), ctypes.create_string_buffer(_capi.MESSAGE_BYTES)
        with self._handle as model:
            status = self._library.table.model_selftest(model, report, message, len(message))
        _check(status, message.value)
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


class Session:
    """One sequence of tokens: its position, its ids and all that the model remembers of them. `Model.session` and
    `fork` make one. It keeps its model open, and is used by one thread at a time: others wait.

    A call that raises has changed nothing. However a sequence is cut into calls, logits and states come out the same,
    bit for bit.
    """

    def __init__(self, model: Model, handle: Handle):
        self.model = model
        self._handle = handle
        self._table = model._library.table

    #
    # Running
    #

    @overload
    def forward(
        self, ids: Ids, mask: ArrayLike | None = None, logits: Literal["last", "all"] = "last"
    ) -> NDArray[np.float32]: ...
    @overload
    def forward(self, ids: Ids, mask: ArrayLike | None = None, *, logits: Literal["none"]) -> None: ...
    def forward(
        self, ids: Ids, mask: ArrayLike | None = None, logits: Literal["last", "all", "none"] = "last"
    ) -> NDArray[np.float32] | None:
        """Runs tokens, at least one, and advances by as many.

        A token of mask 0 takes a position and is never attended. Tokens that do not fit into the context raise
        `TreadleError` of status FULL, or with on_full="recompute" are given a window of their own.

        ids (n), mask (n) -> "last": (vocab), the last token's; "all": (n, vocab); "none": None
        """
        mode = _choice("logits", logits, _capi.LOGITS)
        tokens = token_ids(ids, self.model.info["token_count"])
        attended = None if mask is None else _token_mask(mask, len(tokens))
        shape = {"last": (1,), "all": (len(tokens),), "none": (0,)}[logits]
        out = np.empty((*shape, self.model.info["vocab_size"]), np.float32)
        with self._handle as session:
            self._check(
                self._table.session_forward(
                    session,
                    _capi.address(tokens),
                    _capi.address(attended),
                    len(tokens),
                    mode,
                    _capi.address(out) if mode else None,
                    out.size,
                )
            )
        return None if logits == "none" else out[0] if logits == "last" else out

    def generate(
        self,
        ids: Ids,
        max_new_tokens: int = 32,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: int | Iterable[int] | None = None,
    ) -> Iterator[int]:
        """Runs `ids` and yields the ids that follow, at most `max_new_tokens` of them, a stop id last.

        Temperature 0 takes the largest logit, the lowest id among equals. Otherwise logits are divided by it; of the
        `top_k` largest (0: all) and those that equal the last of them, in descending order, each is kept whose
        predecessors' probabilities sum to no more than `top_p`; one of these is drawn. The seed settles all draws.

        stop  ids that end the text; None: those of the config

        Ends early where a session that stops is full. The session is left holding all tokens but the last one
        yielded, which has not been run: begin the next prompt with it.
        """
        if _integer("max_new_tokens", max_new_tokens) < 0:
            raise TreadleError(Status.INVALID_ARGUMENT, f"max_new_tokens: expected 0 or more, got {max_new_tokens}")
        random = ctypes.c_uint64(_integer("seed", seed) % 2**64)
        params = _sample_params(temperature, top_k, top_p, random)
        prompt = token_ids(ids, self.model.info["token_count"])
        if stop is None:
            stops = frozenset(self.model.info["eos_ids"])
        else:
            stops = frozenset(_integer("stop", i) for i in (stop if isinstance(stop, Iterable) else [stop]))
        if not len(prompt):
            raise TreadleError(Status.INVALID_ARGUMENT, "expects at least one token id")
        # Refuses bad options before the prompt is run; it draws from a copy.
        self._sample(
            np.zeros(self.model.info["vocab_size"], np.float32),
            _sample_params(temperature, top_k, top_p, ctypes.c_uint64()),
        )
        return self._generate(prompt, max_new_tokens, params, stops)

    def _generate(
        self, prompt: NDArray[np.int32], count: int, params: _capi.SampleParams, stops: frozenset[int]
    ) -> Iterator[int]:
        if not count:
            self.forward(prompt, logits="none")
            return
        tokens = prompt
        for number in range(count):
            try:
                logits = self.forward(tokens)
            except TreadleError as error:
                if number and error.status == Status.FULL:
                    return
                raise
            chosen = self._sample(logits, params)
            yield chosen
            if chosen in stops:
                return
            tokens = np.array([chosen], np.int32)

    def _sample(self, logits: NDArray[np.float32], params: _capi.SampleParams) -> int:
        """logits (vocab) -> id; advances the generator of `params`."""
        chosen = ctypes.c_int32()
        with self._handle as session:
            self._check(
                self._table.session_sample(session, _capi.address(logits), len(logits), params, ctypes.byref(chosen))
            )
        return chosen.value

    #
    # The sequence
    #

    @property
    def position(self) -> int:
        """How many tokens the session holds."""
        return int(self._info().position)

    @property
    def since_turn(self) -> int:
        """How many tokens have been run since the last turn; without periods, all of them."""
        return int(self._info().since_turn)

    @property
    def forgotten(self) -> int:
        """How many tokens have left the context, with on_full="recompute"."""
        return int(self._info().forgotten)

    @property
    def context(self) -> int:
        """How many positions the session may take; 0: no limit."""
        return int(self._info().context)

    @property
    def loops(self) -> int:
        """How often the model's loop runs."""
        return int(self._info().loops)

    @property
    def entry_calls(self) -> dict[tuple[str, int], int]:
        """How often each entry point, (kind, rows), was called since the session was created or reset."""
        entries = self.model.info["entry_points"]
        counts = (ctypes.c_uint64 * len(entries))()
        with self._handle as session:
            self._check(self._table.session_counters(session, counts, len(counts)))
        return {(entry["kind"], entry["rows"]): count for entry, count in zip(entries, counts)}

    def reset(self) -> None:
        """Back to an empty sequence, and `entry_calls` to 0."""
        with self._handle as session:
            self._check(self._table.session_reset(session))

    def truncate(self, position: int) -> None:
        """Forgets all tokens from `position` on. A model that keeps states other than one row for each token can only
        go back to 0 so, and otherwise needs a checkpoint; one with periods can also go back within the present one."""
        with self._handle as session:
            self._check(self._table.session_truncate(session, _int64("position", position)))

    def turn(self) -> None:
        """Ends the period now: the model condenses the tokens since the last turn into its fixed states, and the next
        token begins a new period. Does nothing where there are none; raises where the model has no periods."""
        with self._handle as session:
            self._check(self._table.session_turn(session))

    def checkpoint(self) -> bytes:
        """A mark to come back to, for this session alone. It holds no row of a token, so it is small; `rollback`
        needs the rows before it as they were: with periods, a mark that is taken right after a turn stands for ever,
        one within a period until the next period begins."""
        with self._handle as session:
            size = ctypes.c_size_t()
            self._check(self._table.checkpoint_size(session, size))
            mark = np.empty(size.value, np.uint8)
            self._check(self._table.session_checkpoint(session, _capi.address(mark), mark.size))
        return mark.tobytes()

    def rollback(self, mark: bytes | bytearray | memoryview) -> None:
        """Back to where `mark` was taken, from any later or earlier position whose rows before it still stand."""
        content = _bytes("mark", mark)
        with self._handle as session:
            self._check(self._table.session_rollback(session, _capi.address(content), content.size))

    def fork(self) -> "Session":
        """A new session in the same state, which goes its own way from here."""
        pointer = ctypes.c_void_p()
        with self.model._handle, self._handle as session:
            self._check(self._table.session_fork(session, pointer))
            return self.model._adopt(pointer)

    def save(self) -> bytes:
        """The session as bytes that can be stored."""
        with self._handle as session:
            size = ctypes.c_size_t()
            self._check(self._table.save_size(session, size))
            blob = np.empty(size.value, np.uint8)
            self._check(self._table.session_save(session, _capi.address(blob), blob.size))
        return blob.tobytes()

    def load(self, blob: bytes | bytearray | memoryview) -> None:
        """Replaces the content by what `save` wrote, of a session of the same library, weights and loops."""
        content = _bytes("blob", blob)
        with self._handle as session:
            self._check(self._table.session_load(session, _capi.address(content), content.size))

    #
    # States
    #

    def states(self) -> dict[str, NDArray[np.float32]]:
        """The content of every declared state by name: its slots (layers, passes of the loop), then its rows (append:
        `position` of them, or with periods its lead and `since_turn`; ring: oldest first; fixed: no such dimension),
        then a row."""
        result = {}
        with self._handle as session:
            for index, state in enumerate(self.model.info["states"]):
                shape = _capi.StateShape()
                self._check(self._table.state_shape(session, index, shape))
                values = np.empty(shape.dims[: shape.rank], np.float32)
                self._check(self._table.state_get(session, index, _capi.address(values), values.size))
                result[state["name"]] = values
        return result

    def set_states(self, states: Mapping[str, ArrayLike]) -> None:
        """Sets states at once, shaped as `states()` gives them; those that are not given keep their content.

        Append states of another number of rows than `position` change the position; then all states must be given.
        What numbers they are is not checked but for ids of tokens and masks: a NaN is as it is in the states of a model
        that computed it, and an id in Om's `history` that is none stands for no token, as -1 does.
        """
        if not isinstance(states, Mapping):
            raise TreadleError(
                Status.INVALID_ARGUMENT, f"expected a mapping of state names to arrays, got {type(states).__name__}"
            )
        names = [state["name"] for state in self.model.info["states"]]
        values = (_capi.StateValue * len(states))()
        arrays = []  # alive until the call is over
        for value, (name, content) in zip(values, states.items()):
            if name not in names:
                raise TreadleError(
                    Status.INVALID_ARGUMENT, f"expected states among {', '.join(names)}, got {name!r:.60}"
                )
            array = np.asarray(content, np.float32, order="C")
            if array.ndim > _capi.MAX_STATE_RANK:
                raise TreadleError(
                    Status.INVALID_ARGUMENT,
                    f"state '{name}': expected at most {_capi.MAX_STATE_RANK} dimensions, got {array.ndim}",
                )
            arrays.append(array)
            value.struct_size, value.index = ctypes.sizeof(value), names.index(name)
            value.values, value.rank = _capi.address(array), array.ndim
            value.dims[: array.ndim] = array.shape
        with self._handle as session:
            self._check(self._table.state_set(session, values, len(values)))

    #
    # Life
    #

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def close(self) -> None:
        """Frees the session's memory; waits for a call that another thread is in."""
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<treadle.Session {'closed' if self.closed else f'at position {self.position}'}>"

    def _check(self, status: int) -> None:
        """While the handle is held: the message is the session's last."""
        if status:
            raise TreadleError(status, _capi.text(self._table.session_message(self._handle._pointer)))

    def _info(self) -> _capi.SessionInfo:
        info = _capi.SessionInfo()
        with self._handle as session:
            self._check(self._table.session_info(session, info))
        return info


#
# Descriptions
#


def _describe(library: Library) -> dict[str, Any]:
    """`Model.info`: the family's JSON and the numbers of the interface."""
    table, c = library.table, _capi.ModelInfo()
    _check(table.model_info(None, c), b"the library does not describe itself")
    info: dict[str, Any] = json.loads(_capi.text(c.json))
    info.setdefault("token_count", c.vocab_size)
    info["targets"] = [info.pop("target")] if "target" in info else []
    info |= {
        "name": _capi.text(c.name),
        "vocab_size": c.vocab_size,
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
    _check(table.entry_info(None, index, c), b"the library does not describe its entry points")
    return {"kind": _capi.word(_capi.ENTRY_KINDS, c.kind), "rows": c.rows, "arena_bytes": c.arena_bytes}


def _describe_state(table: _capi.Table, index: int) -> dict[str, Any]:
    c = _capi.StateInfo()
    _check(table.state_info(None, index, c), b"the library does not describe its states")
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


#
# Arguments
#


def _check(status: int, message: bytes, path: Path | None = None) -> None:
    if status:
        raise TreadleError(status, f"{path}: {_capi.text(message)}" if path else _capi.text(message))


def _integer(name: str, value: SupportsIndex) -> int:
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {value!r:.60}")
    return value.__index__()


def _int64(name: str, value: SupportsIndex) -> int:
    number = _integer(name, value)
    if not -(2**63) <= number < 2**63:
        raise TreadleError(Status.INVALID_ARGUMENT, f"{name}: expected an integer of 64 bits, got {number}")
    return number


def _choice(name: str, value: str, choices: Mapping[str, int]) -> int:
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


def _token_mask(mask: ArrayLike, count: int) -> NDArray[np.uint8]:
    array = _sequence("mask", mask)
    if array.dtype.kind not in "biu" and array.size:
        raise TypeError(f"mask: expected booleans or integers, got an array of {array.dtype}")
    if len(array) != count:
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects a mask of {count} tokens, got {len(array)}")
    for index in np.flatnonzero((array != 0) & (array != 1)):
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects a mask of 0 and 1, got {array[index]} at index {index}")
    return np.ascontiguousarray(array, np.uint8)


def _bytes(name: str, value: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
    """The bytes where they lie."""
    try:
        return np.frombuffer(memoryview(value).cast("B"), np.uint8)
    except TypeError:
        raise TypeError(f"{name}: expected contiguous bytes, got {type(value).__name__}") from None


def _sample_params(temperature: float, top_k: int, top_p: float, random: ctypes.c_uint64) -> _capi.SampleParams:
    if not 0 <= _integer("top_k", top_k) < 2**31:
        raise TreadleError(Status.INVALID_ARGUMENT, f"expects a top_k that is not negative, got {top_k}")
    return _capi.SampleParams(temperature=temperature, top_k=top_k, top_p=top_p, random=ctypes.pointer(random))
