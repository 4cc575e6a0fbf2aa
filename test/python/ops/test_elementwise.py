"""Elementwise ops of compiled libraries against the reference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from single_op import SingleOp, Weight, check, run
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


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
@pytest.mark.parametrize(("count", "columns"), SIZES[:2])
def test_activate(
    count: int, columns: int, name: reference.Activation, compile_library: Callable[..., None], tmp_path: Path
) -> None:
    # Both tails, and zero.
    x = rows(count, columns, scale=4.0)
    x[0, :3] = 0, 100, -100
    text = f"%y = treadle.activate %x {{activation = #treadle.activation<{name}>}} : $y"
    check(SingleOp(text, columns, {"x": x}), lambda x: reference.activation(name, x), compile_library, tmp_path)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_glu(name: reference.Activation, compile_library: Callable[..., None], tmp_path: Path) -> None:
    op = SingleOp(
        f"%y = treadle.glu %gate, %up {{activation = #treadle.activation<{name}>}} : $y",
        37,
        {"gate": rows(21, 37, 1, 3.0), "up": rows(21, 37, 2)},
    )
    check(op, lambda gate, up: reference.glu(gate, up, name), compile_library, tmp_path)


@pytest.mark.parametrize(("count", "columns"), SIZES)
def test_swish(count: int, columns: int, compile_library: Callable[..., None], tmp_path: Path) -> None:
    op = SingleOp(
        "%y = treadle.swish %x, %beta : ($x, $beta) -> $y",
        columns,
        {"x": rows(count, columns, scale=3.0)},
        {"beta": Weight(np.array(1.7))},
    )
    check(op, reference.swish, compile_library, tmp_path)


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize(("count", "columns"), SIZES)
def test_gate_blend(
    count: int, columns: int, again: bool, compile_library: Callable[..., None], tmp_path: Path
) -> None:
    """Where no pass follows, it is the input itself."""
    text = f"""
      %again = arith.constant {str(again).lower()}
      %y = treadle.gate_blend %x, %x0, %gate when %again : ($x, $x0, $gate, i1) -> $y
    """
    op = SingleOp(
        text,
        columns,
        {"x": rows(count, columns), "x0": rows(count, columns, 2)},
        {"gate": Weight(np.array(0.7))},
    )
    check(op, reference.gate_blend if again else lambda x, x0, gate: x, compile_library, tmp_path)


def test_exp(compile_library: Callable[..., None], tmp_path: Path) -> None:
    """In units in the last place, up to where 2^127 is not enough, and at the ends of its range."""
    ends = [0.0, -0.0, -87.68, -87.7, -100.0, -1e30, 88.72]
    sweep = np.concatenate([np.linspace(-87.3, 88.37, 150000), np.linspace(-1, 1, 49993)])
    x = np.concatenate([ends, sweep]).reshape(400, -1)
    op = SingleOp("%y = math.exp %x : $y", x.shape[1], {"x": x})
    with op.library(compile_library, tmp_path) as model:
        found = run(op, model).ravel().astype(np.float64)
    expected = np.exp(x.astype(np.float32).ravel().astype(np.float64))
    assert found[:2].tolist() == [1.0, 1.0] and not found[3:6].any()
    assert found[[2, 6]] == pytest.approx(expected[[2, 6]], rel=1e-5)
    units = np.abs(found - expected)[7:] / np.spacing(expected[7:].astype(np.float32))
    assert units.max() < 0.9


@pytest.mark.parametrize(("columns", "vocabulary"), [(16, 16), (37, 5), (40, 33)])
def test_pad_logits(columns: int, vocabulary: int, compile_library: Callable[..., None], tmp_path: Path) -> None:
    """The exponential of what is ruled out is 0."""
    text = f"""
      %l = treadle.pad_logits %x {{vocabulary = {vocabulary} : i64}} : $x
      %y = math.exp %l : $y
    """
    op = SingleOp(text, columns, {"x": rows(21, columns)})
    check(op, lambda x: np.exp(x) * (np.arange(columns) < vocabulary), compile_library, tmp_path)
