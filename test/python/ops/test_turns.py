"""Ops of turns, compiled, against the reference: what one period leaves to the next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treadle
from numpy.typing import NDArray
from single_op import SingleOp, Turns, Weight, check
from treadle import reference

Compile = Callable[..., None]


def normal(seed: int, *shape: int) -> NDArray:
    return np.random.default_rng(seed).normal(size=shape)


def reading_line(columns: int, count: int, turns: Turns, scalars: dict[str, float]) -> SingleOp:
    """Each token answers the row of a line that stands `turns.rows` before its own; a state %s outlives the periods."""
    rows = turns.rows
    return SingleOp(
        """
        treadle.append %x, %line at %row valid %valid : $x, $line
        %y = treadle.read_rows %line at %position valid %valid {lag = 0 : i64} : ($line, index, index) -> $y
        """,
        columns,
        {"x": normal(1, count, columns)},
        {"start": Weight(normal(2, rows, columns))},
        {"line": f"append, {turns.period + 2 * rows}x{columns}xf32", "s": f"fixed, {rows}x{columns}xf32"},
        {"line": f"lead {rows}", "s": "by_turn initial @start"},
        scalars,
        turns,
    )


def delay_line(rows: int, columns: int, period: int, count: int, factor: float | None) -> SingleOp:
    """Each token answers the row of `rows` tokens before it; a state keeps those of the last period.

    With a factor, what the state gives and what it takes are multiplied by it.
    """
    turned = f"tensor<{rows}x{columns}xf32>"

    def times(result: str, value: str) -> str:
        return f"{result} = treadle.scale {value} by %f : {turned}"

    old, new = ("%read", "%written") if factor is None else ("%old", "%new")
    return reading_line(
        columns,
        count,
        Turns(
            period,
            rows,
            open=f"""
            {old} = treadle.read_state %s : ($s) -> {turned}
            {times("%read", old) if factor is not None else ""}
            treadle.append %read, %line at %position valid %rows : {turned}, $line
            """,
            close=f"""
            {new} = treadle.read_rows %line at %position valid %rows {{lag = 0 : i64}}
              : ($line, index, index) -> {turned}
            {times("%written", new) if factor is not None else ""}
            treadle.write_state %written, %s : {turned}, $s
            """,
        ),
        {} if factor is None else {"f": factor},
    )


@pytest.mark.parametrize("factor", [None, 0.5])
# The last period is shorter than the state.
@pytest.mark.parametrize(
    ("rows", "columns", "period", "count"), [(1, 5, 4, 21), (3, 37, 7, 40), (17, 20, 40, 150), (5, 16, 3, 20)]
)
def test_read_state_and_write_state(
    rows: int, columns: int, period: int, count: int, factor: float | None, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    def expected(x: NDArray, start: NDArray) -> NDArray:
        state, found = start, []
        for begin in range(0, count, period):
            line = np.concatenate([state * (factor or 1), x[begin : begin + period]])
            found.append(line[: len(line) - rows])
            state = line[-rows:] * (factor or 1)
        return np.concatenate(found)

    op = delay_line(rows, columns, period, count, factor)
    check(op, expected, compile_library, tmp_path, tolerance=0, **on_device)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("rows", "heads", "width"), [(1, 1, 6), (5, 3, 14), (16, 2, 32)])
def test_rotary_table_of_a_turn(
    rows: int, heads: int, width: int, reverse: bool, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    """The rows of a state stand in either order."""
    columns, count = heads * width, rows + 3
    turned = f"tensor<{rows}x{columns}xf32>"
    angles = reference.rope_turns(np.arange(2 * rows), width, 300.0)
    each = ", ".join(map(str, reference.rope_turns(np.array([1]), width, 300.0)[0].view(np.int64)))
    op = reading_line(
        columns,
        count,
        Turns(
            count,
            rows,
            open=f"""
            %old = treadle.read_state %s : ($s) -> {turned}
            %table = treadle.rotary_table at %rows {{{"reversed, " if reverse else ""}turns = array<i64: {each}>}}
              : (index) -> tensor<{rows}x2x{width // 2}xf32>
            %read = treadle.rope %old, %table {{heads = {heads} : i64, pairing = #treadle.rope_pairing<half>}}
              : ({turned}, tensor<{rows}x2x{width // 2}xf32>) -> {turned}
            treadle.append %read, %line at %position valid %rows : {turned}, $line
            """,
        ),
        {},
    )

    def expected(x: NDArray, start: NDArray) -> NDArray:
        table = angles[rows:][::-1] if reverse else angles[rows:]
        turned = reference.rope(start.reshape(rows, heads, width), table, "half")
        return np.concatenate([turned.reshape(rows, columns), x])[:count]

    check(op, expected, compile_library, tmp_path, **on_device)


@pytest.mark.parametrize("masked", [False, True])
# Of 3 and 9 tokens kept a period has room for fewer.
@pytest.mark.parametrize(
    ("window", "kept", "lead", "period", "count"),
    [(2, 1, 1, 7, 40), (4, 3, 3, 2, 21), (3, 9, 2, 5, 30), (5, 6, 17, 20, 150)],
)
def test_carry_ids(
    window: int,
    kept: int,
    lead: int,
    period: int,
    count: int,
    masked: bool,
    compile_library: Compile,
    tmp_path: Path,
    on_device: dict[str, Any],
) -> None:
    """Turns make no difference to the n-grams of a sequence."""
    mask = np.arange(count) % 4 != 1 if masked else np.ones(count, bool)
    table, fill, width = normal(count, count, 5), 3, 5
    op = SingleOp(
        f"""
        treadle.append %ids, %tokens at %position valid %valid : tensor<?xi32>, $tokens
        %y = treadle.ngram_embedding %table, %tokens, %mask, %history at %position valid %valid
          {{window = {window} : i64, lead = {lead} : i64}} : ($table, $tokens, $mask, $history, index, index) -> $y
        """,
        window * width,
        {"x": table},
        {"table": Weight(table, "panels")},
        {"tokens": f"append, {period}xi32", "history": f"fixed, {kept}xi32"},
        {"history": f"by_turn fill {fill}"},
        turns=Turns(
            period,
            lead,
            close=f"""
            treadle.carry_ids %tokens, %mask, %history at %position {{lead = {lead} : i64}}
              : $tokens, $mask, $history
            """,
        ),
    )
    ids = np.concatenate([np.full(kept, fill), np.where(mask, np.arange(count), -1)])

    def expected(x: NDArray, table: NDArray) -> NDArray:
        return reference.ngram_embedding(ids[kept - window + 1 :], table, window)

    check(op, expected, compile_library, tmp_path, mask, tolerance=0, **on_device)
    with treadle.load(tmp_path / "op.so") as model, model.session(poison=True) as session:
        for token in range(count):
            session.forward([token], mask[token : token + 1])
            if token % 3 == 1:
                session.turn()
                np.testing.assert_array_equal(session.states()["history"], ids[token + 1 :][:kept])
