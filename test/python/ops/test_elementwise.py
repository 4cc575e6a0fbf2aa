"""Elementwise ops of compiled libraries against the reference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from single_op import SingleOp, Weight, check
from treadle import reference

SIZES = [(3, 16), (21, 37), (150, 40)]


def rows(count: int, columns: int, seed: int = 1, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=(count, columns))


@pytest.mark.parametrize(("count", "columns"), SIZES)
def test_scale(count: int, columns: int, compile_library: Callable[..., None], tmp_path: Path) -> None:
    op = SingleOp(
        "%y = treadle.scale %x by %f : $y", columns, {"x": rows(count, columns)}, constants={"f": 0.375}
    )
    check(op, lambda x: 0.375 * x, compile_library, tmp_path)


@pytest.mark.parametrize(("count", "columns"), SIZES)
def test_gpas(count: int, columns: int, compile_library: Callable[..., None], tmp_path: Path) -> None:
    op = SingleOp(
        "%y = treadle.gpas %x, %alpha : ($x, $alpha) -> $y",
        columns,
        {"x": rows(count, columns)},
        {"alpha": Weight(np.array(0.6))},
    )
    check(op, reference.gpas, compile_library, tmp_path)


@pytest.mark.parametrize(("count", "columns"), SIZES)
def test_log_decay(count: int, columns: int, compile_library: Callable[..., None], tmp_path: Path) -> None:
    # Both tails of softplus.
    x = rows(count, columns, scale=20.0)
    vectors = {name: Weight(rows(1, columns, seed)[0]) for seed, name in enumerate(("a_log", "dt_bias"), 2)}
    op = SingleOp(
        "%y = treadle.log_decay %x, %a_log, %dt_bias : ($x, $a_log, $dt_bias) -> $y", columns, {"x": x}, vectors
    )
    found = check(op, reference.log_decay, compile_library, tmp_path)
    assert (found <= 0).all()
