"""differential of compiled libraries against the reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from single_op import SingleOp, Weight, check
from treadle import reference


@pytest.mark.parametrize(("count", "heads", "width", "inner"), [(3, 1, 5, 3), (37, 3, 20, 17), (20, 2, 16, 32)])
def test_differential(
    count: int, heads: int, width: int, inner: int, compile_library: Callable[..., None], tmp_path: Path, on_device: dict[str, Any]) -> None:
    generator = np.random.default_rng(count)
    op = SingleOp(
        "%y = treadle.differential %a, %b by %q1, %k1, %q2, %k2 init %init : ($a, $b, $q1, $k1, $q2, $k2, f32) -> $y",
        heads * width,
        {name: generator.normal(size=(count, heads * width)) for name in "ab"},
        {name: Weight(generator.normal(size=(heads, inner)) / inner**0.5) for name in ("q1", "k1", "q2", "k2")},
        constants={"init": 0.375},
    )

    def expected(a: NDArray, b: NDArray, **vectors: NDArray) -> NDArray:
        a, b = (rows.reshape(count, heads, width) for rows in (a, b))
        return reference.differential(a, b, **vectors, init=0.375)

    check(op, expected, compile_library, tmp_path, **on_device)
