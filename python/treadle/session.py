"""Sessions: one sequence of tokens each. `Model.session` starts one."""

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from treadle import _capi
from treadle._arguments import Ids, bytes_of, choice, int64, integer, sample_params, token_ids, token_mask
from treadle._capi import Handle, Status, TreadleError

if TYPE_CHECKING:
    from treadle.model import Model


class Session:
    """One sequence of tokens: its position, its ids and all that the model remembers of them. `Model.session` and
    `fork` make one. It keeps its model open, and is used by one thread at a time: others wait.

    A call that raises has changed nothing. However a sequence is cut into calls, logits and states come out the same,
    bit for bit.
    """

    def __init__(self, model: "Model", handle: Handle):
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
        mode = choice("logits", logits, _capi.LOGITS)
        tokens = token_ids(ids, self.model.info["token_count"])
        attended = None if mask is None else token_mask(mask, len(tokens))
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
        if integer("max_new_tokens", max_new_tokens) < 0:
            raise TreadleError(Status.INVALID_ARGUMENT, f"max_new_tokens: expected 0 or more, got {max_new_tokens}")
        random = ctypes.c_uint64(integer("seed", seed) % 2**64)
        params = sample_params(temperature, top_k, top_p, random)
        prompt = token_ids(ids, self.model.info["token_count"])
        if stop is None:
            stops = frozenset(self.model.info["eos_ids"])
        else:
            stops = frozenset(integer("stop", i) for i in (stop if isinstance(stop, Iterable) else [stop]))
        if not len(prompt):
            raise TreadleError(Status.INVALID_ARGUMENT, "expects at least one token id")
        # Refuses bad options before the prompt is run; it draws from a copy.
        self._sample(
            np.zeros(self.model.info["vocab_size"], np.float32),
            sample_params(temperature, top_k, top_p, ctypes.c_uint64()),
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
            self._check(self._table.session_truncate(session, int64("position", position)))

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
        content = bytes_of("mark", mark)
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
        content = bytes_of("blob", blob)
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
