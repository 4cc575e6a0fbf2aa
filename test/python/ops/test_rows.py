"""Norms and columns of compiled libraries against the reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pairwise import Row, covering_rows
from single_op import SingleOp, Weight, check, run
from treadle import reference

Compile = Callable[..., None]

# Groups, columns of one, rows.
GROUPED = [(1, 37, 21), (3, 7, 150), (4, 16, 40), (2, 33, 20)]


def normal(seed: int, *shape: int) -> NDArray:
    return np.random.default_rng(seed).normal(size=shape)


NORMS = covering_rows({"size": GROUPED, "offset": (0.0, 1.0), "shared": (True, False)}, lambda row: True)


@pytest.mark.parametrize("row", NORMS, ids=str)
def test_rms_norm(row: Row, compile_library: Compile, tmp_path: Path) -> None:
    (groups, width, count), offset = row["size"], row["offset"]
    columns = groups * width
    op = SingleOp(
        f"""%y = treadle.rms_norm %x, %weight {{eps = 1.0e-2 : f32, groups = {groups} : i64, offset = {offset} : f32}}
      : ($x, $weight) -> $y""",
        columns,
        {"x": normal(1, count, columns) * 2},
        {"weight": Weight(normal(2, width if row["shared"] else columns))},
    )
    check(op, lambda x, weight: reference.rms_norm(x, weight, 1e-2, groups, offset), compile_library, tmp_path)


# By name: an op with weights %weight and %bias, and its reference.
LONG_NORMS: dict[str, tuple[str, Callable[..., NDArray]]] = {
    "rms_norm": (
        "rms_norm %x, %weight {eps = 1.0e-2 : f32} : ($x, $weight)",
        lambda x, weight, bias: reference.rms_norm(x, weight, 1e-2),
    ),
    "layer_norm": (
        "layer_norm %x, %weight, %bias {eps = 1.0e-2 : f32} : ($x, $weight, $bias)",
        lambda x, weight, bias: reference.layer_norm(x, weight, bias, 1e-2),
    ),
    "poly_norm": (
        "poly_norm %x, %weight, %bias {eps = 1.0e-2 : f32} : ($x, $weight, $bias)",
        lambda x, weight, bias: reference.poly_norm(x, weight, bias, 1e-2),
    ),
}


@pytest.mark.parametrize(("name", "columns"), [("rms_norm", 1040), ("layer_norm", 1030), ("poly_norm", 1536)])
def test_long_rows(
    name: str, columns: int, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]
) -> None:
    """Rows that many threads of a GPU share, alone and in front of a product: of few rows it has the norm in it."""
    text, norm = LONG_NORMS[name]
    is_poly = name == "poly_norm"
    op = SingleOp(
        f"""%n = treadle.{text} -> $x
    %y = treadle.linear %n, %m : ($x, $m) -> $y""",
        8,
        {"x": normal(1, 18, columns) * 2},
        {
            "m": Weight(normal(3, 8, columns) / columns**0.5, "panels"),
            "weight": Weight(np.array([0.4, -0.7, 1.1]) if is_poly else normal(2, columns)),
            "bias": Weight(np.array(0.3) if is_poly else normal(4, columns)),
        },
    )
    check(
        op, lambda x, m, weight, bias: norm(x, weight, bias) @ m.T, compile_library, tmp_path, **on_device
    )


@pytest.mark.parametrize(("groups", "width", "count", "scale"), [(1, 37, 21, 1.0), (3, 7, 150, 0.375), (2, 32, 20, 1.0)])
def test_l2_norm(
    groups: int, width: int, count: int, scale: float, compile_library: Compile, tmp_path: Path
) -> None:
    attributes = f"groups = {groups} : i64, scale = {scale} : f32, eps = 0.25 : f32"
    op = SingleOp(
        f"%y = treadle.l2_norm %x {{{attributes}}} : ($x) -> $y", groups * width, {"x": normal(1, count, groups * width)}
    )
    check(op, lambda x: reference.l2_norm(x, 0.25, groups, scale), compile_library, tmp_path)


@pytest.mark.parametrize(("count", "columns"), [(21, 37), (150, 48)])
def test_poly_norm(count: int, columns: int, compile_library: Compile, tmp_path: Path) -> None:
    op = SingleOp(
        "%y = treadle.poly_norm %x, %weight, %bias {eps = 1.0e-2 : f32} : ($x, $weight, $bias) -> $y",
        columns,
        {"x": normal(1, count, columns) * 3},
        {"weight": Weight(np.array([0.4, -0.7, 1.1])), "bias": Weight(np.array(0.3))},
    )
    check(op, lambda x, weight, bias: reference.poly_norm(x, weight, bias, 1e-2), compile_library, tmp_path)


def angles(count: int, columns: int) -> NDArray:
    """Of every size that a float32 has, and those next to a multiple of a quarter turn."""
    generator = np.random.default_rng(7)
    x = generator.normal(size=(count, columns)) * 10.0 ** generator.integers(-12, 37, (count, columns))
    x[0, :6] = 0, np.pi / 2, -np.pi, 3e4, 2.0**127, 16367173 * 2.0**72  # the last is closest of all
    x[1] = np.round(generator.uniform(-1e6, 1e6, columns)) * np.pi / 2
    return np.clip(x, -3e38, 3e38)


# The third has nothing but waves.
@pytest.mark.parametrize(
    ("count", "columns", "periodic", "biased"),
    [(21, 37, 9, True), (150, 48, 16, False), (20, 34, 34, False), (20, 41, 1, True)],
)
def test_fan(
    count: int, columns: int, periodic: int, biased: bool, compile_library: Compile, tmp_path: Path
) -> None:
    x = normal(1, count, columns)
    x[:, :periodic] = angles(count, columns)[:, :periodic]
    op = SingleOp(
        f"%y = treadle.fan %x{', %bias' if biased else ''} {{periodic = {periodic} : i64}}"
        f" : ($x{', $bias' if biased else ''}) -> $y",
        columns + periodic,
        {"x": x},
        {"bias": Weight(normal(2, columns - periodic))} if biased else {},
    )
    found = check(op, lambda x, bias=None: reference.fan(x, periodic, bias), compile_library, tmp_path, tolerance=1e-7)
    # Small angles keep all their digits.
    small = np.abs(x[:, :periodic]) < 1e-6
    sines = found[:, periodic : 2 * periodic][small]
    np.testing.assert_allclose(sines, x[:, :periodic][small].astype(np.float32), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*holds NaN or infinity")
@pytest.mark.parametrize("offset", [0, 17], ids=["cos", "sin"])
def test_infinities_have_no_angle(offset: int, compile_library: Compile, tmp_path: Path) -> None:
    x = normal(1, 20, 19)
    x[3:6, 5] = np.inf, -np.inf, np.nan
    op = SingleOp(
        f"""
        %waves = treadle.fan %x {{periodic = 17 : i64}} : ($x) -> tensor<?x36xf32>
        %y = treadle.slice %waves {{groups = 1 : i64, offset = {offset} : i64, size = 17 : i64}}
          : (tensor<?x36xf32>) -> $y
        """,
        17,
        {"x": x},
    )
    with op.library(compile_library, tmp_path) as model:
        found = run(op, model)
    # A NaN in a row spreads over its logits.
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), ~np.isfinite(x).all(axis=1))


@pytest.mark.parametrize(
    ("groups", "width", "offset", "size", "count"), [(1, 37, 5, 20, 21), (3, 24, 8, 16, 150), (5, 40, 3, 17, 20)]
)
def test_slice(
    groups: int, width: int, offset: int, size: int, count: int, compile_library: Compile, tmp_path: Path
) -> None:
    op = SingleOp(
        f"%y = treadle.slice %x {{groups = {groups} : i64, offset = {offset} : i64, size = {size} : i64}} : ($x) -> $y",
        groups * size,
        {"x": normal(1, count, groups * width)},
    )
    found = check(op, lambda x: reference.slice_columns(x, groups, offset, size), compile_library, tmp_path)
    np.testing.assert_array_equal(
        found, reference.slice_columns(op.rows["x"].astype(np.float32), groups, offset, size)
    )


@pytest.mark.parametrize("widths", [(5, 20, 1), (16, 32, 7)])
def test_concat(widths: tuple[int, ...], compile_library: Compile, tmp_path: Path) -> None:
    rows = {name: normal(seed, 21, width) for seed, (name, width) in enumerate(zip("abc", widths))}
    operands, types = (", ".join(sign + name for name in rows) for sign in "%$")
    op = SingleOp(f"%y = treadle.concat {operands} : ({types}) -> $y", sum(widths), rows)
    check(op, lambda **x: reference.concat_columns(*x.values()), compile_library, tmp_path)
