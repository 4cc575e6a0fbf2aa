"""Attention of compiled libraries against the reference, with a second lane of keys and values, a bias, and without."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treadle
from judge import BF16_TOLERANCE, relative_error
from numpy.typing import NDArray
from pairwise import Row, covering_rows
from single_op import TOLERANCE, SingleOp, check
from treadle import reference
from treadle.reference import STORAGES, round_to

Compile = Callable[..., None]
Options = dict[str, Any]


ROWS = covering_rows(
    {
        # Heads, key heads, their width, rows: heads of a group in one register block or in two that differ, one vector
        # of columns or several; the last pass a span of 512 keys.
        "size": [(4, 2, 10, 21), (2, 2, 16, 150), (7, 1, 72, 83), (3, 1, 6, 1100)],
        "lane": ("none", "past", "own"),
        "element": STORAGES,
        "masked": (True, False),
        "biased": (True, False),
    },
    # A bias has as many columns as keys.
    lambda row: not (row.get("biased") and row.get("size", (0,))[-1] > 1000),
)


# Keys that a GPU's session gets from the CPU's, so that it runs few rows behind two spans; the last of them end the second.
BEFORE, BEHIND = 1018, 12


@dataclass(frozen=True)
class Attention:
    """An op, what it should answer, and its mask."""

    op: SingleOp
    expected: Callable[..., NDArray]
    mask: NDArray
    tolerance: float


def attention(row: Row) -> Attention:
    (heads, kv_heads, width, count), lane, element = row["size"], row["lane"], row["element"]
    columns = kv_heads * width
    generator = np.random.default_rng(3)
    names = ["k", "v"] if lane == "none" else ["k", "v", "k2", "v2"]
    rows = {"q": generator.normal(size=(count, heads * width)) * 2}
    rows |= {name: generator.normal(size=(count, columns)) for name in names}
    if row["biased"]:
        rows["b"] = generator.normal(size=(count, heads * count)) * 2
    appended = "\n    ".join(
        f"treadle.append %{name}, %s_{name} at %position valid %valid : ${name}, $s_{name}" for name in names
    )
    second, types = ("", "") if lane == "none" else (" lane %s_k2, %s_v2", ", $s_k2, $s_v2")
    bias, bias_type = (" bias %b", ", $b") if row["biased"] else ("", "")
    attributes = f"heads = {heads} : i64, kv_heads = {kv_heads} : i64, scale = {width**-0.5:e} : f32"
    op = SingleOp(
        f"""{appended}
    %y = treadle.attention %q, %s_k, %s_v, %mask at %position valid %valid{second}{bias}
      {{{attributes}{", own" if lane == "own" else ""}}}
      : ($q, $s_k, $s_v, $mask, index, index{types}{bias_type}) -> $y""",
        heads * width,
        rows,
        # Keys last: whoever reads behind them leaves the session's memory.
        states={
            f"s_{name}": f"append, $capacityx{columns}x{element}{', panels' * name.startswith('k')}"
            for name in reversed(names)
        },
    )
    position = np.arange(count)
    mask = (position > 1) & (position % 9 != 8) if row["masked"] else np.ones(count, bool)

    def expected(q: NDArray, b: NDArray | None = None, **lanes: NDArray) -> NDArray:
        stored = [round_to(element, lanes[name]).reshape(count, kv_heads, width) for name in names]
        beside = (stored[2], stored[3]) if lane != "none" else None
        bias = None if b is None else b.reshape(count, heads, count)
        return reference.attention(
            q.reshape(count, heads, width), stored[0], stored[1], 0, mask, beside, lane == "own", bias=bias, storage=element
        )

    # An exponential in float32 may round to the other neighbour among bfloat16.
    tolerance = TOLERANCE if element == "f32" else BF16_TOLERANCE
    return Attention(op, expected, mask, tolerance)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_attention(row: Row, compile_library: Compile, tmp_path: Path, on_device: Options) -> None:
    if on_device:
        # Each row has a block of threads, which the CPU runs one by one.
        *sizes, count = row["size"]
        row = row | {"size": (*sizes, min(count, 37))}
    case = attention(row)
    check(
        case.op, case.expected, compile_library, tmp_path, case.mask, case.tolerance, typical=TOLERANCE, **on_device
    )


@pytest.mark.parametrize(("element", "lane"), [("f32", "past"), ("bf16", "own")])
def test_spans_on_a_gpu(
    element: str, lane: str, compile_library: Compile, tmp_path: Path, driver_file: Path
) -> None:
    """Behind two spans the bits are the same as well, however the rows are cut."""
    count = BEFORE + BEHIND
    row = {"size": (3, 1, 16, count), "lane": lane, "element": element, "masked": True, "biased": False}
    case = attention(row)
    load = {"device": "cuda", "cuda_driver": driver_file}
    ids = np.arange(count)
    with case.op.library(compile_library, tmp_path, load, target="cpu,cuda", gpu="emulated") as cuda:
        with treadle.load(tmp_path / "op.so") as cpu, cpu.session() as session:
            session.forward(ids[:BEFORE], case.mask[:BEFORE], logits="none")
            blob = session.save()
            expected = case.op.outputs(session.forward(ids[BEFORE:], case.mask[BEFORE:], logits="all"))
        found = []
        for lengths in ([BEHIND], [1] * BEHIND, [5, BEHIND - 5]):
            with cuda.session(poison=True) as session:
                session.load(blob)
                start, parts = BEFORE, []
                for length in lengths:
                    part = slice(start, start + length)
                    parts.append(session.forward(ids[part], case.mask[part], logits="all"))
                    start += length
            found.append(case.op.outputs(np.concatenate(parts)))
    assert all(other.tobytes() == found[0].tobytes() for other in found)
    assert relative_error(found[0], expected) <= 2 * case.tolerance
