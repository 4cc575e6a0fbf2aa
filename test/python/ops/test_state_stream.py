"""Ops of running states, compiled, against the reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pairwise import Row, covering_rows
from single_op import SingleOp, Weight, check
from treadle import reference
from treadle.reference.rope import PAIRINGS

Compile = Callable[..., None]


def normal(seed: int, *shape: int) -> NDArray:
    return np.random.default_rng(seed).normal(size=shape)


def some(count: int) -> NDArray[np.bool_]:
    """A mask without the first token and every seventh."""
    position = np.arange(count)
    return (position > 0) & (position % 7 != 6)


SIZES = [(21, 37), (150, 64), (40, 20)]


SUMS = covering_rows(
    {"size": SIZES, "masked": (True, False), "lag": (0, 1, 3), "mean": (False, True), "single": (False, True)},
    lambda row: True,
)


@pytest.mark.parametrize("row", SUMS, ids=str)
def test_running_sum_and_read_rows(row: Row, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    (count, columns), lag, mean, single = (row[name] for name in ("size", "lag", "mean", "single"))
    text = f"""treadle.running_sum %x, %s, %mask at %position valid %valid {"{single}" if single else ""} : $x, $s, $mask
    %y = treadle.read_rows %s at %position valid %valid {{lag = {lag} : i64{", mean" if mean else ""}}}
      : ($s, index, index) -> $y"""
    op = SingleOp(text, columns, {"x": normal(1, count, columns)}, states={"s": f"append, $capacityx{columns}xf32"})
    mask = some(count) if row["masked"] else np.ones(count, bool)

    def expected(x: NDArray) -> NDArray:
        sums = np.where(mask[:, None], x, 0) if single else reference.running_sum(x, mask)
        return reference.read_rows(sums, 0, lag, mean)

    check(op, expected, compile_library, tmp_path, mask, **on_device)


@pytest.mark.parametrize(("count", "columns"), SIZES)
def test_read_rows_of_bf16(count: int, columns: int, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    text = """treadle.append %x, %s at %position valid %valid : $x, $s
    %y = treadle.read_rows %s at %position valid %valid {lag = 2 : i64} : ($s, index, index) -> $y"""
    op = SingleOp(text, columns, {"x": normal(1, count, columns)}, states={"s": f"append, $capacityx{columns}xbf16"})
    check(op, lambda x: reference.read_rows(reference.round_bf16(x), 0, 2), compile_library, tmp_path, **on_device)


@pytest.mark.parametrize(("rows", "count", "columns"), [(1, 21, 37), (19, 150, 64)])
def test_blank_start(rows: int, count: int, columns: int, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    text = f"%y = treadle.blank_start %x at %position {{rows = {rows} : i64}} : $y"
    op = SingleOp(text, columns, {"x": normal(1, count, columns)})
    check(op, lambda x: reference.blank_start(x, 0, rows), compile_library, tmp_path, **on_device)


@pytest.mark.parametrize(("groups", "width", "count"), [(1, 37, 21), (3, 7, 150), (4, 16, 40), (2, 33, 20)])
def test_add_scaled(groups: int, width: int, count: int, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    columns = groups * width
    rows = {"x": normal(1, count, columns), "update": normal(2, count, columns)}
    op = SingleOp(
        "%y = treadle.add_scaled %x, %update, %step : ($x, $update, $step) -> $y",
        columns,
        rows,
        {"step": Weight(normal(3, groups))},
    )
    check(op, reference.add_scaled, compile_library, tmp_path, **on_device)


NORMS = covering_rows(
    {
        "size": [(1, 37, 21), (3, 7, 150), (4, 16, 40), (2, 33, 20)],
        "offset": (0.0, 1.0),
        "shared": (True, False),
        "biased": (True, False),
    },
    lambda row: True,
)


@pytest.mark.parametrize("row", NORMS, ids=str)
def test_layer_norm(row: Row, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    (groups, width, count), offset = row["size"], row["offset"]
    columns = groups * width
    vectors = ["weight", "bias"] if row["biased"] else ["weight"]
    weights = {name: Weight(normal(seed, width if row["shared"] else columns)) for seed, name in enumerate(vectors, 2)}
    operands, types = (", ".join(f"{sign}{name}" for name in ("x", *vectors)) for sign in "%$")
    attributes = f"eps = 1.0e-2 : f32, groups = {groups} : i64, offset = {offset} : f32"
    op = SingleOp(
        f"%y = treadle.layer_norm {operands} {{{attributes}}} : ({types}) -> $y",
        columns,
        {"x": normal(1, count, columns) + 2},
        weights,
    )

    def expected(x: NDArray, weight: NDArray, bias: NDArray | None = None) -> NDArray:
        return reference.layer_norm(x, weight, bias, 1e-2, groups, offset)

    check(op, expected, compile_library, tmp_path, **on_device)


TURNS = covering_rows(
    {
        "size": [(1, 74, 21), (3, 6, 150), (2, 32, 40)],
        "pairing": PAIRINGS,
        "inverse": (False, True),
        # Columns of a head behind those that turn.
        "more": (0, 3, 32),
    },
    lambda row: True,
)


@pytest.mark.parametrize("row", TURNS, ids=str)
def test_rope(row: Row, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    (heads, width, count), pairing, inverse = row["size"], row["pairing"], row["inverse"]
    columns = width + row["more"]
    turns = reference.rope_turns(np.array([1]), width, 300.0)[0].view(np.int64).tolist()
    table = f"tensor<?x2x{width // 2}xf32>"
    attributes = f"heads = {heads} : i64, {'inverse, ' if inverse else ''}pairing = #treadle.rope_pairing<{pairing}>"
    op = SingleOp(
        f"""%t = treadle.rotary_table %ids at %position {{turns = array<i64: {", ".join(map(str, turns))}>}}
      : (tensor<?xi32>, index) -> {table}
    %y = treadle.rope %x, %t {{{attributes}}} : ($x, {table}) -> $y""",
        heads * columns,
        {"x": normal(1, count, heads * columns)},
    )

    def expected(x: NDArray) -> NDArray:
        angles = reference.rope_turns(np.arange(count), width, 300.0)
        x = x.reshape(count, heads, columns)
        turned = reference.rope(x[..., :width], angles, pairing, inverse)
        return np.concatenate([turned, x[..., width:]], axis=-1)

    check(op, expected, compile_library, tmp_path, **on_device)
