"""A library of a few ops, written as MLIR, and what it answers.

The rows that go in are looked up by their ids in an embedding table, and the columns that come out are the first
logits: both are exact, so that a session's ways of running (row counts, masks, padding, checkpoints) serve ops too.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import treadle
from judge import differences, relative_error
from numpy.typing import DTypeLike, NDArray
from treadle import _safetensors

TOLERANCE = 2e-6
"""What f32 may differ from float64; more where the reference evaluated in float32 differs more."""

CUTS: tuple[tuple[int, ...], ...] = ((1,), (16, 1, 1), (5, 130, 2, 15, 17, 1, 40))
"""Lengths of pieces, taken in turns."""


@dataclass(frozen=True)
class Weight:
    """A weight as it is declared: in panels, or plain; rounded to bfloat16, or not."""

    array: NDArray
    packing: str = "plain"
    element: str = "f32"

    @property
    def type(self) -> str:
        return f"!treadle.weight<{'x'.join([*map(str, self.array.shape), self.element])}, {self.packing}>"


@dataclass(frozen=True)
class Turns:
    """What is done between two periods: as `SingleOp.text`, but without %y and activations. %rows is their number."""

    period: int
    rows: int
    """Of both entry points: that many lead %mask, and as many stand behind its tokens."""
    open: str = ""
    close: str = ""


@dataclass(frozen=True)
class SingleOp:
    """`text` makes %y of what is named here, and %mask, %position, %valid; $NAME is the type of %NAME.

    For instance "%y = treadle.rms_norm %x, %w {eps = 1.0e-6 : f32} : ($x, $w) -> $y". Where there are turns,
    %position counts from the last one, and %row is it behind as many rows as lead.
    """

    text: str
    columns: int
    """Of %y."""
    rows: Mapping[str, NDArray]
    """One activation for each name, (T, columns)."""
    weights: Mapping[str, Weight] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    """The type of each, as in "ring, 3x40xf32"; $capacity is that of the append states."""
    suffixes: Mapping[str, str] = field(default_factory=dict)
    """What stands behind the type of some, as in "by_turn fill 5"."""
    constants: Mapping[str, float] = field(default_factory=dict)
    """Scalars of f32."""
    turns: Turns | None = None

    @property
    def count(self) -> int:
        return len(next(iter(self.rows.values())))

    def library(
        self,
        compile_library: Callable[..., str | None],
        folder: Path,
        load: Mapping[str, Any] | None = None,
        **options: object,
    ) -> treadle.Model:
        """Compiled with `options` of `treadle.compile`, and opened with those of `treadle.load`."""
        ir, weights, library = (folder / name for name in ("op.mlir", "op.safetensors", "op.so"))
        ir.write_text(self._module())
        vocabulary = self._vocabulary
        tables = {f"{name}.rows": rows for name, rows in self.rows.items()}
        tensors = {name: np.asarray(weight.array) for name, weight in self.weights.items()}
        # Ids are below the number of logits, so tables have as many rows.
        padded = {name: np.pad(rows, ((0, vocabulary - len(rows)), (0, 0))) for name, rows in tables.items()}
        tensors |= padded | {"select": np.eye(vocabulary, self.columns)}
        _safetensors.save(
            weights,
            {name: ("F32", array.shape) for name, array in tensors.items()},
            (array.astype(np.float32) for array in tensors.values()),
        )
        compile_library(ir, weights=weights, out=library, from_phase="model", **options)
        return treadle.load(library, **load or {})

    def outputs(self, logits: NDArray) -> NDArray:
        """%y, of logits."""
        return logits[..., : self.columns]

    @property
    def _vocabulary(self) -> int:
        return max(self.columns, self.count)

    def _module(self) -> str:
        capacity, vocabulary, turns = self.count, self._vocabulary, self.turns

        def rows_type(columns: int) -> str:
            return f"tensor<?x{columns}xf32>"

        types = {name: rows_type(rows.shape[1]) for name, rows in self.rows.items()}
        types |= {name: weight.type for name, weight in self.weights.items()} | {"y": rows_type(self.columns)}
        mask_rows = turns.period + 2 * turns.rows if turns else capacity
        suffixes = {"mask": f"lead {turns.rows}" if turns else "", **self.suffixes}
        states = {"mask": f"append, {mask_rows}xi8", **self.states}
        for name, state in states.items():
            types[name] = f"!treadle.state<{state.replace('$capacity', str(capacity))}>"

        symbols, references, lookups = [], [], []
        tables = {f"{name}_rows": Weight(np.empty((vocabulary, rows.shape[1])), "panels") for name, rows in self.rows.items()}
        sources = {f"{name}_rows": f"{name}.rows" for name in self.rows} | {name: name for name in self.weights}
        for name, weight in (*tables.items(), *self.weights.items()):
            symbols.append(f'treadle.weight @{name} : {weight.type} from ["{sources[name]}"]')
            references.append(f"%{name} = treadle.get_weight @{name} : {weight.type}")
        for name in states:
            symbols.append(f"treadle.state @{name} : {types[name]} {suffixes.get(name, '')}".rstrip())
            references.append(f"%{name} = treadle.get_state @{name} : {types[name]}")
        for name, value in self.constants.items():
            references.append(f"%{name} = arith.constant {value:e} : f32")
        if turns:
            references.append(f"%rows = arith.constant {turns.rows} : index")
            lookups.append("%row = arith.addi %position, %rows : index")
        lookups.append(
            f"treadle.append %flags, %mask at {'%row' if turns else '%position'} valid %valid"
            f" : tensor<?xi8>, {types['mask']}"
        )
        for name in self.rows:
            table = tables[f"{name}_rows"].type
            lookups.append(f"%{name} = treadle.embedding %ids, %{name}_rows : (tensor<?xi32>, {table}) -> {types[name]}")
        lines = [*references, *lookups, string.Template(self.text).substitute(types), f"return %y : {types['y']}"]
        select = Weight(np.empty((vocabulary, self.columns)), "panels").type
        return f"""
module attributes {{treadle.model = #treadle.model<family = "op", vocabulary = {vocabulary}, hidden = {self.columns},
    capacity = {0 if turns else capacity}, config_capacity = {0 if turns else capacity}, max_loops = 1,
    config_loops = 1, eos = [], info = "{{}}"{f", period = {turns.period}" if turns else ""}>}} {{
  treadle.weight @select : {select} from ["select"]
  {_indent(symbols, 2)}
  func.func @forward(%ids: tensor<?xi32>, %flags: tensor<?xi8>, %position: index, %valid: index, %loops: index)
      -> {types["y"]} attributes {{treadle.entry = #treadle.entry<forward, rows = 0>}} {{
    {_indent(lines, 4)}
  }}
  {_indent(_turns(turns, references, types), 2) if turns else ""}
  func.func @head(%y: {types["y"]}) -> {rows_type(vocabulary)}
      attributes {{treadle.entry = #treadle.entry<head, rows = 0>}} {{
    %select = treadle.get_weight @select : {select}
    %logits = treadle.linear %y, %select : ({types["y"]}, {select}) -> {rows_type(vocabulary)}
    return %logits : {rows_type(vocabulary)}
  }}
}}
"""


def _turns(turns: Turns, references: Sequence[str], types: Mapping[str, str]) -> list[str]:
    return [
        f"""
func.func @{kind}(%position: index, %valid: index, %loops: index)
    attributes {{treadle.entry = #treadle.entry<{kind}, rows = {turns.rows}>}} {{
  {_indent([*references, string.Template(text).substitute(types), "return"], 2)}
}}"""
        for kind, text in (("open", turns.open), ("close", turns.close))
    ]


def _indent(lines: Sequence[str], spaces: int) -> str:
    return ("\n" + " " * spaces).join(line for text in lines for line in text.strip().splitlines())


def pieces(count: int, lengths: Sequence[int]) -> list[int]:
    """Lengths taken in turns until they sum to `count`."""
    found: list[int] = []
    while sum(found) < count:
        found.append(min(lengths[len(found) % len(lengths)], count - sum(found)))
    return found


def run(
    op: SingleOp,
    model: treadle.Model,
    mask: NDArray | None = None,
    lengths: Sequence[int] = (),
    ids: NDArray[np.integer] | None = None,
) -> NDArray:
    """%y of all rows, or of those of `ids`, (T, columns), run whole or in pieces.

    What is read before it is written is a NaN.
    """
    session, found, start = model.session(poison=True), [], 0
    ids = np.arange(op.count) if ids is None else ids
    for length in pieces(len(ids), lengths or [len(ids)]):
        part = slice(start, start + length)
        found.append(session.forward(ids[part], None if mask is None else mask[part], logits="all"))
        start += length
    return op.outputs(np.concatenate(found))


def check(
    op: SingleOp,
    reference: Callable[..., NDArray],
    compile_library: Callable[..., str | None],
    folder: Path,
    mask: NDArray | None = None,
    tolerance: float = TOLERANCE,
    typical: float | None = None,
    keeps_bits: bool = True,
    **options: object,
) -> NDArray:
    """Asserts that a library computes what `reference` does, and the same bits however a sequence is cut.

    A form of an op that does not keep the bits is judged by the tolerance for every cut. `typical` is the tolerance of
    the median row, where few have an operand that float32 may round to the other neighbour.

    reference(rows and weights by name, each in one dtype) -> (T, columns) or one that can be flattened to it. The
    result is what the library answered for the whole sequence.
    """
    with op.library(compile_library, folder, **options) as model:
        found = run(op, model, mask)
        cuts = [run(op, model, mask, lengths) for lengths in CUTS]
    if keeps_bits:
        for lengths, cut in zip(CUTS, cuts):
            assert cut.tobytes() == found.tobytes(), lengths

    def evaluate(dtype: DTypeLike) -> NDArray:
        arrays = {name: rows.astype(np.float32) for name, rows in op.rows.items()}
        arrays |= {name: np.asarray(weight.array, np.float32) for name, weight in op.weights.items()}
        result = reference(**{name: array.astype(dtype) for name, array in arrays.items()})
        return np.asarray(result).reshape(op.count, op.columns)

    expected = evaluate(np.float64)
    single = evaluate(np.float32)

    def judge(name: str, measure: Callable[[NDArray], float], tolerance: float) -> None:
        allowed = max(tolerance, 4 * measure(single))
        error = max(measure(y) for y in (found, *cuts))
        print(f"{name}error {error:.2e}, tolerance {allowed:.2e}")
        assert error <= allowed

    judge("", lambda y: relative_error(y, expected), tolerance)
    if typical is not None:
        judge("typical ", lambda y: float(np.median(differences(y, expected).max(axis=-1))), typical)
    return found
