"""Products of groups and of several inputs, compiled, against the reference."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pairwise import Row, covering_rows
from single_op import SingleOp, Weight, check
from treadle.reference import STORAGES, Storage, linear, low_rank_linear

Compile = Callable[..., None]


def normal(seed: int, *shape: int) -> NDArray:
    return np.random.default_rng(seed).normal(size=shape)


# Groups, inputs and outputs of one, rows. The last two pass a block of K and one of outputs.
SIZES = [(1, 40, 37, 21), (3, 12, 5, 21), (4, 16, 32, 150), (5, 7, 17, 33), (2, 300, 20, 40), (2, 20, 300, 40)]
GROUPS = covering_rows(
    {"size": SIZES, "stacked": (False, True), "biased": (False, True), "element": STORAGES},
    # A stack of one is a matrix.
    lambda row: not (row.get("stacked") and row.get("size", (0,))[0] == 1),
)


@pytest.mark.parametrize("row", GROUPS, ids=str)
def test_groups(row: Row, compile_library: Compile, tmp_path: Path) -> None:
    (groups, inner, outputs, count), element = row["size"], row["element"]
    stack = (groups,) if row["stacked"] else ()
    weights = {"w": Weight(normal(2, *stack, outputs, inner) / inner**0.5, "panels", element)}
    if row["biased"]:
        weights["b"] = Weight(normal(3, *stack, outputs))
    operands, types = ("%x, %w bias %b", "$x, $w, $b") if row["biased"] else ("%x, %w", "$x, $w")
    text = f"%y = treadle.linear {operands} {{groups = {groups} : i64}} : ({types}) -> $y"
    op = SingleOp(text, groups * outputs, {"x": normal(1, count, groups * inner)}, weights)

    def reference(x: NDArray, w: NDArray, b: NDArray | None = None) -> NDArray:
        return linear(x, w, element, b, groups)

    check(op, reference, compile_library, tmp_path)


@pytest.mark.parametrize("element", STORAGES)
@pytest.mark.parametrize(("inner", "rank", "outputs", "count"), [(40, 5, 37, 21), (32, 16, 64, 150), (300, 3, 20, 40)])
def test_low_rank(
    inner: int, rank: int, outputs: int, count: int, element: Storage, compile_library: Compile, tmp_path: Path
) -> None:
    # Whole numbers, so that what lies between the factors is exact and rounds the same way everywhere.
    x, down = (np.random.default_rng(seed).integers(-3, 4, shape) for seed, shape in ((1, (count, inner)), (2, (rank, inner))))
    weights = {
        "down": Weight(down.astype(float), "panels", element),
        "up": Weight(normal(3, outputs, rank), "panels", element),
    }
    text = "%y = treadle.low_rank_linear %x, %down, %up {scale = 0.5 : f32} : ($x, $down, $up) -> $y"
    reference = partial(low_rank_linear, scale=0.5, storage=element)
    check(SingleOp(text, outputs, {"x": x.astype(float)}, weights), reference, compile_library, tmp_path)


JOINT = covering_rows(
    {
        "size": [(40, 37, 21), (32, 64, 150), (600, 20, 40)],
        "which": (0, 1, 2),
        "element": STORAGES,
        "biased": (False, True),
    },
    lambda row: True,
)


@pytest.mark.parametrize("row", JOINT, ids=str)
def test_joint_inputs(row: Row, compile_library: Compile, tmp_path: Path) -> None:
    """Each of three products is that of its own input."""
    (inner, outputs, count), which, element = row["size"], row["which"], row["element"]
    results = ", ".join("%y" if i == which else f"%other{i}" for i in range(3))
    bias, bias_type = (" bias %v", ", $v") if row["biased"] else ("", "")
    text = f"{results} = treadle.joint_linear (%a, %b, %c), %w{bias} : ($a, $b, $c, $w{bias_type}) -> ($y, $y, $y)"
    rows = {name: normal(seed, count, inner) for seed, name in enumerate("abc")}
    weights = {"w": Weight(normal(9, outputs, inner) / inner**0.5, "panels", element)}
    if row["biased"]:
        weights["v"] = Weight(normal(10, outputs))
    op = SingleOp(text, outputs, rows, weights)

    def reference(w: NDArray, v: NDArray | None = None, **inputs: NDArray) -> NDArray:
        return linear(inputs["abc"[which]], w, element, v)

    check(op, reference, compile_library, tmp_path)


@pytest.mark.parametrize("element", STORAGES)
def test_a_joint_product_has_the_bits_of_one_alone(element: Storage, compile_library: Compile, tmp_path: Path) -> None:
    rows = {"a": normal(1, 40, 300), "b": normal(2, 40, 300)}
    weights = {"w": Weight(normal(3, 50, 300), "panels", element)}
    found = []
    for number, text in enumerate(
        (
            "%y = treadle.linear %b, %w : ($b, $w) -> $y",
            "%other, %y = treadle.joint_linear (%a, %b), %w : ($a, $b, $w) -> ($y, $y)",
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        op = SingleOp(text, 50, rows, weights)
        found.append(check(op, partial(_second, element), compile_library, folder))
    assert found[0].tobytes() == found[1].tobytes()


def _second(element: Storage, a: NDArray, b: NDArray, w: NDArray) -> NDArray:
    return linear(b, w, element)
