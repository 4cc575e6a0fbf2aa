"""Products of groups, of several inputs and by several matrices, compiled, against the reference, on each device."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judge import BF16_TOLERANCE
from numpy.typing import NDArray
from pairwise import Row, covering_rows
from single_op import TOLERANCE, SingleOp, Weight, check
from treadle.reference import STORAGES, Storage, linear, low_rank_linear, rms_norm

Compile = Callable[..., None]
Options = dict[str, Any]


def normal(seed: int, *shape: int) -> NDArray:
    return np.random.default_rng(seed).normal(size=shape)


# Groups, inputs and outputs of one, rows. Two pass a block of K and one of outputs; the last has a slice of K with many
# words, which end in the midst of a round, a word, and what is loaded at once.
SIZES = [
    *((1, 40, 37, 21), (3, 12, 5, 21), (4, 16, 32, 150), (5, 7, 17, 33)),
    *((2, 300, 20, 40), (2, 20, 300, 40), (1, 1501, 20, 18)),
]
GROUPS = covering_rows(
    {"size": SIZES, "stacked": (False, True), "biased": (False, True), "element": STORAGES},
    # A stack of one is a matrix.
    lambda row: not (row.get("stacked") and row.get("size", (0,))[0] == 1),
)


@pytest.mark.parametrize("row", GROUPS, ids=str)
def test_groups(row: Row, compile_library: Compile, tmp_path: Path, on_device: Options) -> None:
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

    check(op, reference, compile_library, tmp_path, **on_device)


@pytest.mark.parametrize("element", STORAGES)
@pytest.mark.parametrize(("inner", "rank", "outputs", "count"), [(40, 5, 37, 21), (32, 16, 64, 150), (300, 3, 20, 40)])
def test_low_rank(
    inner: int,
    rank: int,
    outputs: int,
    count: int,
    element: Storage,
    compile_library: Compile,
    tmp_path: Path,
    on_device: Options,
) -> None:
    # Whole numbers, so that what lies between the factors is exact and rounds the same way everywhere.
    x, down = (np.random.default_rng(seed).integers(-3, 4, shape) for seed, shape in ((1, (count, inner)), (2, (rank, inner))))
    weights = {
        "down": Weight(down.astype(float), "panels", element),
        "up": Weight(normal(3, outputs, rank), "panels", element),
    }
    text = "%y = treadle.low_rank_linear %x, %down, %up {scale = 0.5 : f32} : ($x, $down, $up) -> $y"
    reference = partial(low_rank_linear, scale=0.5, storage=element)
    op = SingleOp(text, outputs, {"x": x.astype(float)}, weights)
    check(op, reference, compile_library, tmp_path, **on_device)


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
def test_joint_inputs(row: Row, compile_library: Compile, tmp_path: Path, on_device: Options) -> None:
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

    check(op, reference, compile_library, tmp_path, **on_device)


@pytest.mark.parametrize("element", STORAGES)
def test_a_joint_product_has_the_bits_of_one_alone(
    element: Storage, compile_library: Compile, tmp_path: Path, on_device: Options
) -> None:
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
        found.append(check(op, partial(_second, element), compile_library, folder, **on_device))
    assert found[0].tobytes() == found[1].tobytes()


# Inputs, outputs of each matrix. Shares of 1 and 4 panels; one panel each; a last panel that is not whole; no common
# panel; and rows that pass a block of K where there are several.
MATRICES = [(40, (128, 512, 128)), (300, (16, 16, 16)), (40, (37, 37)), (33, (24, 37)), (600, (64, 64, 128))]


@pytest.mark.parametrize("element", STORAGES)
@pytest.mark.parametrize(("inner", "outputs"), MATRICES)
def test_several_matrices(
    inner: int, outputs: tuple[int, ...], element: Storage, compile_library: Compile, tmp_path: Path, on_device: Options
) -> None:
    """Products of one input, some with a bias, behind a norm: one stage where rows are few, else several."""
    matrices = {f"w{i}": normal(i, size, inner) / inner**0.5 for i, size in enumerate(outputs)}
    weights = {name: Weight(array, "panels", element) for name, array in matrices.items()}
    weights |= {"norm": Weight(normal(8, inner)), "bias": Weight(normal(9, outputs[1]))}
    types = {name: f"tensor<?x{size}xf32>" for name, size in zip(matrices, outputs)}
    lines = ["%h = treadle.rms_norm %x, %norm {eps = 1.0e-6 : f32} : ($x, $norm) -> $x"]
    for name, type_ in types.items():
        operands, operand_types = (f"%{name} bias %bias", f"${name}, $bias") if name == "w1" else (f"%{name}", f"${name}")
        lines.append(f"%y{name} = treadle.linear %h, {operands} : ($x, {operand_types}) -> {type_}")
    columns = ", ".join(f"%y{name}" for name in types)
    lines.append(f"%y = treadle.concat {columns} : ({', '.join(types.values())}) -> $y")

    def reference(x: NDArray, norm: NDArray, bias: NDArray, **matrices: NDArray) -> NDArray:
        rows = rms_norm(x, norm, 1e-6)
        return np.concatenate([linear(rows, w, element, bias if name == "w1" else None) for name, w in matrices.items()], -1)

    op = SingleOp("\n".join(lines), sum(outputs), {"x": normal(7, 40, inner)}, weights)
    # A norm in float32 may round to the other neighbour among bfloat16.
    tolerance = TOLERANCE if element == "f32" else BF16_TOLERANCE
    check(op, reference, compile_library, tmp_path, tolerance=tolerance, **on_device)


def _second(element: Storage, a: NDArray, b: NDArray, w: NDArray) -> NDArray:
    return linear(b, w, element)
