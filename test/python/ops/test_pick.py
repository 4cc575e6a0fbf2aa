"""Numbers by iteration, of compiled libraries against the reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from single_op import SingleOp, check

Compile = Callable[..., None]

# What each iteration does to %h: its place among the others matters.
STEP = """
%scaled = treadle.scale %h by %f : $x
%next = arith.addf %scaled, %x : $x
treadle.yield %next : $x
"""


def numbers(*shape: int) -> NDArray:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


def dense(values: NDArray) -> str:
    return f"dense<{values.tolist()}> : tensor<{'x'.join(map(str, values.shape))}xf32>"


@pytest.mark.parametrize(("count", "columns", "trips"), [(21, 37, 1), (40, 16, 3), (20, 5, 8)])
def test_pick(count: int, columns: int, trips: int, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    values = numbers(trips)
    op = SingleOp(
        f"""
        %y = treadle.loop %i max {trips} carry (%h = %x) : $x {{
          %f = treadle.pick [%i] of {dense(values)}
          {STEP}
        }}
        """,
        columns,
        {"x": np.random.default_rng(1).normal(size=(count, columns))},
    )

    def expected(x: NDArray) -> NDArray:
        h = x
        for f in values:
            h = f * h + x
        return h

    check(op, expected, compile_library, tmp_path, **on_device)


@pytest.mark.parametrize("constant", [False, True])
def test_pick_by_two_loops(constant: bool, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    """The last index is that of the inner loop, or a constant."""
    values = numbers(3, 5)
    op = SingleOp(
        f"""
        %last = arith.constant 3 : index
        %y = treadle.loop %i max 3 carry (%g = %x) : $x {{
          %inner = treadle.loop %j max 5 carry (%h = %g) : $x {{
            %f = treadle.pick [%i, {"%last" if constant else "%j"}] of {dense(values)}
            {STEP}
          }}
          treadle.yield %inner : $x
        }}
        """,
        37,
        {"x": np.random.default_rng(1).normal(size=(21, 37))},
    )

    def expected(x: NDArray) -> NDArray:
        h = x
        for row in values:
            for f in np.full(5, row[3]) if constant else row:
                h = f * h + x
        return h

    check(op, expected, compile_library, tmp_path, **on_device)
